"""Choosing among the weights of several steps by their loss on held-out prompts; test sets have no say in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from siked_ray.training.batch import collate
from siked_ray.training.loss import summed_loss
from siked_ray.training.packing import pack_rows, rows_of_worker
from siked_ray.training.plan import TrainingPlan
from siked_ray.training.steps import Worker, sum_over_workers
from siked_ray.training.tokens import TokenisedRows


def held_out_loss(engine: Any, rows: TokenisedRows, plan: TrainingPlan, worker: Worker) -> float:
    """Mean loss per target over all held-out rows, in nats (called on every rank, each does its share)."""
    import torch

    packed: Any = list(pack_rows(rows.lengths.total.tolist(), range(len(rows)), plan.max_seq_len))
    mine = rows_of_worker(
        packed,
        rank=worker.rank,
        num_workers=worker.num_workers,
        micro_batch_size=plan.micro_batch_size,
        num_micro_steps=-(-len(packed) // (plan.micro_batch_size * worker.num_workers)),
    )
    total = 0.0
    engine.module.eval()
    with torch.no_grad():
        for micro_rows in mine:
            batch = collate(micro_rows, rows, pad_token_id=worker.pad_token_id, loss_on=plan.loss_on)
            total += float(summed_loss(engine, batch, engine.device))
    engine.module.train()
    (total,) = sum_over_workers([total], engine.device)
    return total / max(rows.lengths.num_targets(range(len(rows)), plan.loss_on), 1)


@dataclass(slots=True)
class Selection:
    """Candidates so far, as (step, held-out loss). `keep` exports the weights of the best one, in place of the last."""

    evaluate: Callable[[], float]
    keep: Callable[[], None]
    losses: list[tuple[int, float]] = field(default_factory=list)

    def consider(self, step: int) -> dict[str, float]:
        """Evaluate the present weights (called on every rank); what there is to log."""
        loss = self.evaluate()
        best = min((known for _, known in self.losses), default=float("inf"))
        self.losses.append((step, loss))
        if loss < best:
            self.keep()
        return {"held_out_loss": loss}

    def candidates(self) -> list[dict[str, Any]]:
        return [{"step": step, "held_out_loss": loss} for step, loss in self.losses]


@dataclass(slots=True)
class Collection:
    """Exports every candidate to `folder`, for others to choose among; its interface is that of Selection."""

    folder: str
    keep: Callable[[str], None]
    losses: list[tuple[int, float]] = field(default_factory=list)

    def consider(self, step: int) -> dict[str, float]:
        """Export the present weights (called on every rank)."""
        self.keep(self._model(step))
        self.losses.append((step, 0.0))
        return {}

    def candidates(self) -> list[dict[str, Any]]:
        return [{"step": step, "model": self._model(step)} for step, _ in self.losses]

    def _model(self, step: int) -> str:
        return f"{self.folder}/step_{step:07d}"
