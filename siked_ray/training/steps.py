"""The training loop itself, on a DeepSpeed engine; no Ray in it, so that it can be timed on any box."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from siked_ray.errors import StageError
from siked_ray.training.loss import summed_loss
from siked_ray.training.packing import Example, collate, num_loss_tokens, rows_of_worker
from siked_ray.training.plan import TrainingPlan, plan_steps


@dataclass(slots=True)
class TrainingResult:
    """What a stage did: optimizer steps, tokens without padding, seconds, mean loss per target of each step."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


Report = Callable[[int, int, float, int], None]


def train(
    engine: Any,
    examples: Sequence[Example],
    plan: TrainingPlan,
    *,
    rank: int,
    num_workers: int,
    pad_token_id: int,
    report: Report,
) -> TrainingResult:
    """Run all optimizer steps; calls `report(step, num_steps, loss, tokens)` after each. Raises StageError on NaN."""
    steps = plan_steps(plan, examples, num_workers)
    result = TrainingResult()
    started = time.perf_counter()
    for step, rows in enumerate(steps):
        loss = _step(engine, examples, rows, plan, rank, num_workers, pad_token_id)
        if not math.isfinite(loss):
            raise StageError(
                f"The loss is not finite at step {step + 1}; lower training.learning_rate or training.max_grad_norm."
            )
        result.losses.append(loss)
        result.tokens += sum(len(examples[index]) for row in rows for index in row)
        report(step + 1, len(steps), loss, result.tokens)
    result.steps, result.seconds = len(steps), time.perf_counter() - started
    return result


def _step(
    engine: Any,
    examples: Sequence[Example],
    rows: Sequence[list[int]],
    plan: TrainingPlan,
    rank: int,
    num_workers: int,
    pad_token_id: int,
) -> float:
    """One optimizer step; returns the mean loss per target over all workers."""
    num_targets = sum(num_loss_tokens(row, examples, plan.loss_on) for row in rows)
    # DeepSpeed averages over workers and micro steps; undo both, so that each target weighs 1 / num_targets.
    scale = num_workers * plan.gradient_accumulation / max(num_targets, 1)
    micro_batches = rows_of_worker(
        rows,
        rank=rank,
        num_workers=num_workers,
        micro_batch_size=plan.micro_batch_size,
        num_micro_steps=plan.gradient_accumulation,
    )
    local_loss = 0.0
    for micro_rows in micro_batches:
        batch = collate(
            micro_rows, examples, max_seq_len=plan.max_seq_len, pad_token_id=pad_token_id, loss_on=plan.loss_on
        )
        loss = summed_loss(engine, batch, engine.device)
        engine.backward(loss * scale)
        engine.step()
        local_loss += loss.item()
    return _sum_over_workers(local_loss, engine.device) / max(num_targets, 1)


def _sum_over_workers(value: float, device: Any) -> float:
    import torch
    import torch.distributed as dist

    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor.item()
