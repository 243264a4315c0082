"""The embedded default's models: made from scratch by this project's own trainer, once, and cached.

`world:…` names a recipe of `siked_ray.world.recipes`. The cache's key is the hash of the recipe, of the texts that the
model is trained on and of its vocabulary, so a changed recipe or prompt makes a new model and never serves an old one.
"""

import os
import tempfile
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
from siked_ray.training.plan import TrainingPlan
from siked_ray.training.trainer import WorkerGroup, fine_tune
from siked_ray.world.recipes import CONTEXT, RECIPES, Recipe, pretraining_rows, random_model
from siked_ray.world.tokenizer import build_tokenizer

_ROWS = "rows.parquet"
_MODEL = "model"


def resolve_models(models: Mapping[str, str], config: Config, *, board: Any, log_dir: str) -> dict[str, str]:
    """Directories of the models of each role; `world:…` models that are not cached are made, side by side.

    Each is made by one worker: tiny models gain less from a second one than from having a core to themselves.
    """
    import transformers  # noqa: F401  (its lazy imports are not safe in two threads at once)

    with ThreadPoolExecutor() as executor:
        found = {role: executor.submit(_resolve, name, config, board, log_dir) for role, name in models.items()}
        return {role: future.result() for role, future in found.items()}


def _resolve(name: str, config: Config, board: Any, log_dir: str) -> str:
    if not name.startswith(WORLD):
        return name
    recipe = RECIPES[name]
    rows = pretraining_rows(recipe, config.strategy_records(), prompt_templates(config))
    vocabulary = sorted(build_tokenizer().get_vocab().items())
    key = content_hash(asdict(recipe), vocabulary, *(f"{row['prompt']}{row['response']}" for row in rows))
    storage = Storage(str(cache_dir() / f"{name.removeprefix(WORLD)}-{key}"))
    if not storage.exists(f"{_MODEL}/config.json"):
        group = replace(worker_group(config), num_workers=1)
        _make(name, recipe, rows, group, storage, board=board, log_dir=log_dir)
    return storage.path(_MODEL)


def cache_dir() -> Path:
    """Where made models are kept between runs: SIKED_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("SIKED_CACHE", f"{base}/siked-ray")).expanduser() / "world"


def _make(
    name: str,
    recipe: Recipe,
    rows: list[dict[str, str]],
    group: WorkerGroup,
    storage: Storage,
    *,
    board: Any,
    log_dir: str,
) -> None:
    import pyarrow as pa

    title = f"making {name} from scratch"
    board.begin.remote(title, "steps", 1)
    storage.write_parquet(_ROWS, pa.Table.from_pylist(rows))
    with tempfile.TemporaryDirectory(prefix="siked-random-") as start:
        random_model(recipe, start)
        metrics = fine_tune(
            [_ROWS],
            start,
            _MODEL,
            _plan(recipe),
            group,
            storage,
            board=board,
            title=title,
            log_prefix=f"{log_dir}/making_{name.removeprefix(WORLD)}",
        )
    board.end.remote(title, f"loss {metrics['first_loss']:.3f} → {metrics['last_loss']:.3f}")


def _plan(recipe: Recipe) -> TrainingPlan:
    return TrainingPlan(
        seed=recipe.seed,
        shuffle=False,
        epochs=1,
        micro_batch_size=recipe.rows_per_step,
        gradient_accumulation=1,
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
