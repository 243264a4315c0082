"""What a training stage does with its rows before the first step: tokens, lengths, and the plan of the steps.

A Ray Data pipeline tokenises the mixture's files in parts, in processes of its own, while the training workers start.
Tokens go to the run's storage; lengths alone, nine bytes a row, come together here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from siked_ray.core.objective import CROSS_ENTROPY, ObjectiveSpec
from siked_ray.core.training_plan import TrainingPlan
from siked_ray.data.model_folder import described_model
from siked_ray.data.task_dataset import task_dataset
from siked_ray.data.teacher_columns import TOP_K, check_top_k
from siked_ray.data.tokenising import TOKENISING, tokenizer_of_task
from siked_ray.errors import SikedError, StageError
from siked_ray.ray_internals import raised_by_task
from siked_ray.training.compute.attention import can_share_prompts
from siked_ray.training.compute.packing import Lengths
from siked_ray.training.compute.schedule import Schedule, plan_steps
from siked_ray.training.feed.scores_by_id import ScoresById
from siked_ray.training.feed.tokens import IS_WRONG, PROMPT_ID, Chunks, Part, parts_of, tokenise, window_of
from siked_ray.training.stage.job import Job

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_TASKS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """The tokenised mixture, the steps over it, and the held-out rows as steps (None: nothing is held out).

    `num_skipped` rows are left out because they are longer than a packed row. Examples are named by their position in
    the mixture. `shared_prompts`: whether rows of one prompt are trained on together, and the prompt is computed once.
    """

    chunks: Chunks
    schedule: Schedule
    held_out: Schedule | None
    num_skipped: int
    shared_prompts: bool = False


def prepare(job: Job) -> Prepared | SikedError:
    """Run as a Ray task. What goes wrong is returned, as trying again would not help: who waits for the result raises
    it."""
    try:
        job = replace(job, plan=replace(job.plan, shared_prompts=_shares_prompts(job)))
        return _planned(job.plan, _tokenised(job), job.objective)
    except Exception as error:
        cause = raised_by_task(error)
        if isinstance(cause, SikedError):
            return cause
        return StageError(f"The rows could not be tokenised: {type(cause).__name__}: {cause}")


def _shares_prompts(job: Job) -> bool:
    """Whether prompts are computed once: where that is asked for, and the attention of the student, and of a teacher
    beside it, can do it."""
    if not job.plan.shared_prompts:
        return False
    from transformers import AutoConfig

    trust = job.plan.trust_remote_code
    folders = [described_model(model) for model in (job.start, job.teacher) if model]
    return all(can_share_prompts(AutoConfig.from_pretrained(one, trust_remote_code=trust)) for one in folders)


def _tokenised(job: Job) -> "pa.Table":
    """One row {chunk, prompt_length, response_length, held_out} per chunk, in the order of the mixture."""
    import pyarrow as pa
    import ray

    tasks = [partial(_tokenise_part, job, part) for part in parts_of(job.storage, job.rows)]
    num_cpus = int(ray.cluster_resources().get("CPU", 1))
    at_once = min(max(num_cpus, 1), _MAX_TASKS_AT_ONCE)
    data = task_dataset(tasks, tasks_at_once=at_once, ordered=True, remote_args={"runtime_env": TOKENISING})
    tables, num_rows = [], 0
    for table in data.iter_batches(batch_size=None, batch_format="pyarrow"):
        tables.append(table)
        num_rows += sum(map(len, table["held_out"]))
        job.board.show(job.title, {"tokenised": f"{num_rows:,} rows"})
    return pa.concat_tables(tables)


def _tokenise_part(job: Job, part: Part) -> "Iterator[pa.Table]":
    """Runs in a process of its own, see `TOKENISING`."""
    plan = job.plan
    tokenizer = tokenizer_of_task(
        job.start, trust_remote_code=plan.trust_remote_code, log_path=f"{job.log_prefix}_tokens.log"
    )
    held_out_fraction = plan.held_out_fraction if plan.candidates_every else 0.0
    yield from tokenise(
        job.storage,
        part,
        tokenizer,
        f"{job.work}/tokens",
        held_out_fraction=held_out_fraction,
        with_teacher=job.objective.with_teacher,
        chat=plan.chat,
        shared_prompts=plan.shared_prompts,
        with_wrong=job.objective.corrects,
        with_tags=job.objective.beside_teacher,
        scores=ScoresById(job.storage, job.scores, tokenizer.eos_token_id) if job.scores else None,
    )


def _planned(plan: TrainingPlan, chunks: "pa.Table", objective: ObjectiveSpec = CROSS_ENTROPY) -> Prepared:
    import numpy as np

    with_teacher = objective.with_teacher
    if with_teacher:
        check_top_k(_values(chunks, TOP_K))
    window = window_of(with_teacher)
    sizes = [len(chunk) for chunk in chunks["held_out"]]
    prompt, response, held_out = (_values(chunks, name) for name in ("prompt_length", "response_length", "held_out"))
    lengths = Lengths(prompt, response, _values(chunks, PROMPT_ID) if plan.shared_prompts else None)
    fits = lengths.total <= plan.max_seq_len
    # What is held out decides by its text, and a wrong one is no text to learn.
    is_text = ~_values(chunks, IS_WRONG) if objective.corrects else np.ones(len(fits), dtype=bool)
    schedule = plan_steps(plan, lengths, np.flatnonzero(fits & ~held_out), window)
    if not len(schedule):
        raise StageError(
            f"None of the {len(fits) - fits.sum()} rows fits into training.max_seq_len = {plan.max_seq_len} tokens; "
            "raise it."
        )
    chooses_by_loss = bool(plan.candidates_every and plan.held_out_fraction)
    if chooses_by_loss and not (fits & held_out).any():
        raise StageError(
            f"training.selection.held_out_fraction = {plan.held_out_fraction} holds out none of the mixture's prompts; "
            "raise it, or unset training.selection.every_steps."
        )
    in_order = replace(plan, epochs=1, shuffle=False)
    names = tuple(chunks["chunk"].to_pylist())
    return Prepared(
        chunks=Chunks(
            names,
            np.cumsum([0, *sizes])[:-1],
            with_teacher=with_teacher,
            window=window,
            with_wrong=objective.corrects,
            with_tags=objective.beside_teacher,
        ),
        schedule=schedule,
        held_out=plan_steps(in_order, lengths, np.flatnonzero(fits & held_out & is_text)) if chooses_by_loss else None,
        num_skipped=int(len(fits) - fits.sum()),
        shared_prompts=plan.shared_prompts,
    )


def _values(chunks: "pa.Table", column: str) -> Any:
    return chunks[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
