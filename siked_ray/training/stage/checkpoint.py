"""Checkpoints inside a training stage: DeepSpeed's state of every worker and the progress, in the run's storage.

Ray Train uploads them in the background and keeps the last ones; a stage that is started again under the same name
finds them. Between groups of different size the state is resharded through DeepSpeed's universal checkpoints.
"""

import json
import shutil
import tempfile
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from siked_ray.training.compute.loop import Progress

_TAG = "state"
_FACTS = "facts.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What has to be known of a checkpoint before an engine is made for it."""

    step: int
    num_workers: int
    zero_stage: int
    precision: str | None = None


def save(engine: Any, progress: Progress, extra: dict[str, Any], facts: Facts, folder: Path, *, rank: int) -> None:
    """Write this worker's part of a checkpoint (called on every rank, each with a folder of its own)."""
    (folder / _TAG).mkdir(parents=True, exist_ok=True)
    state = {"progress": asdict(progress), "extra": extra}
    engine.save_checkpoint(str(folder), tag=_TAG, client_state=state, exclude_frozen_parameters=True)
    if rank == 0:
        (folder / _FACTS).write_text(json.dumps(asdict(facts)))


def read_facts(folder: Path) -> Facts:
    return Facts(**json.loads((folder / _FACTS).read_text()))


def facts_of(checkpoint: Any) -> Facts:
    """The facts of a checkpoint of Ray Train's, wherever it lies, without fetching the rest of it."""
    with checkpoint.filesystem.open_input_stream(f"{checkpoint.path}/{_FACTS}") as stream:
        return Facts(**json.loads(stream.read()))


def needs_resharding(facts: Facts, num_workers: int) -> bool:
    """ZeRO's state is cut by the number of workers; without ZeRO every worker has all of it."""
    return facts.zero_stage > 0 and facts.num_workers != num_workers


def load(engine: Any, folder: Path) -> tuple[Progress, dict[str, Any]]:
    """Restore an engine from a checkpoint's folder that holds the parts of all workers."""
    optimizer = getattr(engine.optimizer, "optimizer", engine.optimizer)
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    _, state = engine.load_checkpoint(str(folder), tag=_TAG, load_module_strict=False)
    _separate_groups(optimizer, decays)
    assert state is not None, f"{folder} is a checkpoint that this module wrote"
    return Progress(**state["progress"]), state["extra"]


def _separate_groups(optimizer: Any, decays: list[float]) -> None:
    """Undo what DeepSpeed 0.19.8 does to a universal checkpoint under ZeRO 3: all parameters share one step counter,
    which each of them then advances, and all groups get the first one's weight decay."""
    for state in optimizer.state.values():
        if hasattr(state.get("step"), "clone"):
            state["step"] = state["step"].clone()
    for group, decay in zip(optimizer.param_groups, decays, strict=True):
        group["weight_decay"] = decay


def reshard(folder: Path, target: Path) -> None:
    """Write a universal checkpoint that any number of workers can load (one process per node)."""
    from siked_ray.ray_internals import ds_to_universal

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    ds_to_universal.main(
        Namespace(
            input_folder=str(folder / _TAG),
            output_folder=str(target / _TAG),
            num_extract_workers=1,
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=True,
            inject_missing_state=True,
        )
    )


class Checkpoints:
    """Reports checkpoints to Ray Train, which calls for every worker to take part."""

    def __init__(self, engine: Any, *, rank: int, num_workers: int, zero_stage: int, precision: str) -> None:
        self._engine = engine
        self._rank = rank
        self._num_workers = num_workers
        self._zero_stage = zero_stage
        self._precision = precision

    def report(self, progress: Progress, extra: dict[str, Any]) -> None:
        """Write and hand over a checkpoint; it counts once all parts are uploaded."""
        import ray.train

        from siked_ray.ray_internals import CheckpointUploadMode

        train: Any = ray.train
        folder = Path(tempfile.mkdtemp(prefix="siked-checkpoint-"))
        facts = Facts(
            step=progress.steps,
            num_workers=self._num_workers,
            zero_stage=self._zero_stage,
            precision=self._precision,
        )
        save(self._engine, progress, extra, facts, folder, rank=self._rank)
        train.report(
            {"step": progress.steps},
            checkpoint=train.Checkpoint.from_directory(folder),
            checkpoint_dir_name=f"step_{progress.steps:07d}_by_{self._num_workers}",
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
        )

    def wait(self) -> None:
        """Return once what was reported counts: the parts of all workers are uploaded, and Ray Train knows of them."""
        import ray.train

        train: Any = ray.train
        train.get_all_reported_checkpoints(consistency_mode=train.CheckpointConsistencyMode.COMMITTED)
