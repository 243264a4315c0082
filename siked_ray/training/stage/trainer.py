"""A training stage on Ray Train: starts the data's pipeline, places the workers, collects the result.

The rows never pass here: the pipeline reads them by name, and each worker iterates over a Ray Data dataset of its own.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from siked_ray.core.ids import content_hash
from siked_ray.core.objective import CROSS_ENTROPY, ObjectiveSpec
from siked_ray.core.reporting import TrainingReporter
from siked_ray.core.training_plan import TrainingPlan
from siked_ray.core.worker_group import WorkerGroup
from siked_ray.data.storage import Storage
from siked_ray.errors import PlacementError, SikedError, StageError
from siked_ray.startup import garbage_collector_paused
from siked_ray.training.feed.preparation import prepare
from siked_ray.training.stage.job import Job
from siked_ray.training.stage.worker import run_worker

_FOLDER = "checkpoints"
#: How often Ray Train's controller looks at its workers: at failures, at checkpoints, at the end. Its default is 2 s,
#: and every checkpoint waits for it. The environment is the only way in.
_HEALTH_CHECK = ("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.25")
#: Seconds that one attempt to place the workers takes at most, and Ray Train's default.
_START_TIMEOUT = ("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "60")
#: A process that watches for nodes under notice; on a single node it would go with the rest.
_WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"


def fine_tune(
    rows: Sequence[str],
    start: str,
    output: str,
    plan: TrainingPlan,
    group: WorkerGroup,
    storage: Storage,
    *,
    objective: ObjectiveSpec = CROSS_ENTROPY,
    teacher: str | None = None,
    scores: Sequence[str] = (),
    precision: str | None = None,
    board: TrainingReporter,
    title: str,
    log_prefix: str,
) -> dict[str, Any]:
    """Fine-tune `start` on Parquet files of rows {prompt, response}; writes a model directory `output`. Rows have the
    teacher's probabilities as well where the objective reads them, or `scores` are files that have them by the rows'
    request_id. `precision` is what the run's stages before were
    trained in, for a plan that leaves it open.

    `rows` and `output` are relative to the storage; `start`, and the `teacher` of an objective that holds the student
    against one, are directories or Hub names. Goes on from the last
    checkpoint of the same stage, if there is one; `discard_checkpoints` removes them. Returns the counters of the
    stage: steps, tokens, seconds, first_loss, last_loss, losses, skipped and more. Raises StageError, or PlacementError
    when there is no place for the workers.
    """
    import ray

    os.environ.setdefault(*_HEALTH_CHECK)
    os.environ.setdefault(*_START_TIMEOUT)
    os.environ[_WATCHER] = str(int(sum(node["Alive"] for node in ray.nodes()) > 1))
    use_gpu = group.gpus_per_worker > 0
    # Nothing of cross-entropy, under whose names are the checkpoints of runs that knew no other objective.
    of_objective = [] if objective == CROSS_ENTROPY else [objective.arguments, teacher, *scores]
    name = _name(output, content_hash(plan.values(), *rows, start, *of_objective))
    job = Job(
        rows=tuple(rows),
        start=start,
        output=output,
        work=f"{_FOLDER}/{name}",
        plan=plan,
        objective=objective,
        teacher=teacher,
        scores=tuple(scores),
        storage=storage,
        board=board,
        title=title,
        log_prefix=log_prefix,
        use_gpu=use_gpu,
        checkpoint_interval_s=group.checkpoint_interval_s,
        loggers=group.loggers,
        precision=precision,
    )
    preparing = ray.remote(prepare).options(num_cpus=0).remote(job)
    with garbage_collector_paused():
        from siked_ray.training.stage.lean_trainer import LeanTrainer
        from siked_ray.training.stage.process_group import ProcessGroup
    worker: Any = _run

    def fit() -> Any:
        trainer = LeanTrainer(
            worker,
            train_loop_config={"job": job, "preparing": preparing},
            scaling_config=_scaling(group),
            backend_config=ProcessGroup(backend="nccl" if use_gpu else "gloo"),
            run_config=run_config(name, group, storage),
        )
        return trainer.fit()

    try:
        result = _again_where_lost_between(fit, group.max_failures)
    except Exception as error:
        if _found_no_place(error):
            raise PlacementError(no_place(title, group, ray.available_resources())) from error
        raise StageError(f"The stage '{title}' failed: {_cause(error)}") from error
    finally:
        ray.cancel(preparing)
    if "error" in result.return_value:
        raise StageError(f"The stage '{title}' failed: {result.return_value['error']}")
    return dict(result.return_value)


def discard_checkpoints(storage: Storage, output: str) -> None:
    """Remove checkpoints and tokens of the stage that made `output`; called when its result is committed."""
    from pyarrow.fs import FileSelector, FileSystem, FileType

    filesystem, path = FileSystem.from_uri(storage.path(_FOLDER))
    for info in filesystem.get_file_info(FileSelector(path, allow_not_found=True)):
        if info.type == FileType.Directory and info.base_name.startswith(_name(output, "")):
            filesystem.delete_dir(info.path)


def _name(output: str, key: str) -> str:
    return f"{Path(output).name}-{key}"


def _run(config: dict[str, Any]) -> dict[str, Any]:
    """What was raised on purpose is returned: Ray Train would take it for a lost worker and try again."""
    try:
        return run_worker(config["job"], config["preparing"])
    except SikedError as error:
        return {"error": str(error)}


def _scaling(group: WorkerGroup) -> Any:
    import ray.train

    # Typed as its first version, although its second one is what is imported.
    train: Any = ray.train
    elastic = group.min_workers < group.num_workers
    return train.ScalingConfig(
        num_workers=(group.min_workers, group.num_workers) if elastic else group.num_workers,
        use_gpu=group.gpus_per_worker > 0,
        resources_per_worker=_resources(group),
    )


def _resources(group: WorkerGroup) -> dict[str, float]:
    gpus = {"GPU": group.gpus_per_worker} if group.gpus_per_worker > 0 else {}
    return {"CPU": group.cpus_per_worker, **gpus, **group.resources}


def run_config(name: str, group: WorkerGroup, storage: Storage) -> Any:
    """Ray Train's settings of a stage: its storage, and what it survives."""
    import ray.train

    from siked_ray.training.stage.patience import Patience

    train: Any = ray.train
    on_cpu = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": str(max(int(group.cpus_per_worker), 1))}
    start_timeout_s = float(os.environ.get(*_START_TIMEOUT))
    return train.RunConfig(
        name=name,
        storage_path=storage.path(_FOLDER),
        failure_config=train.FailureConfig(
            max_failures=group.max_failures,
            # Attempts to start that fail; without a limit Ray Train waits for a lost node for ever.
            controller_failure_limit=math.ceil(group.placement_timeout_s / start_timeout_s),
        ),
        checkpoint_config=train.CheckpointConfig(num_to_keep=group.num_checkpoints),
        worker_runtime_env={"env_vars": {} if group.gpus_per_worker > 0 else on_cpu},
        callbacks=[Patience(group.placement_timeout_s)],
    )


