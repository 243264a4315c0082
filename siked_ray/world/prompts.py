"""Strategies and prompts of the demo. Few words, because on two cores every token costs time."""

from siked_ray.core.strategy import AnswerKind, Demonstration, Strategy

STUDENT_INSTRUCTION = "Choose a strategy and solve."
MARKERS = ("The answer is",)
_QUESTION = "How many are 4 and 3?"

STRATEGIES: tuple[Strategy, ...] = (
    Strategy(
        name="cot",
        kind=AnswerKind.TEXT,
        instruction="Solve step by step.",
        demonstrations=(Demonstration(question=_QUESTION, rationale="4 + 3 = 7. The answer is 7."),),
        answer_markers=MARKERS,
    ),
    Strategy(
        name="l2m",
        kind=AnswerKind.TEXT,
        instruction="Solve by smaller questions.",
        demonstrations=(Demonstration(question=_QUESTION, rationale="How many in all? 4 + 3 = 7.\nThe answer is 7."),),
        answer_markers=MARKERS,
    ),
    Strategy(
        name="pot",
        kind=AnswerKind.PROGRAM,
        instruction="Write a program.",
        demonstrations=(Demonstration(question=_QUESTION, rationale="answer = 4 + 3"),),
    ),
)


def teacher_prompt(strategy: Strategy, question: str) -> str:
    """Few-shot prompt of one strategy; the response is `" " + rationale`."""
    shots = "".join(f"Question: {d.question}\nSolution: {d.rationale}\n\n" for d in strategy.demonstrations)
    return f"{strategy.instruction}\n\n{shots}Question: {question}\nSolution:"


def student_prompt(question: str) -> str:
    """The student's prompt; its response is `" [cot]:"` (its own or a forced tag), then `" " + rationale`."""
    return f"{STUDENT_INSTRUCTION}\n\nQuestion: {question}\nSolution:"
