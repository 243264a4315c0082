"""A training worker up to its first step: data, libraries and model side by side, from a checkpoint if there is one."""

import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.model_folder import local_model
from siked_ray.errors import SikedError
from siked_ray.logs import redirect_output
from siked_ray.training.compute.loop import Progress, Worker, micro_batches_of
from siked_ray.training.compute.objectives import CrossEntropy, Objective
from siked_ray.training.compute.packing import PackedRow
from siked_ray.training.compute.precision import BFLOAT16, dtype_of
from siked_ray.training.compute.schedule import Schedule
from siked_ray.training.feed.preparation import Prepared
from siked_ray.training.feed.shard import open_shard
from siked_ray.training.stage.begun import precision_of
from siked_ray.training.stage.beside import load_beside, objective_beside
from siked_ray.training.stage.checkpoint import Checkpoints, Facts, facts_of, load, needs_resharding, reshard
from siked_ray.training.stage.export import export
from siked_ray.training.stage.hooks import AroundSteps
from siked_ray.training.stage.job import Job
from siked_ray.training.stage.selection import (
    AllExported,
    BestByLoss,
    Candidates,
    HeldOut,
    candidates_folder,
    held_out_loss,
)


class Stopwatch:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._since = time.monotonic()

    def lap(self, what: str) -> None:
        """The time since the last call, or since the beginning."""
        now = time.monotonic()
        self.seconds[what] += now - self._since
        self._since = now


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A worker that is ready for its first step; `plan` is the job's as far as the student can be trained by it."""

    plan: TrainingPlan
    precision: str
    worker: Worker
    objective: Objective
    data: Prepared
    rows: Iterator[PackedRow]
    engine: Any
    progress: Progress
    candidates: Candidates
    around: AroundSteps
    publish: Callable[[str], None]


def start(job: Job, preparing: Any, watch: Stopwatch) -> Started:
    """The worker, ready; `preparing` as in `run_worker`.

    The first rows are fetched while libraries are imported and the model is loaded.
    """
    import ray.train
    import torch

    context = ray.train.get_context()
    rank, num_workers = context.get_world_rank(), context.get_world_size()
    redirect_output(Path(f"{job.log_prefix}_{rank:02d}.log"))
    if not job.use_gpu:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # as run_config says
    checkpoint: Any = ray.train.get_checkpoint()
    facts = facts_of(checkpoint) if checkpoint else None
    opening = _beside(lambda: _rows(job, _outcome(preparing), rank, num_workers, facts.step if facts else 0))
    job = replace(job, start=local_model(job.start))
    _import_libraries()
    watch.lap("imports")

    tokenizer = load_tokenizer(job.start, trust_remote_code=job.plan.trust_remote_code)
    data = _outcome(preparing)
    plan = replace(job.plan, shared_prompts=data.shared_prompts)
    job = replace(job, plan=plan)
    watch.lap("data")
    local_rank = context.get_local_rank()
    precision = precision_of(job, facts, num_workers)
    teacher = load_beside(job, dtype_of(precision))
    engine, progress, extra, fused = _engine(
        job, precision, teacher, data.schedule, checkpoint, facts, num_workers, local_rank
    )
    watch.lap("model")
    worker = Worker(rank=rank, num_workers=num_workers, pad_token_id=_pad_token_id(tokenizer))
    publish = partial(_publish, job, engine, tokenizer, rank)
    candidates = _candidates(job, engine, data, worker, publish, extra.get("candidates", []))
    checkpoints = Checkpoints(
        engine, rank=rank, num_workers=num_workers, zero_stage=plan.zero_stage, precision=precision
    )
    around = AroundSteps(job, data.schedule, checkpoints, candidates, rank)
    rows = opening.result()
    watch.lap("data")
    return Started(
        plan=plan,
        precision=precision,
        worker=worker,
        objective=objective_beside(job, engine, teacher, tokenizer, fused=fused),
        data=data,
        rows=rows,
        engine=engine,
        progress=progress,
        candidates=candidates,
        around=around,
        publish=publish,
    )


def _beside(work: Callable[[], Iterator[PackedRow]]) -> Future[Iterator[PackedRow]]:
    """Begin to work in a thread of its own."""
    with_one_thread = ThreadPoolExecutor(1, thread_name_prefix="data")
    future = with_one_thread.submit(work)
    with_one_thread.shutdown(wait=False)
    return future


