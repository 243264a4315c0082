"""What every training worker runs; Ray Train has placed it and set up the process group."""

from typing import Any

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.startup import garbage_collector_paused
from siked_ray.training.compute.loop import train
from siked_ray.training.stage.job import Job
from siked_ray.training.stage.start import Stopwatch, start


def run_worker(job: Job, preparing: Any) -> dict[str, Any]:
    """Train and export; the counters of the stage. Called by Ray Train on every worker.

    `preparing` is the Ray reference of what `preparation.prepare` returns.
    """
    import torch.distributed as dist

    watch = Stopwatch()
    with garbage_collector_paused():
        this = start(job, preparing, watch)
    schedule, progress, resumed_at = this.data.schedule, this.progress, this.progress.steps
    hooks = this.around.hooks()
    train(this.engine, this.objective, this.rows, schedule, this.plan, this.worker, progress=progress, hooks=hooks)
    watch.lap("steps")
    if job.plan.candidates_every:
        this.candidates.consider(progress.steps)
    else:
        this.publish(job.output)
    this.around.close()
    if dist.is_initialized():
        dist.barrier()
    watch.lap("export")
    return {
        "steps": progress.steps,
        "tokens": progress.tokens,
        "seconds": progress.seconds,
        "waited_s": progress.waited_s,
        "first_loss": progress.losses[0],
        "last_loss": progress.losses[-1],
        "losses": progress.losses,
        "precision": this.precision,
        "shared_prompts": this.plan.shared_prompts,
        "computed_tokens": progress.computed_tokens,
        "skipped": this.data.num_skipped,
        "padding": 1 - progress.tokens / (len(schedule.ends) * job.plan.max_seq_len),
        "workers_at_end": this.worker.num_workers,
        "resumed_at_step": resumed_at,
        "overhead_s": {name: watch.seconds[name] for name in ("imports", "data", "model", "export")},
        "candidates": this.candidates.found,
        "warnings": [*_unheeded(job.plan, this.plan), *this.around.warnings],
    }


def _unheeded(asked: TrainingPlan, done: TrainingPlan) -> list[str]:
    """What of a plan the student cannot be trained by."""
    if asked.shared_prompts == done.shared_prompts:
        return []
    return ["training.shared_prompts has no effect: the student's attention has windows, or is not torch's own."]
