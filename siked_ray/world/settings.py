"""Provisional settings of the demo's models; being tuned (see docs/world.md)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyLlama:
    """Sizes of a Llama model with tied embeddings; the vocabulary is the tokenizer's."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_positions: int = 256
    rope_theta: float = 100.0
    initializer_range: float = 0.06


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretraining:
    """How a model is made from the bootstrap corpus. `batch_tokens` are tokens per optimizer step, over all workers."""

    model: TinyLlama
    num_examples: int
    corpus_seed: int
    batch_tokens: int
    learning_rate: float
    warmup_fraction: float = 0.05
    schedule: str = "cosine"
    min_lr_fraction: float = 0.05
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    max_grad_norm: float = 1.0
    epochs: int = 1
    seed: int = 0


_TINY = TinyLlama(hidden_size=96, num_layers=3, num_heads=3, intermediate_size=256)

TEACHER = Pretraining(model=_TINY, num_examples=48_000, corpus_seed=1, batch_tokens=768, learning_rate=3e-3)
STUDENT_BASE = Pretraining(model=_TINY, num_examples=9_000, corpus_seed=2, batch_tokens=768, learning_rate=3e-3)
