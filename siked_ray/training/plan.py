"""The settings of one training stage as plain values, and what they come to in steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siked_ray.training.packing import Example, epoch_order, pack_rows, split_steps

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """How a mixture is trained on. `lora_rank` 0 is full fine-tuning; `micro_batch_size` is per worker. Without
    `shuffle` the rows come in the order of their ids, as in a curriculum."""

    seed: int
    shuffle: bool
    epochs: int
    micro_batch_size: int
    gradient_accumulation: int
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


def plan_steps(plan: TrainingPlan, examples: Sequence[Example], num_workers: int) -> "list[Sequence[list[int]]]":
    """Packed rows (of example indices) of every optimizer step of all epochs, for all workers together."""
    rows_per_step = plan.micro_batch_size * plan.gradient_accumulation * num_workers
    return [step for rows in _epochs(plan, examples) for step in split_steps(rows, rows_per_step)]


def _epochs(plan: TrainingPlan, examples: Sequence[Example]) -> "Iterator[list[list[int]]]":
    lengths = [len(example) for example in examples]
    for epoch in range(plan.epochs):
        order = range(len(examples))
        if plan.shuffle:
            order = epoch_order(len(examples), seed=plan.seed, epoch=epoch).tolist()
        yield pack_rows(lengths, order, plan.max_seq_len)
