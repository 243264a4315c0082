"""What the authors of data sets wrote, as views."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.data.loaders.mathqa import operators
from siked_ray.data.problems import load_problems
from siked_ray.data.written_views import written_views
from siked_ray.errors import DataError
from siked_ray.verification.verifier import Verifier

Original = Callable[[str], str]
SOLUTION = "Tom sold 48/2 = <<48/2=24>>24 clips.\nIn all 48+24 = <<48+24=72>>72 clips.\n#### 72"


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_gsm8k_has_a_solution_a_program_and_its_marks(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", [{"question": "48 clips and half as many?", "answer": SOLUTION}])
    ((problem, views),) = written_views(path)
    assert problem.answer == "72"
    assert views == {
        "cot": "Tom sold 48/2 = 24 clips.\nIn all 48+24 = 72 clips.\nThe answer is 72.",
        "pot": "v1 = 48 / 2\nv2 = 48 + v1\nanswer = v2",
        "equation": "48/2=24\n48+24=72",
    }


def test_sub_questions_are_a_view_of_their_own(tmp_path: Path):
    lines = "How many did Tom sell? ** 48/2 = <<48/2=24>>24.\nHow many in all? ** 48+24 = <<48+24=72>>72.\n#### 72"
    path = write(tmp_path / "a.jsonl", [{"question": "48 clips and half as many?", "answer": lines}])
    ((_, views),) = written_views(path)
    assert list(views) == ["cot", "l2m", "pot", "equation"]
    assert views["l2m"].startswith("How many did Tom sell? 48/2 = 24.\n")


MATHQA = {
    "Problem": "a train of 1,200 m crosses a pole in 30.5 seconds . what is its speed ?",
    "Rationale": "…",
    "options": "a ) 10 , b ) 39.34 , c ) 1 / 2 , d ) 60 , e ) none",
    "correct": "b",
    "annotated_formula": "divide(1200, 30.5)",
    "linear_formula": "divide(n0,n1)|multiply(#0,const_1)|add(#1,const_0_25)|subtract(n7,n0)|",
    "category": "physics",
}


def test_operators_have_the_numbers_of_their_question(tmp_path: Path):
    ((problem, views),) = written_views(write(tmp_path / "a.jsonl", [MATHQA]))
    assert (problem.dataset, problem.answer) == ("mathqa", "39.34")
    assert views == {"operators": "divide(1200, 30.5) | multiply(#0, 1) | add(#1, 0.25) | subtract(n7, 1200)"}, (
        "a number that the question does not have stays a name, which is not evaluated"
    )


def test_other_files_with_operators(tmp_path: Path):
    row = {"question": "How much are 3 and 4?", "answer": 7, "linear_formula": "add(n0,n1)|"}
    ((problem, views),) = written_views(write(tmp_path / "a.jsonl", [row, row | {"question": "And 5 and 6?"}]))[:1]
    assert (problem.question, views) == ("How much are 3 and 4?", {"operators": "add(3, 4)"})
    assert operators("2 and 3", " multiply(n1, const_pi) ") == "multiply(3, const_pi)"


def test_options_that_are_no_number_are_no_gold(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", [MATHQA, MATHQA | {"Problem": "what is 1 ?", "correct": "e"}])
    assert load_problems(path).exclusion_counts() == {"no answer": 1}


def test_a_file_without_annotations_is_refused_with_what_is_read(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", [{"question": "How many?", "answer": 2}])
    with pytest.raises(DataError, match=r"the columns 'question', 'answer'\. Annotations are read from GSM8K's format"):
        written_views(path)


def test_the_worlds_rationales():
    found = written_views("world:test")
    assert len(found) == 300 and all(list(views) == ["cot", "l2m", "pot"] for _, views in found)
    assert [problem for problem, _ in found] == list(load_problems("world:test"))


@pytest.mark.parametrize(
    ("name", "view", "verdicts"),
    [
        ("SVAMP.json", "equation", {"correct": 999, "wrong": 1}),
        ("MultiArith.json", "equation", {"correct": 580}),
        ("ASDiv.xml", "formula", {"correct": 1531, "wrong": 219, "unparsed": 475}),
        ("gsm8k_train.jsonl", "equation", {"correct": 7000, "wrong": 375, "unparsed": 3}),
    ],
)
def test_how_many_give_their_problems_answer(original: Original, name: str, view: str, verdicts: dict[str, int]):
    """The same by another arithmetic: 999 of SVAMP's 1,000; 600 of 600 rows of MultiArith, 20 of them twice; 1,531 of
    ASDiv's 2,305, one of the others twice; 7,001 of GSM8K's 7,473, where the last mark says the answer."""
    with Verifier([Strategy(name=view, kind=AnswerKind.EQUATION, instruction="")]) as verifier:
        counted = Counter(
            verifier.judge(view, views[view], problem.answer).verdict.value
            for problem, views in written_views(original(name))
            if view in views
        )
    assert counted == verdicts


def test_an_equation_is_written_without_its_unknown_and_the_zeros_of_floats(original: Original):
    assert written_views(original("MultiArith.json"))[0][1] == {"equation": "((32+42)-35)"}
    assert written_views(original("SVAMP.json"))[0][1] == {"equation": "( 76 - 25 )"}
    assert written_views(original("ASDiv.xml"))[0][1] == {"formula": "7+2=9"}
