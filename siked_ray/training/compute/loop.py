"""The training loop itself, on a DeepSpeed engine or a plain one; no Ray in it, so that it can be timed on any box."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from typing import Any, Protocol

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.errors import StageError
from siked_ray.training.compute.objectives import Objective
from siked_ray.training.compute.packing import PackedRow, in_micro_batches, share_of_worker
from siked_ray.training.compute.schedule import Schedule
from siked_ray.training.compute.tensors import collate


class TrainingEngine(Protocol):
    """What the loop asks of DeepSpeed's engine; `backward` averages over micro steps, `step` over workers."""

    device: Any

    def __call__(self, **inputs: Any) -> Any: ...
    def backward(self, loss: Any) -> Any: ...
    def step(self) -> Any: ...


class Due(IntEnum):
    """What all workers do together after a step: nothing, look whether a node is about to be taken away, checkpoint,
    checkpoint and tell that the run may end."""

    NOTHING = 0
    LOOK = 1
    CHECKPOINT = 2
    LAST_CHECKPOINT = 3


@dataclass(slots=True)
class Progress:
    """What has been done: optimizer steps, tokens of the rows, seconds spent in steps, those of them that were spent
    waiting for data, tokens that were computed (fewer where prompts are shared), mean loss per target of each step."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    computed_tokens: int = 0
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """Which of the workers this is, and the token of a micro batch that has no rows."""

    rank: int = 0
    num_workers: int = 1
    pad_token_id: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hooks:
    """What goes on around the steps. All workers call `after_step(progress, due)`; `due` is what `what_is_due()` said
    on the first of them after that step, so that they agree on what the clock alone can tell."""

    after_step: Callable[[Progress, Due], None] = lambda progress, due: None
    what_is_due: Callable[[], Due] = lambda: Due.NOTHING


def train(
    engine: TrainingEngine,
    objective: Objective,
    rows: Iterator[PackedRow],
    schedule: Schedule,
    plan: TrainingPlan,
    worker: Worker,
    *,
    progress: Progress | None = None,
    hooks: Hooks | None = None,
) -> Progress:
    """Run the optimizer steps that `progress` has not seen yet; `rows` are this worker's of those steps, in order.

    Raises StageError when the loss is not finite.
    """
    progress, hooks = progress or Progress(), hooks or Hooks()
    for step in range(progress.steps, len(schedule)):
        started = time.perf_counter()
        micro_batches = micro_batches_of(rows, schedule.num_rows(step), plan, worker)
        progress.waited_s += time.perf_counter() - started
        _seed_dropout(plan, step, worker.rank)
        num_targets = int(schedule.num_targets[step])
        loss, num_computed, due = _step(engine, objective, micro_batches, num_targets, plan, worker, hooks.what_is_due)
        if not math.isfinite(loss):
            raise StageError(
                f"The loss is not finite at step {step + 1}; lower training.learning_rate or training.max_grad_norm."
            )
        progress.losses.append(loss)
        progress.steps = step + 1
        progress.tokens += int(schedule.num_tokens[step])
        progress.computed_tokens += num_computed
        progress.seconds += time.perf_counter() - started
        hooks.after_step(progress, due)
    return progress


def micro_batches_of(
    rows: Iterator[PackedRow], num_rows: int, plan: TrainingPlan, worker: Worker
) -> list[Sequence[PackedRow]]:
    """The next rows as this worker's micro batches of a step, which has `num_rows` rows over all workers."""
    num_mine = len(share_of_worker(num_rows, rank=worker.rank, num_workers=worker.num_workers))
    mine = list(islice(rows, num_mine))
    assert len(mine) == num_mine, f"the data ended {num_mine - len(mine)} rows before the step did"
    num_micro_steps = plan.num_micro_steps(worker.num_workers)
    return in_micro_batches(mine, micro_batch_size=plan.micro_batch_size, num_micro_steps=num_micro_steps)


def _step(
    engine: TrainingEngine,
    objective: Objective,
    micro_batches: Sequence[Sequence[PackedRow]],
    num_targets: int,
    plan: TrainingPlan,
    worker: Worker,
    what_is_due: Callable[[], Due],
) -> tuple[float, int, Due]:
    """One optimizer step with `num_targets` targets over all workers; the mean loss per target, tokens that were
    computed, and what the first worker's clock says."""
    # DeepSpeed averages over workers and micro steps; undo both, so that each target weighs 1 / num_targets.
    scale = worker.num_workers * len(micro_batches) / max(num_targets, 1)
    local_loss: Any = 0.0
    num_computed = 0
    for micro_rows in micro_batches:
        batch = collate(
            micro_rows,
            pad_token_id=worker.pad_token_id,
            loss_on=plan.loss_on,
            shared_prompts=plan.shared_prompts,
        )
        loss = objective.loss(engine, batch, engine.device)
        engine.backward(loss * scale)
        engine.step()
        num_computed += len(batch.input_ids_T)
        local_loss += loss.detach().double()
    due = what_is_due() if worker.rank == 0 else Due.NOTHING
    values = [float(local_loss), float(num_computed), float(due)]
    total, computed, due_at_first = sum_over_workers(values, engine.device)
    return total / max(num_targets, 1), int(computed), Due(int(due_at_first))


def sum_over_workers(values: Sequence[float], device: Any) -> list[float]:
    """Sums over all workers, in double precision."""
    import torch
    import torch.distributed as dist

    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor.tolist()


def _seed_dropout(plan: TrainingPlan, step: int, rank: int) -> None:
    """Dropout's random numbers are a function of seed, step and worker: a resumed stage draws the same ones."""
    if plan.lora_rank and plan.lora_dropout:
        import numpy as np
        import torch

        torch.manual_seed(int(np.random.SeedSequence([plan.seed, step, rank]).generate_state(1)[0]))
