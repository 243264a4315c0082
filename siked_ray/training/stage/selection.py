"""Choosing among the weights of several steps by their loss on held-out prompts; test sets have no say in it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.training.compute.loop import Worker, sum_over_workers
from siked_ray.training.compute.objectives import Objective
from siked_ray.training.compute.packing import PackedRow
from siked_ray.training.compute.tensors import collate


@dataclass(frozen=True, slots=True)
class HeldOut:
    """This worker's micro batches of the held-out rows, as many as every other worker's, and the targets of all."""

    micro_batches: Sequence[Sequence[PackedRow]]
    num_targets: int


def held_out_loss(engine: Any, objective: Objective, held_out: HeldOut, plan: TrainingPlan, worker: Worker) -> float:
    """Mean loss per target over all held-out rows, in nats (called on every rank, each does its share)."""
    import torch

    total = 0.0
    engine.module.eval()
    with torch.no_grad():
        for micro_rows in held_out.micro_batches:
            batch = collate(
                micro_rows,
                pad_token_id=worker.pad_token_id,
                loss_on=plan.loss_on,
                shared_prompts=plan.shared_prompts,
            )
            total += float(objective.loss(engine, batch, engine.device))
    engine.module.train()
    (total,) = sum_over_workers([total], engine.device)
    return total / max(held_out.num_targets, 1)


class Candidates(Protocol):
    """What becomes of the weights of several steps. `found` is stored in checkpoints and ends in the summary."""

    found: list[dict[str, Any]]

    def consider(self, step: int) -> dict[str, float]:
        """Look at the present weights (called on every rank); returns what there is to log."""


@dataclass(slots=True)
class BestByLoss:
    """`keep` exports the weights with the lowest held-out loss so far, in place of those before."""

    evaluate: Callable[[], float]
    keep: Callable[[], None]
    found: list[dict[str, Any]] = field(default_factory=list)

    def consider(self, step: int) -> dict[str, float]:
        loss = self.evaluate()
        before = [one["held_out_loss"] for one in self.found]
        best = min(filter(math.isfinite, before), default=math.inf)
        self.found.append({"step": step, "held_out_loss": loss})
        if loss < best:
            self.keep()
        return {"held_out_loss": loss}


def candidates_folder(output: str) -> str:
    """Where the candidates of the stage that makes `output` are kept, until it is committed."""
    return f"{output}-candidates"


@dataclass(slots=True)
class AllExported:
    """Every candidate is exported to a folder of `folder`, for the driver to choose among."""

    folder: str
    export_to: Callable[[str], None]
    found: list[dict[str, Any]] = field(default_factory=list)

    def consider(self, step: int) -> dict[str, float]:
        model = f"{self.folder}/step_{step:07d}"
        self.export_to(model)
        self.found.append({"step": step, "model": model})
        return {}
