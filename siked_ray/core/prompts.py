"""Texts that models see: the teacher's few-shot prompt and the student's tagged response (SIKeD, section 3)."""

from dataclasses import dataclass

from siked_ray.core.strategy import Strategy, clean_rationale


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTemplates:
    """Templates in `str.format` syntax; `stop` are texts at which a teacher's completion ends."""

    teacher: str
    demonstration: str
    student: str
    stop: tuple[str, ...] = ()


def teacher_prompt(templates: PromptTemplates, strategy: Strategy, question: str) -> str:
    """Few-shot prompt: instruction and demonstrations of the strategy, then the question."""
    demonstrations = "".join(
        templates.demonstration.format(question=example.question, rationale=example.rationale)
        for example in strategy.demonstrations
    )
    return templates.teacher.format(instruction=strategy.instruction, demonstrations=demonstrations, question=question)


def student_prompt(templates: PromptTemplates, question: str) -> str:
    """Prompt of the student; its response begins with the tag of a strategy, written or forced."""
    return templates.student.format(question=question)


def student_response(strategy: str, rationale: str) -> str:
    """Target text `"[cot]: …"`: the student learns to choose a strategy, then to solve with it."""
    return f"[{strategy}]: {clean_rationale(rationale)}"
