"""How the embedded world's models are made: sizes, texts and steps, found by experiment (docs/world.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from siked_ray.core.ids import content_hash
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response, teacher_prompt
from siked_ray.core.strategy import Strategy
from siked_ray.world.problems import bootstrap_corpus


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A tiny Llama from scratch. One text per corpus problem, in a random strategy, each seen once.

    `few_shot`: the texts are a teacher's prompts, else a student's with its tag. An optimizer step takes
    `rows_per_step` packed rows of `max_seq_len` tokens. `rope_theta` is small because positions are few.
    """

    few_shot: bool
    num_problems: int
    seed: int
    hidden_size: int = 96
    intermediate_size: int = 256
    num_layers: int = 3
    num_heads: int = 3
    context: int = 512
    rope_theta: float = 100.0
    initializer_range: float = 0.06
    rows_per_step: int = 3
    max_seq_len: int = 256
    learning_rate: float = 3e-3
    warmup_steps: int = 150


RECIPES = {
    "world:teacher": Recipe(few_shot=True, num_problems=48_000, seed=1),
    "world:student": Recipe(few_shot=False, num_problems=9_000, seed=2, warmup_steps=30),
    "world:small-teacher": Recipe(few_shot=True, num_problems=6_000, seed=1, warmup_steps=30),
    "world:small-student": Recipe(few_shot=False, num_problems=2_000, seed=2, warmup_steps=30),
}


def pretraining_rows(
    recipe: Recipe, strategies: Sequence[Strategy], templates: PromptTemplates
) -> list[dict[str, str]]:
    """Rows {request_id, prompt, response} of a recipe."""
    rng = Random(int(content_hash("pretraining", recipe.seed), 16))
    problems = bootstrap_corpus(recipe.num_problems, recipe.seed)
    rows = []
    for index, problem in enumerate(problems):
        strategy = rng.choice(list(strategies))
        rationale = problem.rationales[strategy.name]
        if recipe.few_shot:
            prompt, response = teacher_prompt(templates, strategy, problem.question), f" {rationale}"
        else:
            prompt, response = student_prompt(templates, problem.question), student_response(strategy.name, rationale)
        rows.append({"request_id": f"{index:08d}", "prompt": prompt, "response": response})
    return rows


def random_model(recipe: Recipe, folder: str | Path) -> None:
    """Write a random model of the recipe's size, with the world's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from siked_ray.world.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=_rounded_up(len(tokenizer)),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.num_layers,
        num_attention_heads=recipe.num_heads,
        num_key_value_heads=recipe.num_heads,
        max_position_embeddings=recipe.context,
        rope_parameters={"rope_type": "default", "rope_theta": recipe.rope_theta},
        initializer_range=recipe.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _rounded_up(num_tokens: int, multiple: int = 64) -> int:
    return -(-num_tokens // multiple) * multiple
