"""Sizes and training settings of the demo's teacher and base student, found by experiment (docs/world.md)."""

from dataclasses import dataclass
from enum import StrEnum


class PromptForm(StrEnum):
    """Which prompt a model is made for: few-shot per strategy, or the student's with its tag in the response."""

    TEACHER = "teacher"
    STUDENT = "student"


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyLlama:
    """Sizes of a Llama model with tied embeddings; the vocabulary is the tokenizer's.

    The initialisation matters at this size. Matrices are normal with `initializer_range`; then the
    embedding is multiplied by `embedding_gain` and every `o_proj` and `down_proj` by `output_gain`, so that a
    layer starts as a small change of the token it reads. A small `rope_theta` keeps every pair of
    dimensions of a head useful within a short context.
    """

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_positions: int = 256
    rope_theta: float = 100.0
    initializer_range: float = 0.06
    embedding_gain: float = 3.0
    output_gain: float = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretraining:
    """How a model is made from nothing: one pass over `curriculum(settings)`, in its order.

    `batch_tokens` are the tokens of one optimizer step over all workers. Small steps are what learns
    fast here; AdamW, linear warm-up, cosine decay, loss on the response only.
    """

    model: TinyLlama
    prompt_form: PromptForm
    num_first_drills: int
    num_mixed_drills: int
    num_problems: int
    corpus_seed: int
    batch_tokens: int = 512
    learning_rate: float = 1.5e-3
    warmup_fraction: float = 0.02
    min_lr_fraction: float = 0.05
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    max_grad_norm: float = 1.0
    seed: int = 0


TINY = TinyLlama(hidden_size=96, num_layers=3, num_heads=3, intermediate_size=256)

TEACHER = Pretraining(
    model=TINY,
    prompt_form=PromptForm.TEACHER,
    num_first_drills=18_000,
    num_mixed_drills=12_000,
    num_problems=26_000,
    corpus_seed=1,
)

STUDENT_BASE = Pretraining(
    model=TINY,
    prompt_form=PromptForm.STUDENT,
    num_first_drills=18_000,
    num_mixed_drills=2_000,
    num_problems=3_000,
    corpus_seed=2,
)
