"""What every training worker runs; Ray Train has placed it and set up the process group."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.model_folder import local_model
from siked_ray.errors import StageError
from siked_ray.logs import redirect_output
from siked_ray.startup import garbage_collector_paused
from siked_ray.training.around_steps import AroundSteps
from siked_ray.training.checkpoint import Checkpoints, load, needs_resharding, read_facts, reshard
from siked_ray.training.export import export
from siked_ray.training.job import Job
from siked_ray.training.plan import Schedule, plan_steps
from siked_ray.training.selection import AllExported, BestByLoss, Candidates, candidates_folder, held_out_loss
from siked_ray.training.steps import Progress, Worker, train
from siked_ray.training.tokens import TokenChunks, Tokenised, open_rows, tokenise


def run_worker(job: Job) -> dict[str, Any]:
    """Train and export; the counters of the stage. Called by Ray Train on every worker."""
    import ray.train
    import torch
    import torch.distributed as dist

    started = time.monotonic()
    context = ray.train.get_context()
    rank, num_workers = context.get_world_rank(), context.get_world_size()
    redirect_output(Path(f"{job.log_prefix}_{rank:02d}.log"))
    _import_libraries()
    job = replace(job, start=local_model(job.start))
    if not job.use_gpu:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # as run_config says
    plan = job.plan
    tokenizer = load_tokenizer(job.start, trust_remote_code=plan.trust_remote_code)
    data = _tokenised(job, tokenizer, rank, num_workers)
    schedule = plan_steps(plan, data.train.lengths)
    data_s = time.monotonic() - started

    engine, progress, extra, fused = _engine(job, schedule, num_workers, context.get_local_rank())
    worker = Worker(rank=rank, num_workers=num_workers, pad_token_id=_pad_token_id(tokenizer), fused_loss=fused)
    publish = partial(_publish, job, engine, tokenizer, rank)
    candidates = _candidates(job, engine, data, worker, publish, extra.get("candidates", []))
    resumed_at = progress.steps
    checkpoints = Checkpoints(engine, rank=rank, num_workers=num_workers, zero_stage=plan.zero_stage)
    around = AroundSteps(job, schedule, checkpoints, candidates, rank)
    ready_s = time.monotonic() - started
    train(engine, data.train, data.train.lengths, schedule, plan, worker, progress=progress, hooks=around.hooks())
    exporting = time.monotonic()
    if plan.candidates_every:
        candidates.consider(progress.steps)
    else:
        publish(job.output)
    around.close()
    if dist.is_initialized():
        dist.barrier()
    return {
        "steps": progress.steps,
        "tokens": progress.tokens,
        "seconds": progress.seconds,
        "first_loss": progress.losses[0],
        "last_loss": progress.losses[-1],
        "losses": progress.losses,
        "skipped": data.num_skipped,
        "padding": 1 - progress.tokens / (len(schedule.ends) * plan.max_seq_len),
        "workers_at_end": num_workers,
        "resumed_at_step": resumed_at,
        "overhead_s": {"data": data_s, "model": ready_s - data_s, "export": time.monotonic() - exporting},
        "candidates": candidates.found,
        "warnings": around.warnings,
    }


def _import_libraries() -> None:
    """What takes seconds, at once and quickly; where it is needed it is imported again, for nothing."""
    with garbage_collector_paused():
        import deepspeed  # noqa: F401
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401


def _tokenised(job: Job, tokenizer: Any, rank: int, num_workers: int) -> Tokenised:
    import torch.distributed as dist

    plan, chunks = job.plan, TokenChunks(job.storage, f"{job.work}/tokens")
    fraction = plan.held_out_fraction if plan.candidates_every else 0.0
    num_chunks = tokenise(
        job.storage, job.rows, tokenizer, chunks, rank=rank, num_workers=num_workers, held_out_fraction=fraction
    )
    if dist.is_initialized():
        dist.barrier()
    data = open_rows(chunks, num_chunks, plan.max_seq_len)
    if not len(data.train):
        raise StageError(
            f"None of the {data.num_skipped} rows fits into training.max_seq_len = {plan.max_seq_len} tokens; raise it."
        )
    if fraction and not len(data.held_out):
        raise StageError(
            f"training.selection.held_out_fraction = {fraction} holds out none of the mixture's prompts; raise it, or "
            "unset training.selection.every_steps."
        )
    return data


def _engine(
    job: Job, schedule: Schedule, num_workers: int, local_rank: int
) -> tuple[Any, Progress, dict[str, Any], bool]:
    """The engine, in the state of the last checkpoint if there is one; progress, what else was stored, fused loss."""
    import ray.train
    import torch

    from siked_ray.training.model import load_model, wrap

    plan = job.plan
    bfloat16 = plan.precision == "bfloat16" or (plan.precision == "auto" and job.use_gpu)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    model, fused = load_model(job.start, plan, dtype=dtype, on_gpu=job.use_gpu)
    settings: dict[str, Any] = {"num_steps": len(schedule), "num_workers": num_workers, "bfloat16": bfloat16}
    checkpoint: Any = ray.train.get_checkpoint()
    if checkpoint is None:
        return wrap(model, plan, **settings), Progress(), {}, fused
    with checkpoint.as_directory() as place:
        folder = Path(place)
        if not needs_resharding(read_facts(folder), num_workers):
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
    data: Tokenised,
    worker: Worker,
    publish: Callable[[str], None],
    found: list[dict[str, Any]],
) -> Candidates:
    if not job.plan.held_out_fraction:
        return AllExported(folder=candidates_folder(job.output), export_to=publish, found=found)
    return BestByLoss(
        evaluate=lambda: held_out_loss(engine, data.held_out, job.plan, worker),
        keep=lambda: publish(job.output),
        found=found,
    )


def _publish(job: Job, engine: Any, tokenizer: Any, rank: int, output: str) -> None:
    """Export the present weights; the ledger says later whether they count."""
    with tempfile.TemporaryDirectory(prefix="siked-export-") as folder:
        export(engine.module, tokenizer, folder, rank=rank)
        if rank == 0:
            job.storage.upload_folder(Path(folder), output)


def _pad_token_id(tokenizer: Any) -> int:
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
