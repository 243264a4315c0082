"""Sound rationales: no false equation, and the body concludes in the answer."""

import json
from collections import Counter
from pathlib import Path

import pytest

from siked_ray.core.reasoning import Steps
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.verification.soundness import reasoning_of, steps_of
from siked_ray.world.word_problems import world_problems

_GSM8K = """First, she has 3 * $20 = $60. Then she spends $15, so $60 - $15 = $45 are left.
The answer is {}."""


TEXT = Strategy(name="cot", kind=AnswerKind.TEXT, instruction="")
PROGRAM = Strategy(name="pot", kind=AnswerKind.PROGRAM, instruction="")


def is_sound(rationale: str, answer: str) -> bool:
    return reasoning_of(TEXT, "", rationale, answer).sound


def test_what_a_text_states() -> None:
    assert steps_of(_GSM8K.format(45), "45") == Steps(stated=2, true=2, reaches_answer=True)
    assert is_sound(_GSM8K.format(45), "45")
    assert not is_sound(_GSM8K.format(40), "40")
    wrong = _GSM8K.replace("= $60.", "= $50.").format(45)
    assert steps_of(wrong, "45") == Steps(stated=2, true=1, reaches_answer=True) and not is_sound(wrong, "45")


@pytest.mark.parametrize(
    ("rationale", "answer"),
    [
        ("5 + 3 = 8. The answer is 8.", "8"),
        ("Ana has 8 cups.\nThe answer is 8.", "8"),
        ("So there are eight, as 5 of 13 are gone.\nThe answer is 8.", "8"),
        ("So she needs 12 * 3 = 36 in 4 weeks.\nThe answer is 36.", "36"),
        ("10 / 20 = 0.5 = 50%\nThe answer is 50%.", "50%"),
        ("It is 3 / 21 = 14.29%. Rounded to the nearest percent,\nThe answer is 14.", "14"),
        ("That is 21600 square inches. Each tile is one square inch.\n#### 21600", "21600"),
        ("She lost 12 - 7 = 5.\nThe answer is -5.", "-5"),
        ("12 * 3 = 36\n\\boxed{36}", "36"),
        ("It is Sunday, as 7 days have passed.\nThe answer is Sunday.", "Sunday"),
        ("The ratio is 3:2.\nThe answer is 3:2.", "3:2"),
        ("The answer is 3 + 4 = 7.", "7"),
        ("Ana has 62, Ben has 39. So, the answer is 62 - 39 = 23.", "23"),
        ("Q1. How many? 3 + 4 = 7.\nThe answer is 7.\nQ2. And left? 7 - 2 = 5.\nThe answer is 5.", "5"),
        ("No marker, but 3 + 4 = 7.", "7"),
    ],
)
def test_reached(rationale: str, answer: str) -> None:
    assert steps_of(rationale, answer).reaches_answer and is_sound(rationale, answer)


@pytest.mark.parametrize(
    ("rationale", "answer"),
    [
        ("There are 20 + 40 = 60 pens.\nThe answer is 48.", "48"),
        ("It is 16 / 4 = 4.\nThe answer is 16.", "16"),
        ("14 + 2 = 16. Divide by 4: 16 / 4 = 4.\nThe answer is 16.", "16"),
        ("200 * 2 = 400.\nThe answer is 400 - 50 = 350. The answer is 350.", "350"),
        ("5 + 3 = 8. The answer is 9.", "9"),
        ("It is hard to say.\nThe answer is 9.", "9"),
        ("It is Monday.\nThe answer is Sunday.", "Sunday"),
        ("Ana takes 3 and Ben 4.\nThe answer is 4; 5.", "4; 5"),
    ],
)
def test_not_reached(rationale: str, answer: str) -> None:
    assert not steps_of(rationale, answer).reaches_answer


def test_a_marker_of_ones_own_closes_the_body() -> None:
    assert steps_of("3 + 4 = 7\nResult: 8", "8").reaches_answer
    assert not steps_of("3 + 4 = 7\nResult: 8", "8", markers=("Result:",)).reaches_answer


@pytest.mark.parametrize(
    ("question", "program", "used"),
    [
        ("Ana has 5 and buys 3.", "answer = 5 + 3", True),
        ("Ana has 5 and buys 3.", "answer = 8", False),
        ("Ana has 5 and buys 3.", "# 5 and 3\nanswer = 8", False),
        ("20% of 1,500 pens.", "answer = 1500 * 0.2", True),
        ("Ana has 5 and twice as many.", "answer = 5 * 2", True),
        ("Ana has 5.", "answer = 10", False),
        ("How many days has a week?", "answer = 7", True),
        ("40 bananas, 4 marbles, 40 friends", "answer = 40 / 40", True),
    ],
)
def test_programs_use_the_numbers_of_their_question(question: str, program: str, used: bool) -> None:
    reasoning = reasoning_of(PROGRAM, question, program, "8")
    assert reasoning.uses_question_numbers is used and reasoning.sound is used


def test_the_true_rationales_of_the_world_are_sound() -> None:
    unsound = [
        (strategy, rationale)
        for problem in world_problems("world:test")
        for strategy, rationale in problem.rationales.items()
        if not reasoning_of(PROGRAM if strategy == "pot" else TEXT, problem.question, rationale, problem.answer).sound
    ]
    assert not unsound


def test_a_published_teachers_rationales(data_dir: Path) -> None:
    """Refused: at least 85 % of the rows whose body contradicts their last line, at most 3 % of the others."""
    path = data_dir / "teachers" / "gsm8k.llama-3-70b.cot.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    rows, refused = Counter[bool](), Counter[bool]()
    for line in path.read_text(encoding="utf-8").strip().split("\n"):
        row = json.loads(line)
        rows[row["body_agrees"]] += 1
        refused[row["body_agrees"]] += not is_sound(row["rationale"], row["answer"])
    assert refused[False] >= 0.85 * rows[False] and refused[True] <= 0.03 * rows[True]
