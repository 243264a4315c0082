"""What a training stage does with its rows before the first step: tokens, lengths, and the plan of the steps.

A Ray Data pipeline tokenises the mixture's files in parts, in processes of its own, while the training workers start.
Tokens go to the run's storage; lengths alone, nine bytes a row, come together here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.model_folder import local_model
from siked_ray.data.task_dataset import task_dataset
from siked_ray.errors import SikedError, StageError
from siked_ray.logs import redirect_output
from siked_ray.startup import hide_torch
from siked_ray.training.job import Job
from siked_ray.training.packing import Lengths
from siked_ray.training.plan import Schedule, TrainingPlan, plan_steps
from siked_ray.training.tokens import Chunks, Part, parts_of, tokenise

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_TASKS_AT_ONCE = 64
#: Makes these processes no one else's, so that torch can be hidden from them.
_TOKENISING = {"env_vars": {"SIKED_TOKENISING": "1", "TRANSFORMERS_VERBOSITY": "error"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """The tokenised mixture, the steps over it, and the held-out rows as steps (None: nothing is held out).

    `num_skipped` rows are left out because they are longer than a packed row. Examples are named by their position in
    the mixture.
    """

    chunks: Chunks
    schedule: Schedule
    held_out: Schedule | None
    num_skipped: int


def prepare(job: Job) -> Prepared | SikedError:
    """Run as a Ray task. What goes wrong is returned, as trying again would not help: who waits for the result raises
    it."""
    try:
        return _planned(job.plan, _tokenised(job))
    except Exception as error:
        cause = getattr(error, "cause", None) or error  # what Ray wraps
        if isinstance(cause, SikedError):
            return cause
        return StageError(f"The rows could not be tokenised: {type(cause).__name__}: {cause}")


def _tokenised(job: Job) -> "pa.Table":
    """One row {chunk, prompt_length, response_length, held_out} per chunk, in the order of the mixture."""
    import pyarrow as pa
    import ray

    tasks = [partial(_tokenise_part, job, part) for part in parts_of(job.storage, job.rows)]
    num_cpus = int(ray.cluster_resources().get("CPU", 1))
    at_once = min(max(num_cpus, 1), _MAX_TASKS_AT_ONCE)
    data = task_dataset(tasks, tasks_at_once=at_once, ordered=True, remote_args={"runtime_env": _TOKENISING})
    tables, num_rows = [], 0
    for table in data.iter_batches(batch_size=None, batch_format="pyarrow"):
        tables.append(table)
        num_rows += sum(map(len, table["held_out"]))
        job.board.show.remote(job.title, {"tokenised": f"{num_rows:,} rows"})
    return pa.concat_tables(tables)


def _tokenise_part(job: Job, part: Part) -> "Iterator[pa.Table]":
    """Runs in a process of its own, see `_TOKENISING`."""
    redirect_output(Path(f"{job.log_prefix}_tokens.log"))
    plan = job.plan
    if not plan.trust_remote_code:
        hide_torch()
    tokenizer = load_tokenizer(local_model(job.start), trust_remote_code=plan.trust_remote_code)
    held_out_fraction = plan.held_out_fraction if plan.candidates_every else 0.0
    yield from tokenise(job.storage, part, tokenizer, f"{job.work}/tokens", held_out_fraction=held_out_fraction)


def _planned(plan: TrainingPlan, chunks: "pa.Table") -> Prepared:
    import numpy as np

    sizes = [len(chunk) for chunk in chunks["held_out"]]
    prompt, response, held_out = (_values(chunks, name) for name in ("prompt_length", "response_length", "held_out"))
    lengths = Lengths(prompt, response)
    fits = lengths.total <= plan.max_seq_len
    schedule = plan_steps(plan, lengths, np.flatnonzero(fits & ~held_out))
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
    return Prepared(
        chunks=Chunks(tuple(chunks["chunk"].to_pylist()), np.cumsum([0, *sizes])[:-1]),
        schedule=schedule,
        held_out=plan_steps(in_order, lengths, np.flatnonzero(fits & held_out)) if chooses_by_loss else None,
        num_skipped=int(len(fits) - fits.sum()),
    )


def _values(chunks: "pa.Table", column: str) -> Any:
    return chunks[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
