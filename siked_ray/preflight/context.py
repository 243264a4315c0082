"""How long prompts are in tokens, and whether they fit into what a model can read and training packs."""

from collections.abc import Sequence

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.core.prompts import student_prompt, teacher_prompt
from siked_ray.data.encoding import encode_prompt
from siked_ray.errors import ConfigError
from siked_ray.generation.model_facts import ModelFacts
from siked_ray.recipes import recipe_named
from siked_ray.settings import STUDENT

#: Context of engines for a model that does not say its own.
DEFAULT_CONTEXT = 4096
#: The longest prompt is measured on the questions with most bytes, which need not be the ones with most tokens.
_LENGTH_SLACK = 1.25
#: Longest and shortest questions, by bytes, of which the prompts are measured in tokens.
_NUM_MEASURED = 32


def check_row_length(config: Config, student: ModelFacts, train: Sequence[Problem]) -> None:
    """A row of training is a prompt, a tag, a rationale and an end; ConfigError where the prompts leave no room."""
    if not student.known:
        return
    shortest, _ = longest_prompt_tokens(student, STUDENT, config, [problem.question for problem in train])
    if shortest >= config.training.max_seq_len:
        raise ConfigError(
            f"training.max_seq_len is {config.training.max_seq_len} tokens, and the student's shortest prompt has "
            f"{shortest} with its tag alone, so that no row of training would fit; raise it."
        )


def context_length(config: Config, role: str, facts: ModelFacts, questions: Sequence[str]) -> int:
    """Context with which a role's engines are opened: as long as needed, at most what the model can do."""
    asked = config.engine_of(role).max_model_len
    if not facts.known:
        return asked or DEFAULT_CONTEXT
    limit = min(facts.context or asked or DEFAULT_CONTEXT, asked or 1 << 30)
    new_tokens = config.generation.max_new_tokens
    if not _is_few_shot(role, config):
        new_tokens = max(new_tokens, config.evaluation.max_new_tokens)
    shortest, longest = longest_prompt_tokens(facts, role, config, questions)
    if shortest + new_tokens > limit:
        raise ConfigError(
            f"The {role} {facts.name} has a context of {limit} tokens, and its shortest prompt ({shortest} tokens) "
            f"with {new_tokens} new tokens does not fit. Lower generation.max_new_tokens and "
            "evaluation.max_new_tokens, shorten the prompts, or take a model with a longer context."
        )
    return min(limit, int(longest * _LENGTH_SLACK) + new_tokens + (_context_tokens(config) if role == STUDENT else 0))


def _context_tokens(config: Config) -> int:
    """What may follow the student's prompts: a completion, and the recipe's text, of no more tokens than characters."""
    chars = getattr(recipe_named(config.recipe), "context_chars", lambda _: 0)(config)
    return chars + max(config.generation.max_new_tokens, config.evaluation.max_new_tokens) if chars else 0


def _is_few_shot(role: str, config: Config) -> bool:
    """Whether it is asked with few-shot prompts, as a teacher is."""
    return role != STUDENT and role not in config.models


def longest_prompt_tokens(facts: ModelFacts, role: str, config: Config, questions: Sequence[str]) -> tuple[int, int]:
    """Tokens of the shortest and of the longest prompt of a role, a forced tag included."""
    by_length = sorted(set(questions), key=lambda question: len(question.encode()))
    templates, strategies = config.prompts.templates(), config.strategy_records()

    def num_tokens(question: str) -> list[int]:
        if _is_few_shot(role, config):
            return [
                len(encode_prompt(facts.tokenizer, teacher_prompt(templates, strategy, question)))
                for strategy in strategies
            ]
        texts = {one.name: student_prompt(templates, question, one.name) for one in strategies}
        prompts = {text: len(encode_prompt(facts.tokenizer, text)) for text in {*texts.values()}}
        return [prompts[texts[one.name]] + len(facts.tokenizer(one.tag)["input_ids"]) for one in strategies]

    shortest = min(min(num_tokens(question)) for question in by_length[:_NUM_MEASURED])
    longest = max(max(num_tokens(question)) for question in by_length[-_NUM_MEASURED:])
    return shortest, longest
