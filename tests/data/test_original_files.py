"""The authors' original files: every record is a problem or is listed with the reason why not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from siked_ray.core.ids import problem_id
from siked_ray.data import ProblemSet, load_problems

Original = Callable[[str], str]


@pytest.mark.parametrize(
    ("name", "dataset", "num_kept", "excluded"),
    [
        ("gsm8k_train.jsonl", "gsm8k", 7473, {}),
        ("gsm8k_test.jsonl", "gsm8k", 1319, {}),
        ("gsm8k_test_socratic.jsonl", "gsm8k", 1319, {}),
        ("SVAMP.json", "svamp", 1000, {}),
        (
            "ASDiv.xml",
            "asdiv",
            2225,
            {
                "answer is not a plain number": 56,
                "answer is a time of day": 18,
                "yes/no answer": 5,
                "duplicate question": 1,
            },
        ),
        ("MultiArith.json", "multiarith", 580, {"duplicate question": 20}),
    ],
)
def test_counts(original: Original, name: str, dataset: str, num_kept: int, excluded: dict[str, int]) -> None:
    problems = load_problems(original(name))
    assert problems.dataset == dataset
    assert (len(problems), problems.exclusion_counts()) == (num_kept, excluded)
    assert len({problem.problem_id for problem in problems}) == num_kept
    for problem in problems:
        assert problem.dataset == dataset
        assert problem.problem_id == problem_id(dataset, problem.question)
        assert problem.question == problem.question.strip() != ""


def test_the_content_tells_what_a_file_is(original: Original, tmp_path: Path) -> None:
    for name in ("gsm8k_test.jsonl", "SVAMP.json", "ASDiv.xml", "MultiArith.json"):
        copy = tmp_path / "data.bin"
        shutil.copyfile(original(name), copy)
        assert load_problems(str(copy)) == load_problems(original(name))


def test_gsm8k(original: Original) -> None:
    problems = load_problems(original("gsm8k_train.jsonl"))
    assert problems[0].question.startswith("Natalia sold clips to 48 of her friends in April")
    assert [problem.answer for problem in problems[:4]] == ["72", "10", "5", "42"]
    answers = {problem.answer for problem in problems}
    assert {"109200000", "-7", "-47", "0"} <= answers
    assert not any("," in answer or "#" in answer for answer in answers)


def test_the_socratic_file_has_the_same_problems(original: Original) -> None:
    plain, socratic = (load_problems(original(name)) for name in ("gsm8k_test.jsonl", "gsm8k_test_socratic.jsonl"))
    assert plain == socratic


def test_svamp_questions_are_whole_sentences(original: Original) -> None:
    problems = load_problems(original("SVAMP.json"))
    assert problems[0].question == (
        "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack, "
        "how much do you have to pay to buy each pack?"
    )
    assert problems[2].question.endswith("9 salty cookies. How many salty cookies did Paco have left?")
    assert problems[0].answer == "51"
    assert any(
        p.question.endswith("Then he bought 37 more cookies. How many cookies did Paco have left?") for p in problems
    )


def test_asdiv(original: Original) -> None:
    problems = load_problems(original("ASDiv.xml"))
    by_answer = {problem.answer: problem for problem in problems}
    assert problems[0].question == (
        "Seven red apples and two green apples are in the basket. How many apples are in the basket?"
    )
    assert problems[0].answer == "9"
    assert "ratio" in by_answer["22:15"].question
    assert "ages of Ana and Jack" in by_answer["17; 12"].question
    assert {"5/2", "-1/3", "3.5; 1.8", "80; 82; 84"} <= by_answer.keys()
    excluded = {(exclusion.answer, exclusion.reason.value) for exclusion in problems.excluded}
    assert {
        ("Mrs. Hilt", "answer is not a plain number"),
        ("They are equal", "answer is not a plain number"),
        ("Yes", "yes/no answer"),
        ("3:30 p.m.", "answer is a time of day"),
        ("8", "duplicate question"),
    } <= excluded


def test_a_limit_keeps_the_first_problems_and_all_exclusions(original: Original) -> None:
    everything = load_problems(original("ASDiv.xml"))
    some = load_problems(original("ASDiv.xml"), limit=100)
    assert isinstance(some, ProblemSet)
    assert some.problems == everything.problems[:100]
    assert some.excluded == everything.excluded