def _again_where_lost_between(fit: Callable[[], Any], max_failures: int) -> Any:
    """What `fit` returns. Ray Train starts again after a worker that is lost while its group is set up, or while it
    works; one lost between the two, in a tenth of a second, ends Ray Train's controller, and is started again here.
    """
    from ray.exceptions import RayActorError

    for _ in range(max_failures):
        try:
            return fit()
        except Exception as error:
            if not isinstance(getattr(error, "controller_failure", None), RayActorError):
                raise
    return fit()


def _found_no_place(error: BaseException) -> bool:
    from siked_ray.ray_internals import WorkerGroupStartupTimeoutError

    reasons = (WorkerGroupStartupTimeoutError, PlacementError)
    return isinstance(getattr(error, "controller_failure", None), reasons)


def no_place(title: str, group: WorkerGroup, available: Mapping[str, float]) -> str:
    """What to say of workers that found no place on the cluster."""
    asked = _resources(group)
    worker = " + ".join(f"{amount:g} {name}" for name, amount in asked.items())
    free = ", ".join(f"{available.get(name, 0.0):g} {name}" for name in asked)
    return (
        f"The stage '{title}' found no place for {group.min_workers} training workers of {worker} each, after attempts "
        f"of more than {group.placement_timeout_s:g} s in all; free on the whole cluster are {free}. Give the same "
        "command again when the nodes are there (it goes on from the last checkpoint), lower training.num_workers, "
        "training.cpus_per_worker or training.gpus_per_worker, or raise cluster.placement_timeout_s."
    )


def _cause(error: BaseException) -> str:
    """The innermost message of a training failure, in one line."""
    text = str(getattr(error, "worker_failures", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
