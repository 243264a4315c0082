"""The teacher that a worker holds its student against, and the objective that does."""

from typing import Any

from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.model_folder import described_model, local_model
from siked_ray.data.same_tokens import ends_differ, tokens_differ
from siked_ray.errors import ModelError
from siked_ray.training.compute.objectives import Ends, Objective, objective_of
from siked_ray.training.stage.job import Job


def load_beside(job: Job, dtype: Any) -> Any:
    """The teacher; None where the objective needs none in the worker."""
    from siked_ray.training.compute.model import load_teacher

    if not job.teacher:
        return None
    return load_teacher(local_model(job.teacher), job.plan, dtype=dtype, on_gpu=job.use_gpu)


def objective_beside(job: Job, engine: Any, teacher: Any, tokenizer: Any, *, fused: bool) -> Objective:
    """The job's objective. Raises ModelError where the student cannot be held against a teacher, or not this one."""
    from siked_ray.training.compute.head import check_head

    if job.objective.with_teacher or teacher is not None:
        check_head(engine, engine.device)
    if teacher is not None:
        teacher.to(engine.device)
    return objective_of(job.objective, fused=fused, teacher=teacher, ends=_ends(job, tokenizer))


def _ends(job: Job, tokenizer: Any) -> Ends:
    """The ends of student and teacher, where they differ; ModelError where other tokens do."""
    if not job.teacher:
        return None
    of_teacher = load_tokenizer(described_model(job.teacher), trust_remote_code=job.plan.trust_remote_code)
    if difference := tokens_differ(tokenizer, of_teacher):
        raise ModelError(f"The student cannot be held against {job.teacher} token by token: {difference}.")
    return ends_differ(tokenizer, of_teacher)