def _outcome(preparing: Any) -> Prepared:
    import ray

    prepared = ray.get(preparing)
    if isinstance(prepared, SikedError):
        raise prepared
    return prepared


def _rows(job: Job, data: Prepared, rank: int, num_workers: int, first_step: int) -> Iterator[PackedRow]:
    schedule = data.schedule
    return open_shard(job.storage, data.chunks, schedule, rank=rank, num_workers=num_workers, first_step=first_step)


def _import_libraries() -> None:
    """What takes seconds, at once; where it is needed it is imported again, for nothing."""
    import deepspeed  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401


def _engine(
    job: Job,
    precision: str,
    teacher: Any,
    schedule: Schedule,
    checkpoint: Any,
    facts: Facts | None,
    num_workers: int,
    local_rank: int,
) -> tuple[Any, Progress, dict[str, Any], bool]:
    """The engine, in the state of the last checkpoint if there is one; progress, what else was stored, fused loss."""
    from siked_ray.training.compute.model import add_projector, load_model, wrap

    plan, bfloat16 = job.plan, precision == BFLOAT16
    model, fused = load_model(job.start, plan, dtype=dtype_of(precision), on_gpu=job.use_gpu)
    if teacher is not None and job.objective.kind == "hidden_mse":
        add_projector(model, teacher.get_output_embeddings().weight.shape[1], plan.seed)
    settings: dict[str, Any] = {"num_steps": len(schedule), "num_workers": num_workers, "bfloat16": bfloat16}
    if facts is None:
        return wrap(model, plan, **settings), Progress(), {}, fused
    with checkpoint.as_directory() as place:
        folder = Path(place)
        if not needs_resharding(facts, num_workers):
            engine = wrap(model, plan, **settings)
            progress, extra = load(engine, folder)
        else:
            engine = wrap(model, plan, **settings, universal=True)
            name = f"{Path(job.work).name}-{folder.name}-{num_workers}"
            with _resharded(folder, name, local_rank) as whole:
                progress, extra = load(engine, whole)
    return engine, progress, extra, fused


@contextmanager
def _resharded(folder: Path, name: str, local_rank: int) -> Iterator[Path]:
    """A folder that all workers of a node share, with the checkpoint for any number of workers."""
    import torch.distributed as dist

    target = Path(tempfile.gettempdir()) / f"siked-universal-{name}"
    if local_rank == 0:
        reshard(folder, target)
    dist.barrier()
    yield target
    dist.barrier()
    if local_rank == 0:
        shutil.rmtree(target, ignore_errors=True)


def _candidates(
    job: Job,
    engine: Any,
    data: Prepared,
    worker: Worker,
    publish: Callable[[str], None],
    found: list[dict[str, Any]],
) -> Candidates:
    if data.held_out is None:
        return AllExported(folder=candidates_folder(job.output), export_to=publish, found=found)
    held_out = _held_out(job, data, data.held_out, worker)
    return BestByLoss(
        # By cross-entropy whatever is trained with, so that students of different objectives can be compared.
        evaluate=lambda: held_out_loss(engine, CrossEntropy(), held_out, job.plan, worker),
        keep=lambda: publish(job.output),
        found=found,
    )


def _held_out(job: Job, data: Prepared, schedule: Schedule, worker: Worker) -> HeldOut:
    rows = open_shard(job.storage, data.chunks, schedule, rank=worker.rank, num_workers=worker.num_workers)
    by_step = (micro_batches_of(rows, schedule.num_rows(step), job.plan, worker) for step in range(len(schedule)))
    return HeldOut([batch for step in by_step for batch in step], int(schedule.num_targets.sum()))


def _publish(job: Job, engine: Any, tokenizer: Any, rank: int, output: str) -> None:
    """Export the present weights; the ledger says later whether they count."""
    with tempfile.TemporaryDirectory(prefix="siked-export-") as folder:
        export(engine.module, tokenizer, folder, rank=rank)
        if rank == 0:
            job.storage.upload_folder(Path(folder), output)


def _pad_token_id(tokenizer: Any) -> int:
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
