"""What a training step minimises: classes with one method, and which of them a spec means."""

from dataclasses import dataclass
from typing import Any, Protocol

from siked_ray.core.objective import ObjectiveSpec
from siked_ray.errors import StageError
from siked_ray.training.compute.tensors import Batch, attention_spans

#: End-of-sequence tokens of student and teacher, where they are two.
Ends = tuple[int, int] | None


class Objective(Protocol):
    """A loss that the training loop can minimise."""

    def loss(self, model: Any, batch: Batch, device: Any) -> Any:
        """Sum over the batch's targets of their loss in nats, as a float32 scalar tensor.

        A sum, so that the caller can divide by the targets of the whole optimizer step, over all workers and micro
        batches: every target then weighs the same. A batch without targets gives 0, and a gradient of 0 all the same.
        """
        ...


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """How unlikely the targets are. Logits are made where a target is predicted and nowhere else.

    `fused` leaves loss and logits to the model's own forward, which Liger has replaced by a kernel. It is told the
    targets by what predicts them, since one place may predict several; of none at all it could make nothing.
    """

    fused: bool = False

    def loss(self, model: Any, batch: Batch, device: Any) -> Any:
        import torch

        inputs = model_inputs(batch, device)
        inputs["logits_to_keep"] = on_device(batch.predictors_L, device)
        targets_L = on_device(batch.targets_L, device)
        if self.fused and len(targets_L):
            one = torch.tensor(1, device=device)
            targets_1L = targets_L[None]
            return model(**inputs, labels=targets_1L, shift_labels=targets_1L, num_items_in_batch=one).loss
        logits_1LV = model(**inputs).logits
        return torch.nn.functional.cross_entropy(logits_1LV[0].float(), targets_L, reduction="sum")


def objective_of(spec: ObjectiveSpec, *, fused: bool = False, teacher: Any = None, ends: Ends = None) -> Objective:
    """The objective that a spec means.

    `fused`: the model's own forward gives cross-entropy (see `CrossEntropy`). `teacher` is a frozen model on the
    worker's device, for an objective that holds the student against one; `ends` are the end-of-sequence tokens of
    student and teacher, where they are two. Raises StageError for a name that there is
    not; settings refuse it before anything runs.
    """
    match spec.kind:
        case "cross_entropy":
            return CrossEntropy(fused=fused)
        case "forward_kl" | "reverse_kl" | "jsd" | "hidden_mse":
            from siked_ray.training.compute.distillation import distillation_of

            return distillation_of(spec, teacher, ends)
        case unknown:
            raise StageError(f"There is no objective {unknown!r}; siked_ray/training/compute/objectives.py has all.")


def model_inputs(batch: Batch, device: Any) -> dict[str, Any]:
    """What a model's forward takes of a packed batch, but for where logits are wanted."""
    spans = attention_spans(batch)
    return {
        "input_ids": on_device(batch.input_ids_T, device)[None],
        "position_ids": on_device(batch.position_ids_T, device)[None],
        "use_cache": False,
        **{name: value if isinstance(value, int) else on_device(value, device) for name, value in spans.items()},
    }


def on_device(array: Any, device: Any) -> Any:
    """A tensor of an array's values."""
    import torch

    return torch.from_numpy(array).to(device)
