"""Texts that models see."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.rollout import FREE
from siked_ray.core.strategy import AnswerKind, Demonstration, Strategy
from siked_ray.core.thoughts import DEFAULT_THOUGHT_TAGS, ThoughtTags
from siked_ray.settings.base import ADDED, NonEmptyText, Settings


class ExampleSettings(Settings):
    """A worked example of a few-shot prompt."""

    question: str
    rationale: str


class StrategyPrompt(Settings):
    """How a strategy is asked for and how its answer is read."""

    kind: AnswerKind = Field(
        description="`text`: read the answer; `program`: run the completion; `equation`: work out its last line."
    )
    instruction: str = Field(description="What the teacher is told to do.")
    answer_markers: list[NonEmptyText] = Field(
        default=[], description="Texts before the answer; empty: the built-in ones."
    )
    demonstrations: list[ExampleSettings] = Field(default=[], description="Worked examples of the few-shot prompt.")
    student: Annotated[str | None, ADDED] = Field(
        default=None,
        description="The student's template for this strategy, with {question} and what asks for it (docs/mint.md).",
    )

    def record(self, name: str) -> Strategy:
        """The strategy as a plain record."""
        examples = (Demonstration(question=one.question, rationale=one.rationale) for one in self.demonstrations)
        return Strategy(
            name=name,
            kind=self.kind,
            instruction=self.instruction,
            demonstrations=tuple(examples),
            answer_markers=tuple(self.answer_markers),
        )


#: Placeholders of each template, all of which it has to use.
_TEMPLATE_FIELDS = {
    "teacher": ("instruction", "demonstrations", "question"),
    "demonstration": ("question", "rationale"),
    "student": ("question",),
}


#: What a rollout says when the student chose freely, or chose nothing that is known.
_RESERVED_STRATEGIES = frozenset({FREE, "none"})


class PromptSettings(Settings):
    """Texts that models see. Templates use {instruction}, {demonstrations}, {question}, {rationale}."""

    teacher: str = Field(description="Template with {instruction}, {demonstrations} and {question}.")
    demonstration: str = Field(description="Template of one worked example, with {question} and {rationale}.")
    student: str = Field(description="Template with {question}; the student answers `[strategy]: rationale`.")
    stop: list[NonEmptyText] = Field(default=[], description="Texts at which a teacher's completion ends.")
    thought_tags: Annotated[list[tuple[NonEmptyText, NonEmptyText]], ADDED] = Field(
        default=[], description="Opening and closing tags of thoughts, beside the built-in ones such as <think>."
    )
    strategies: dict[str, StrategyPrompt] = Field(description="An entry per strategy: cot, l2m, pot, or your own.")

    @model_validator(mode="after")
    def _templates_render(self) -> "PromptSettings":
        for name, fields in _TEMPLATE_FIELDS.items():
            _check_template(name, getattr(self, name), fields)
        for name, template in self._of_strategies().items():
            _check_template(f"strategies.{name}.student", template, _TEMPLATE_FIELDS["student"])
        return self

    @field_validator("strategies")
    @classmethod
    def _names_can_be_tags(cls, strategies: dict[str, StrategyPrompt]) -> dict[str, StrategyPrompt]:
        for name in strategies:
            if not re.fullmatch(r"\w+", name) or name in _RESERVED_STRATEGIES:
                raise ValueError(
                    f"{name!r} cannot be a strategy: its name is the tag [name]: that the student writes, so it has to "
                    f"consist of letters, digits and _ and be none of {', '.join(sorted(_RESERVED_STRATEGIES))}"
                )
        return strategies

    def templates(self) -> PromptTemplates:
        """The templates as plain values."""
        return PromptTemplates(
            teacher=self.teacher,
            demonstration=self.demonstration,
            student=self.student,
            stop=tuple(self.stop),
            of_strategy=self._of_strategies(),
        )

    def _of_strategies(self) -> dict[str, str]:
        return {name: one.student for name, one in self.strategies.items() if one.student is not None}

    def all_thought_tags(self) -> ThoughtTags:
        """The built-in tags and those of these settings."""
        return (*DEFAULT_THOUGHT_TAGS, *self.thought_tags)


def _check_template(name: str, template: str, fields: Sequence[str]) -> None:
    """ValueError when a template does not render, or leaves out a placeholder without which the prompt is empty."""
    try:
        rendered = template.format(**{field: f"<{field}>" for field in fields})
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the template {name} does not render ({error}); its placeholders are "
            f"{', '.join(f'{{{field}}}' for field in fields)}, and a literal brace is written twice"
        ) from None
    missing = [field for field in fields if f"<{field}>" not in rendered]
    if missing:
        raise ValueError(f"the template {name} has to use {', '.join(f'{{{field}}}' for field in missing)}")
