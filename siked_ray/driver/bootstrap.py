"""The embedded default's models: made from scratch by this project's own trainer, once, and cached.

`world:…` names a recipe of `siked_ray.world.recipes`. The cache's key is the hash of the recipe, of the texts that the
model is trained on and of its vocabulary, so a changed recipe or prompt makes a new model and never serves an old one.
A run with fewer strategies starts from the same models: they know all of the world's.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from siked_ray.config import Config
from siked_ray.core.ids import content_hash
from siked_ray.data.storage import Storage
from siked_ray.driver.models import WORLD
from siked_ray.driver.placement import prompt_templates, worker_group
from siked_ray.training.health import loss_note
from siked_ray.training.plan import TrainingPlan
from siked_ray.training.trainer import WorkerGroup, discard_checkpoints, fine_tune
from siked_ray.world.prompts import STRATEGIES
from siked_ray.world.recipes import CONTEXT, RECIPES, Recipe, pretraining_rows, random_model
from siked_ray.world.tokenizer import build_tokenizer

_ROWS = "rows.parquet"
_RANDOM = "random"
_MODEL = "model"


def resolve_models(models: Mapping[str, str], config: Config, *, board: Any, log_dir: str) -> dict[str, str]:
    """Directories of the models of each role; `world:…` models that are not cached are made, side by side.

    Each is made by one worker: tiny models gain less from a second one than from having a core to themselves.
    What draws on this process's random numbers is done before, one after the other.
    """
    folders = {name: _prepared(name, config) for name in sorted(set(models.values())) if name.startswith(WORLD)}
    group = replace(worker_group(config), num_workers=1, min_workers=1)
    with ThreadPoolExecutor() as executor:
        made = [
            executor.submit(_make, name, folder, group, board, log_dir)
            for name, folder in folders.items()
            if not folder.exists(f"{_MODEL}/config.json")
        ]
        for future in made:
            future.result()
    return {role: folders[name].path(_MODEL) if name in folders else name for role, name in models.items()}


def _prepared(name: str, config: Config) -> Storage:
    """The cache folder of a model, with the texts and the random weights that it starts from."""
    recipe = RECIPES[name]
    rows = rows_of(recipe, config)
    vocabulary = sorted(build_tokenizer().get_vocab().items())
    key = content_hash(asdict(recipe), vocabulary, *(f"{row['prompt']}{row['response']}" for row in rows))
    storage = Storage(str(cache_dir() / f"{name.removeprefix(WORLD)}-{key}"))
    if not storage.exists(f"{_MODEL}/config.json"):
        import pyarrow as pa

        storage.write_parquet(_ROWS, pa.Table.from_pylist(rows))
        random_model(recipe, storage.path(_RANDOM))
    return storage


def rows_of(recipe: Recipe, config: Config) -> list[dict[str, str]]:
    """What a model is made from: the run's prompts, all the world's strategies."""
    known = [one.name for one in STRATEGIES if one.name in config.prompts.strategies]
    strategies = config.model_copy(update={"strategies": known}).strategy_records()
    return pretraining_rows(recipe, strategies, prompt_templates(config))


def cache_dir() -> Path:
    """Where made models are kept between runs: SIKED_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("SIKED_CACHE", f"{base}/siked-ray")).expanduser() / "world"


def _make(name: str, storage: Storage, group: WorkerGroup, board: Any, log_dir: str) -> None:
    title = f"making {name} from scratch"
    board.begin.remote(title, "steps", 1)
    metrics = fine_tune(
        [_ROWS],
        storage.path(_RANDOM),
        _MODEL,
        _plan(RECIPES[name]),
        group,
        storage,
        board=board,
        title=title,
        log_prefix=f"{log_dir}/making_{name.removeprefix(WORLD)}",
    )
    discard_checkpoints(storage, _MODEL)
    board.end.remote(title, loss_note(metrics["losses"], metrics["warnings"]))


def _plan(recipe: Recipe) -> TrainingPlan:
    return TrainingPlan(
        seed=recipe.seed,
        shuffle=False,
        epochs=1,
        micro_batch_size=recipe.rows_per_step,
        rows_per_step=recipe.rows_per_step,
        max_seq_len=CONTEXT,
        learning_rate=recipe.learning_rate,
        schedule="cosine",
        warmup_steps=recipe.warmup_steps,
        weight_decay=0.01,
        max_grad_norm=1.0,
        gradient_checkpointing=False,
        loss_on="response",
        lora_rank=0,
        lora_alpha=1,
        lora_dropout=0.0,
        zero_stage=0,
        precision="auto",
        trust_remote_code=False,
    )
