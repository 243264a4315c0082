"""One process without DeepSpeed behind the interface of its engine: to time the compute core alone, and in tests."""

from typing import Any


class PlainEngine:
    """A model and a torch optimizer; gradients are averaged over the micro steps, then clipped."""

    def __init__(
        self, model: Any, optimizer: Any, scheduler: Any, *, num_micro_steps: int, max_grad_norm: float
    ) -> None:
        self.module = model
        self.device = next(model.parameters()).device
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._num_micro_steps = num_micro_steps
        self._max_grad_norm = max_grad_norm
        self._micro_step = 0

    def __call__(self, **inputs: Any) -> Any:
        return self.module(**inputs)

    def backward(self, loss: Any) -> None:
        (loss / self._num_micro_steps).backward()

    def step(self) -> None:
        """An optimizer step after the last micro step of a step, as DeepSpeed does."""
        import torch

        self._micro_step += 1
        if self._micro_step % self._num_micro_steps == 0:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self._max_grad_norm)
            self._optimizer.step()
            self._scheduler.step()
            self._optimizer.zero_grad()
