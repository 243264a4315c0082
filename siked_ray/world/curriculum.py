"""How the embedded world's models are made from nothing: sizes, texts, steps, found by experiment (docs/world.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from siked_ray.core.ids import content_hash
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response, teacher_prompt
from siked_ray.core.strategy import Strategy
from siked_ray.world.drills import drills
from siked_ray.world.word_problems import WorldProblem, bootstrap_corpus

#: Tokens that the shortest and the longest of the world's prompts and completions stay far below.
CONTEXT = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Curriculum:
    """One pass over a curriculum: drills first, then worked problems with a few drills among them.

    `few_shot`: the problems are put as a teacher is asked, else as a student is, which answers with its tag. The
    strategy of each problem is drawn uniformly, so that a base student knows the tags and has no skill at choosing.
    """

    few_shot: bool
    num_first_drills: int
    num_mixed_drills: int
    num_problems: int
    seed: int
    learning_rate: float = 1.5e-3
    #: Packed rows of CONTEXT tokens per optimizer step: small steps are what learns fast here.
    rows_per_step: int = 2
    warmup_steps: int = 100
    hidden_size: int = 96
    intermediate_size: int = 256
    num_layers: int = 3
    num_heads: int = 3
    #: Small, because positions are few: every pair of dimensions of a head stays useful.
    rope_theta: float = 100.0
    #: Matrices are normal with this deviation; then embedding and the two output projections of each layer are
    #: scaled, so that a layer starts as a small change of the token that it reads.
    initializer_range: float = 0.06
    embedding_gain: float = 3.0
    output_gain: float = 0.3


CURRICULA = {
    "world:teacher": Curriculum(
        few_shot=True, num_first_drills=18_000, num_mixed_drills=12_000, num_problems=26_000, seed=1
    ),
    "world:student": Curriculum(
        few_shot=False, num_first_drills=18_000, num_mixed_drills=2_000, num_problems=3_000, seed=2
    ),
    "world:large-student": Curriculum(
        few_shot=False,
        num_first_drills=18_000,
        num_mixed_drills=2_000,
        num_problems=3_000,
        seed=2,
        hidden_size=128,
        intermediate_size=344,
        num_heads=4,
    ),
    "world:small-teacher": Curriculum(
        few_shot=True, num_first_drills=6_000, num_mixed_drills=1_000, num_problems=4_000, seed=1
    ),
    "world:small-student": Curriculum(
        few_shot=False, num_first_drills=6_000, num_mixed_drills=500, num_problems=1_000, seed=2
    ),
}


def pretraining_rows(
    curriculum: Curriculum, strategies: Sequence[Strategy], templates: PromptTemplates
) -> list[dict[str, str]]:
    """Rows {request_id, prompt, response} in training order; no problem of train or test is among them."""
    rng = Random(int(content_hash("curriculum", curriculum.seed), 16))
    exercises = drills(curriculum.num_first_drills + curriculum.num_mixed_drills, curriculum.seed)
    problems = bootstrap_corpus(curriculum.num_problems, curriculum.seed)
    mixed = [_worked(problem, curriculum.few_shot, rng.choice(list(strategies)), templates) for problem in problems]
    mixed += exercises[curriculum.num_first_drills :]
    rng.shuffle(mixed)
    rows = exercises[: curriculum.num_first_drills] + mixed
    return [
        {"request_id": f"{index:08d}", "prompt": prompt, "response": response}
        for index, (prompt, response) in enumerate(rows)
    ]


def _worked(problem: WorldProblem, few_shot: bool, strategy: Strategy, templates: PromptTemplates) -> tuple[str, str]:
    rationale = problem.rationales[strategy.name]
    if few_shot:
        return teacher_prompt(templates, strategy, problem.question), f" {rationale}"
    return student_prompt(templates, problem.question), student_response(strategy.name, rationale)


def random_model(curriculum: Curriculum, folder: str | Path) -> None:
    """Write a random model of this size, with the world's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from siked_ray.world.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    torch.manual_seed(curriculum.seed)
    config = LlamaConfig(
        vocab_size=_rounded_up(len(tokenizer)),
        hidden_size=curriculum.hidden_size,
        intermediate_size=curriculum.intermediate_size,
        num_hidden_layers=curriculum.num_layers,
        num_attention_heads=curriculum.num_heads,
        num_key_value_heads=curriculum.num_heads,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": curriculum.rope_theta},
        initializer_range=curriculum.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("embed_tokens.weight"):
                weight.mul_(curriculum.embedding_gain)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.mul_(curriculum.output_gain)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _rounded_up(num_tokens: int, multiple: int = 64) -> int:
    return -(-num_tokens // multiple) * multiple
