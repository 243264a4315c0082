"""The settings of one training stage, as plain values."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from siked_ray.core.chat_format import PLAIN, ChatFormat


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """Where training ends instead of after its epochs: after so many optimizer steps, or with the step that reaches so
    many tokens; rows come again for as long as that takes."""

    steps: int | None = None
    tokens: int | None = None

    def num_steps(self, tokens_S: Sequence[int]) -> int | None:
        """How many of the steps planned so far, which train on `tokens_S` tokens each, are enough; None where they are
        too few."""
        if self.steps is not None:
            return self.steps if len(tokens_S) >= self.steps else None
        reached = (step for step, total in enumerate(accumulate(tokens_S), 1) if total >= (self.tokens or 0))
        return next(reached, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """How a mixture is trained on. `lora_rank` 0 is full fine-tuning; `micro_batch_size` is per worker, while
    `rows_per_step` is what all workers do together before an update, however many they are. Without `shuffle` the
    rows come in the order of the files, as in a curriculum.

    With `candidates_every` (steps), the weights of those steps and the last ones are candidates: `held_out_fraction` of
    the prompts are kept out of training, and their loss chooses; where it is 0 all candidates are exported.

    `base_precision` "nf4" keeps the base under an adapter in 4 bits.

    With `shared_prompts` rows of equal prompts are trained on together, and their prompt is computed once.

    `length` ends training in the place of `epochs`.
    """

    seed: int
    shuffle: bool
    epochs: int
    micro_batch_size: int
    rows_per_step: int
    max_seq_len: int
    learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    gradient_checkpointing: bool
    loss_on: str
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    zero_stage: int
    precision: str
    trust_remote_code: bool
    chat: ChatFormat = PLAIN
    offload_optimizer: bool = False
    offload_parameters: bool = False
    candidates_every: int | None = None
    held_out_fraction: float = 0.0
    shared_prompts: bool = False
    base_precision: str | None = None
    length: Length | None = None

    def values(self) -> dict[str, Any]:
        """What tells this plan from others; as it was for plans that did not know what was added since 0.1."""
        added: dict[str, Any] = {"chat": PLAIN, "shared_prompts": False, "base_precision": None, "length": None}
        unchanged = {name for name, default in added.items() if getattr(self, name) == default}
        return {name: value for name, value in asdict(self).items() if name not in unchanged}

    def num_micro_steps(self, num_workers: int) -> int:
        """Micro steps in which so many workers do the rows of a step; in the last one some may have nothing to do."""
        return -(-self.rows_per_step // (self.micro_batch_size * num_workers))
