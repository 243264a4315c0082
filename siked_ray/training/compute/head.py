"""A model's head and a loss on its logits, some targets at a time: logits of all targets never exist together.

Shape suffixes: T tokens, L targets, N targets of a chunk, H width, V vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from siked_ray.errors import ModelError
from siked_ray.training.compute.objectives import model_inputs
from siked_ray.training.compute.packing import PackedRow
from siked_ray.training.compute.tensors import collate

#: Targets whose logits exist at a time: 0.13 GB in float32 with 128k tokens in the vocabulary.
CHUNK = 256
#: Of logits in bfloat16.
_ROUNDING = 0.02
_FEW_TOKENS = PackedRow(np.arange(8, dtype=np.int32), np.zeros(1, dtype=np.int32), np.full(1, 8, dtype=np.int32))
#: (logits [N, V] in float32, which targets they are of) → their summed loss.
LossOfChunk = Callable[[Any, slice], Any]


def loss_at_head(
    model: Any,
    inputs: dict[str, Any],
    predictors_L: Any,
    loss_of: LossOfChunk,
    loss_of_hidden: Callable[[Any], Any] | None = None,
) -> Any:
    """The summed loss of all targets, as a float32 scalar through which gradients flow; `loss_of_hidden` ([L, H] → its
    summed loss) adds that of what comes to the head.

    Both are computed while the head runs, where DeepSpeed has brought its weights together, and a worker calls it once
    however many targets it has: under ZeRO 3 others wait for it.
    """
    head = head_of(model)
    found: list[Any] = []

    def instead(hidden_1LH: Any) -> Any:
        grad = torch.is_grad_enabled()
        loss = _ChunkedLoss.apply(hidden_1LH[0], head.weight, head.bias, loss_of, grad)
        if loss_of_hidden is not None:
            loss = loss + loss_of_hidden(hidden_1LH[0])
        return loss.reshape(1, 1, 1)

    watching = head.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    try:
        with _replaced(head, instead):
            model(**inputs, logits_to_keep=predictors_L)
    finally:
        watching.remove()
    return found[0].reshape(())


def hidden_at_head(model: Any, inputs: dict[str, Any], predictors_L: Any) -> Any:
    """What a model gives to its head at some tokens, [L, H], without any logits and without gradients."""
    found: list[Any] = []

    def instead(hidden_1LH: Any) -> Any:
        found.append(hidden_1LH[0])
        return hidden_1LH[:, :0]

    with torch.no_grad(), _replaced(head_of(model), instead):
        model(**inputs, logits_to_keep=predictors_L)
    return found[0]


def logits_of(model: Any, hidden_NH: Any) -> Any:
    """A model's logits [N, V], float32."""
    head = head_of(model)
    return finished(model, torch.nn.functional.linear(hidden_NH, head.weight, head.bias).float())


def finished(model: Any, logits: Any) -> Any:
    """What comes out of a model whose head gives `logits`: some families scale or cap them (Granite, Cohere, Gemma)."""
    config = whole(model).config
    if scaling := getattr(config, "logits_scaling", None):
        logits = logits / scaling
    if scale := getattr(config, "logit_scale", None):
        logits = logits * scale
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = cap * torch.tanh(logits / cap)
    return logits


def check_head(model: Any, device: Any) -> None:
    """Raises ModelError where a model makes something else of its head's logits than `finished` does, in which case its
    losses here would not be its own. Called on every worker."""
    student = whole(model)
    inputs = model_inputs(collate([_FEW_TOKENS], pad_token_id=0, loss_on="all"), device)
    places = torch.arange(len(_FEW_TOKENS.tokens), device=device)
    ours: list[Any] = []

    def loss_of(logits_NV: Any, which: slice) -> Any:
        ours.append(finished(model, logits_NV))
        return logits_NV.sum()

    was_training = student.training
    student.eval()
    with torch.no_grad():
        own = model(**inputs, logits_to_keep=places).logits[0].float()
        loss_at_head(model, inputs, places, loss_of)
    student.train(was_training)
    if (ours[0] - own).abs().max() > _ROUNDING * own.abs().max():
        raise ModelError(
            f"{type(student).__name__} cannot be held against a teacher: what it makes of its head's logits is not "
            "known here; train it with cross-entropy."
        )


def head_of(model: Any) -> Any:
    """The linear layer that makes logits, of a model or of an engine around one."""
    return whole(model).get_output_embeddings()


def whole(model: Any) -> Any:
    """The model itself, of one or of an engine around one."""
    return getattr(model, "module", model)


@contextmanager
def _replaced(head: Any, forward: Callable[[Any], Any]) -> Iterator[None]:
    before = vars(head).get("forward")
    head.forward = forward
    try:
        yield
    finally:
        if before is None:
            del head.forward
        else:
            head.forward = before


class _ChunkedLoss(torch.autograd.Function):
    """Gradients are made with the loss, as long as the logits of a chunk are there, instead of making them again."""

    @staticmethod
    def forward(ctx: Any, hidden_LH: Any, weight_VH: Any, bias_V: Any, loss_of: LossOfChunk, grad: bool) -> Any:
        wanted = [grad and needed for needed in ctx.needs_input_grad[:3]]
        like = (hidden_LH, weight_VH, bias_V)
        # Summed over chunks in float32, whatever the weights are in.
        grads = [
            torch.zeros_like(tensor, dtype=torch.float32) if is_wanted else None
            for tensor, is_wanted in zip(like, wanted, strict=True)
        ]
        total = torch.zeros((), dtype=torch.float32, device=hidden_LH.device)
        for start in range(0, len(hidden_LH), CHUNK):
            which = slice(start, start + CHUNK)
            hidden_NH = hidden_LH[which]
            logits_NV = torch.nn.functional.linear(hidden_NH, weight_VH, bias_V).float().requires_grad_(any(wanted))
            with torch.set_grad_enabled(any(wanted)):
                loss = loss_of(logits_NV, which)
            total += loss.detach()
            if any(wanted):
                grad_NV = torch.autograd.grad(loss, logits_NV)[0].to(hidden_LH.dtype)
                _add(grads, which, hidden_NH, weight_VH, grad_NV)
        ctx.grads, ctx.dtypes = grads, [tensor.dtype if tensor is not None else None for tensor in like]
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        scaled = [
            None if grad is None else (grad * grad_outputs[0]).to(dtype)
            for grad, dtype in zip(ctx.grads, ctx.dtypes, strict=True)
        ]
        return (*scaled, None, None)


def _add(grads: list[Any], which: slice, hidden_NH: Any, weight_VH: Any, grad_NV: Any) -> None:
    of_hidden, of_weight, of_bias = grads
    if of_hidden is not None:
        of_hidden[which] = grad_NV @ weight_VH
    if of_weight is not None:
        of_weight += grad_NV.T @ hidden_NH
    if of_bias is not None:
        of_bias += grad_NV.sum(0)
