"""Texts that models see: the teacher's few-shot prompt and the student's tagged response (SIKeD, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from siked_ray.core.asks import Rendered
from siked_ray.core.rollout import FREE, TAG_ALONE
from siked_ray.core.strategy import Strategy, clean_rationale


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTemplates:
    """Templates in `str.format` syntax; `stop` are texts at which a teacher's completion ends. `of_strategy` are the
    student's where it is asked for a strategy by a prompt of its own (MinT); where it chooses freely it has `student`.
    """

    teacher: str
    demonstration: str
    student: str
    stop: tuple[str, ...] = ()
    of_strategy: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherPrompts:
    """Renders an ask as the few-shot prompt of the strategy that is requested."""

    templates: PromptTemplates
    strategies: tuple[Strategy, ...]

    @property
    def stop(self) -> tuple[str, ...]:
        return self.templates.stop

    def __call__(self, question: str, requested: str, context: str | None) -> Rendered:
        strategy = next(one for one in self.strategies if one.name == requested)
        return Rendered(prompt=teacher_prompt(self.templates, strategy, question))


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentPrompts:
    """Renders an ask as the student's prompt, which the ask's context follows where it has one, with the tag of the
    strategy forced, or none where it chooses (FREE, or TAG_ALONE where that is all one wants to know)."""

    templates: PromptTemplates
    strategies: tuple[Strategy, ...]
    stop: tuple[str, ...] = ()

    def __call__(self, question: str, requested: str, context: str | None) -> Rendered:
        prompt = student_prompt(self.templates, question, requested) + (context or "")
        if requested == TAG_ALONE:
            return Rendered(prompt=prompt, looked_for={one.name: one.tag for one in self.strategies})
        tag = "" if requested == FREE else next(one.tag for one in self.strategies if one.name == requested)
        return Rendered(prompt=prompt, forced=tag)


def teacher_prompt(templates: PromptTemplates, strategy: Strategy, question: str) -> str:
    """Few-shot prompt: instruction and demonstrations of the strategy, then the question."""
    demonstrations = "".join(
        templates.demonstration.format(question=example.question, rationale=example.rationale)
        for example in strategy.demonstrations
    )
    return templates.teacher.format(instruction=strategy.instruction, demonstrations=demonstrations, question=question)


def student_prompt(templates: PromptTemplates, question: str, strategy: str | None = None) -> str:
    """Prompt of the student; its response begins with the tag of a strategy, written or forced. A `strategy` with a
    template of its own is asked for by that."""
    template = templates.of_strategy.get(strategy, templates.student) if strategy else templates.student
    return template.format(question=question)


def student_response(strategy: str, rationale: str) -> str:
    """Target text `"[cot]: …"`: the student learns to choose a strategy, then to solve with it."""
    return f"[{strategy}]: {clean_rationale(rationale)}"
