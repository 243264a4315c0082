"""The precision of a training stage: a run goes on in the one that it was begun in."""

from siked_ray.training.compute.loop import sum_over_workers
from siked_ray.training.compute.precision import BFLOAT16, FLOAT32, gains_by_bfloat16
from siked_ray.training.stage.checkpoint import Facts
from siked_ray.training.stage.job import Job

_AUTO = "auto"


def precision_of(job: Job, facts: Facts | None, num_workers: int) -> str:
    """What is asked for, was begun, or is faster on the processors of all workers; all of them call this at once."""
    import torch

    begun = begun_in(job, facts)
    if begun is not None:
        return begun
    gains = gains_by_bfloat16(job.start, trust_remote_code=job.plan.trust_remote_code)
    (num_gaining,) = sum_over_workers([float(gains)], torch.device("cpu"))
    return BFLOAT16 if num_gaining == num_workers else FLOAT32


def begun_in(job: Job, facts: Facts | None) -> str | None:
    """The precision that is asked for, or that of the checkpoint or of the run's stages before; None where the
    processors decide. Checkpoints without one are older than bfloat16 on CPUs."""
    if job.plan.precision != _AUTO:
        return job.plan.precision
    usual = BFLOAT16 if job.use_gpu else FLOAT32
    if facts is not None:
        return facts.precision or usual
    return job.precision or (usual if job.use_gpu else None)
