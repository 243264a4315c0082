"""The loss of a packed batch."""

from typing import Any

from siked_ray.training.packing import IGNORED, Batch


def summed_loss(model: Any, batch: Batch, device: Any) -> Any:
    """Sum over the batch's targets of their cross-entropy in nats, as a float32 scalar tensor.

    A sum, so that the caller can divide by the tokens of the whole optimizer step, over all workers and
    micro batches: every target then weighs the same. Without an attention mask, transformers derives a
    block-diagonal causal mask from restarting positions: packed examples never see each other.
    """
    import torch

    input_ids_BT, labels_BT, position_ids_BT = (
        torch.from_numpy(array).to(device) for array in (batch.input_ids_BT, batch.labels_BT, batch.position_ids_BT)
    )
    logits_BTV = model(input_ids=input_ids_BT, position_ids=position_ids_BT, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1).float(),
        labels_BT[:, 1:].flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
