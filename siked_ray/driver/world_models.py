"""The embedded default's models: made from scratch by this project's own trainer, once, and cached.

`world:…` names an entry of `siked_ray.world.curriculum`. The cache's key is the hash of that entry, of the texts that
the model is trained on and of its vocabulary: a changed entry or prompt makes a new model and never serves an old one.
A run with fewer strategies starts from the same models: they know all of the world's.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from siked_ray.config import Config
from siked_ray.core.ids import content_hash
from siked_ray.core.reporting import TrainingReporter
from siked_ray.core.training_plan import TrainingPlan
from siked_ray.core.worker_group import WorkerGroup
from siked_ray.data.storage import Storage
from siked_ray.generation.model_facts import WORLD
from siked_ray.training.stage.health import loss_note
from siked_ray.training.stage.trainer import discard_checkpoints, fine_tune
from siked_ray.world.curriculum import CONTEXT, CURRICULA, Curriculum, pretraining_rows, random_model
from siked_ray.world.tokenizer import build_tokenizer
from siked_ray.world.world_prompts import STRATEGIES

_ROWS = "rows.parquet"
_RANDOM = "random"
_MODEL = "model"


def resolve_models(
    models: Mapping[str, str], config: Config, *, board: TrainingReporter, log_dir: str
) -> dict[str, str]:
    """Directories of the models of each role; `world:…` models that are not cached are made, side by side.

    Each is made by one worker: tiny models gain less from a second one than from having a core to themselves.
    What draws on this process's random numbers is done before, one after the other.
    """
    folders = {name: _prepared(name, config) for name in sorted(set(models.values())) if name.startswith(WORLD)}
    group = replace(config.training.worker_group(config.cluster), num_workers=1, min_workers=1)
    with ThreadPoolExecutor() as executor:
        made = [
            executor.submit(_make, name, folder, group, board, log_dir)
            for name, folder in folders.items()
            if not folder.exists(f"{_MODEL}/config.json")
        ]
        for future in made:
            future.result()
    return {role: folders[name].path(_MODEL) if name in folders else name for role, name in models.items()}


def cached_model(name: str, config: Config) -> Path:
    """Where the cache has, or will have, the folder of this `world:…` model as this run's prompts make it."""
    return Path(_place(name, rows_of(CURRICULA[name], config)).path(_MODEL))


def _prepared(name: str, config: Config) -> Storage:
    """The cache folder of a model, with the texts and the random weights that it starts from."""
    curriculum = CURRICULA[name]
    rows = rows_of(curriculum, config)
    storage = _place(name, rows)
    if not storage.exists(f"{_MODEL}/config.json"):
        import pyarrow as pa

        storage.write_parquet(_ROWS, pa.Table.from_pylist(rows))
        random_model(curriculum, storage.path(_RANDOM))
    return storage


def _place(name: str, rows: Sequence[Mapping[str, str]]) -> Storage:
    vocabulary = sorted(build_tokenizer().get_vocab().items())
    texts = (f"{row['prompt']}{row['response']}" for row in rows)
    key = content_hash(asdict(CURRICULA[name]), vocabulary, *texts)
    return Storage(str(cache_dir() / f"{name.removeprefix(WORLD)}-{key}"))


def rows_of(curriculum: Curriculum, config: Config) -> list[dict[str, str]]:
    """What a model is made from: the run's prompts, all the world's strategies."""
    known = [one.name for one in STRATEGIES if one.name in config.prompts.strategies]
    strategies = config.model_copy(update={"strategies": known}).strategy_records()
    return pretraining_rows(curriculum, strategies, config.prompts.templates())


def cache_dir() -> Path:
    """Where made models are kept between runs: SIKED_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("SIKED_CACHE", f"{base}/siked-ray")).expanduser() / "world"


def _make(name: str, storage: Storage, group: WorkerGroup, board: TrainingReporter, log_dir: str) -> None:
    title = f"making {name} from scratch"
    board.begin(title, "steps", 1)
    metrics = fine_tune(
        [_ROWS],
        storage.path(_RANDOM),
        _MODEL,
        _plan(CURRICULA[name]),
        group,
        storage,
        board=board,
        title=title,
        log_prefix=f"{log_dir}/making_{name.removeprefix(WORLD)}",
    )
    discard_checkpoints(storage, _MODEL)
    board.end(title, loss_note(metrics["losses"], metrics["warnings"]))


def _plan(curriculum: Curriculum) -> TrainingPlan:
    return TrainingPlan(
        seed=curriculum.seed,
        shuffle=False,
        epochs=1,
        micro_batch_size=curriculum.rows_per_step,
        rows_per_step=curriculum.rows_per_step,
        max_seq_len=CONTEXT,
        learning_rate=curriculum.learning_rate,
        schedule="cosine",
        warmup_steps=curriculum.warmup_steps,
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
