"""The loss of a packed batch."""

from typing import Any

from siked_ray.training.batch import Batch, attention_spans, labels_of

IGNORED = -100


def summed_loss(model: Any, batch: Batch, device: Any, *, fused: bool = False) -> Any:
    """Sum over the batch's targets of their cross-entropy in nats, as a float32 scalar tensor.

    A sum, so that the caller can divide by the targets of the whole optimizer step, over all workers and micro
    batches: every target then weighs the same. Logits are made where a target is predicted and nowhere else.
    `fused` leaves loss and logits to the model's own forward, which Liger has replaced by a kernel.
    """
    import torch

    def tensor(array: Any) -> Any:
        return torch.from_numpy(array).to(device)

    inputs: dict[str, Any] = {
        "input_ids": tensor(batch.input_ids_T)[None],
        "position_ids": tensor(batch.position_ids_T)[None],
        "use_cache": False,
        **{name: value if isinstance(value, int) else tensor(value) for name, value in attention_spans(batch).items()},
    }
    if fused:
        labels_1T = tensor(labels_of(batch, ignored=IGNORED))[None]
        return model(**inputs, labels=labels_1T, num_items_in_batch=torch.tensor(1, device=device)).loss
    logits_1LV = model(**inputs, logits_to_keep=tensor(batch.predictors_L)).logits
    return torch.nn.functional.cross_entropy(logits_1LV[0].float(), tensor(batch.targets_L), reduction="sum")
