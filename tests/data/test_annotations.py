"""GSM8K's own annotations, and rationales from files, as a teacher without a model."""

import ast
import json
import operator
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from siked_ray.core.ids import problem_id
from siked_ray.core.problem import Problem
from siked_ray.data import AnnotatedRationale, annotated_rationales, existing_rationales, load_problems
from siked_ray.data.loaders.gsm8k_program import NoProgram, program_of
from siked_ray.errors import DataError

Original = Callable[[str], str]
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def run(program: str) -> float:
    """`answer` of a program of assignments, by an interpreter of plain arithmetic that shares no code with ours."""
    values: dict[str, float] = {}

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name):
                return values[name]
            case ast.UnaryOp(op=sign, operand=operand):
                return -value(operand) if isinstance(sign, ast.USub) else value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](value(left), value(right))
        raise AssertionError(ast.dump(node))

    for statement in ast.parse(program).body:
        assert isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        values[statement.targets[0].id] = value(statement.value)
    return values["answer"]


@pytest.mark.parametrize(
    ("question", "solution", "answer", "program"),
    [
        ("48 and half as many?", "<<48/2=24>> <<48+24=72>>", "72", "v1 = 48 / 2\nv2 = 48 + v1\nanswer = v2"),
        ("From 3, 24 and 24?", "<<3*8=24>> <<24+2=26>>", "26", "v1 = 3 * 8\nv2 = 24 + 2\nanswer = v2"),
        ("Twice?", "<<10-8=2>> <<2*3=6>>", "6", "v1 = 10 - 8\nv2 = 2 * 3\nanswer = v2"),
        ("a?", "<<1+4=5>> <<2+3=5>> <<5*3=15>>", "15", "v1 = 1 + 4\nv2 = 2 + 3\nv3 = 5 * 3\nanswer = v3"),
        ("12 here", "<<12=12>> <<12+5=17>>", "17", "v1 = 12 + 5\nanswer = v1"),
        ("a?", "<<05*2=10>> <<10*.5=5>>", "5", "v1 = 5 * 2\nv2 = v1 * 0.5\nanswer = v2"),
        ("a?", "<<$1,000*3=$3,000>>", "3000", "v1 = 1000 * 3\nanswer = v1"),
        ("a?", "<<200*10%=20>>", "20", "v1 = 200 * (10 / 100)\nanswer = v1"),
        ("a?", "<<100%-20%=80%>>", "80", "v1 = 100 - 20\nanswer = v1"),
        ("a?", "<<3x4=12>> <<2 x (5)=10>>", "10", "v1 = 3 * 4\nv2 = 2 * 5\nanswer = v2"),
        ("a?", "<<1/2*6=3>>", "3", "v1 = 1 / 2 * 6\nanswer = v1"),
        ("a?", "<<1/4=1/4>>", "1/4", "v1 = 1 / 4\nanswer = v1"),
        ("a?", "<<6-9=-3>>", "-3", "v1 = 6 - 9\nanswer = v1"),
        ("a?", "<<7//2=3>>", "3", "v1 = 7 // 2\nanswer = v1"),
        ("a?", "<<10/3=3.333333>> <<3.333333*3=10>>", "10", "v1 = 10 / 3\nv2 = v1 * 3\nanswer = v2"),
    ],
)
def test_programs(question: str, solution: str, answer: str, program: str) -> None:
    assert program_of(question, solution, answer) == program
    assert run(program) == pytest.approx(float(Fraction(answer)))


@pytest.mark.parametrize(
    ("solution", "answer", "why"),
    [
        ("no annotation", "3", "no annotated step gives the answer"),
        ("<<1+1=2>>", "3", "no annotated step gives the answer"),
        ("<<1+2=3>> <<3+3=6>>", "3", "no annotated step gives the answer"),
        ("x = <<26=26>>", "26", "a number without a calculation"),
        ("<<7+1=7>>", "7", "wrong or rounded"),
        ("<<10/3=3>>", "3", "wrong or rounded"),
        ("<<1+2=3=3>>", "3", "not one calculation"),
        ("<<3>>", "3", "not readable"),
        ("<<2(3)=6>>", "6", "not plain arithmetic"),
        ("<<x+1=3>>", "3", "not plain arithmetic"),
        ("<<__import__('os')=3>>", "3", "not plain arithmetic"),
        ("<<1/0=3>>", "3", "division by zero"),
        ("<<9**9**9=3>>", "3", "too large a power"),
        ("<<1 1/2=1.5>>", "1.5", "not readable"),
        ("<<" + "(" * 400 + "=3>>", "3", "too long"),
        ("<<1+2=3>>", "3:2", "one number as its result"),
    ],
)
def test_no_program_rather_than_a_wrong_one(solution: str, answer: str, why: str) -> None:
    with pytest.raises(NoProgram, match=why):
        program_of("How many?", solution, answer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_problems", "num_programs"), [("gsm8k_train.jsonl", 7473, 6757), ("gsm8k_test.jsonl", 1319, 1166)]
)
def test_success_rates_on_gsm8k(original: Original, name: str, num_problems: int, num_programs: int) -> None:
    """90.4 % of the training and 88.4 % of the test problems have a program; all of them give the gold."""
    golds = {problem.problem_id: problem.answer for problem in load_problems(original(name))}
    rationales = annotated_rationales(original(name))
    counts = Counter(row.strategy for row in rationales)
    assert counts["cot"] == num_problems
    assert counts["l2m"] == 0
    assert counts["pot"] >= num_programs
    for row in rationales:
        gold = golds[row.problem_id]
        if row.strategy == "pot":
            assert run(row.rationale) == pytest.approx(float(gold), rel=1e-9)
            assert len(row.rationale.split("\n")) >= 2
        else:
            assert row.rationale.endswith(f"\nThe answer is {gold}.")
            assert not any(mark in row.rationale for mark in ("<<", ">>", "####"))
    assert len({(row.problem_id, row.strategy) for row in rationales}) == len(rationales)


@pytest.mark.slow
def test_the_socratic_file_gives_all_three(original: Original) -> None:
    plain, socratic = original("gsm8k_test.jsonl"), original("gsm8k_test_socratic.jsonl")
    rationales = annotated_rationales(socratic)
    assert Counter(row.strategy for row in rationales) == {"cot": 1319, "l2m": 1319, "pot": 1166}
    assert rationales == annotated_rationales(plain, socratic_path=socratic)
    assert [row.rationale for row in rationales[:3]] == [
        "Janet sells 16 - 3 - 4 = 9 duck eggs a day.\n"
        "She makes 9 * 2 = $18 every day at the farmer\u2019s market.\nThe answer is 18.",
        "How many eggs does Janet sell? Janet sells 16 - 3 - 4 = 9 duck eggs a day.\n"
        "How much does Janet make at the farmers' market? "
        "She makes 9 * 2 = $18 every day at the farmer\u2019s market.\nThe answer is 18.",
        "v1 = 16 - 3 - 4\nv2 = v1 * 2\nanswer = v2",
    ]
    assert not any("**" in row.rationale for row in rationales)


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_the_marker_is_the_callers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"question": "How many?", "answer": "It is <<1+1=2>>2.\n#### 2"}])
    assert annotated_rationales(path, answer_marker="Final answer:")[0].rationale == "It is 2.\nFinal answer: 2."


def test_solutions_belong_to_the_problem_that_is_kept(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": "How many?", "answer": "Nobody knows.\n#### Tom"},
        {"question": "How  many?", "answer": "One.\n#### 1"},
        {"question": "How many?", "answer": "Just one.\n#### 1"},
        {"question": "And now?", "answer": "#### 5"},
        {"question": "And then?", "answer": "6"},
    ]
    path = write(tmp_path / "a.jsonl", rows)
    assert len(load_problems(path)) == 3
    key = problem_id("gsm8k", "How many?")
    assert annotated_rationales(path) == [
        AnnotatedRationale(problem_id=key, strategy="cot", rationale="One.\nThe answer is 1.")
    ]


def test_sub_questions_without_a_solution_are_dropped(tmp_path: Path) -> None:
    answer = "How many then? ** \nHow many then? ** It is 2 ** 3 = 8.\n#### 8"
    path = write(tmp_path / "a.jsonl", [{"question": "How many?", "answer": answer}])
    assert [row.rationale for row in annotated_rationales(path)] == [
        "It is 2 ** 3 = 8.\nThe answer is 8.",
        "How many then? It is 2 ** 3 = 8.\nThe answer is 8.",
    ]


def test_other_formats_have_no_annotations(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"question": "How many?", "answer": 2}])
    with pytest.raises(
        DataError, match=r"no annotated solutions; it has the columns 'question', 'answer'\. GSM8K's format"
    ):
        annotated_rationales(path)


QUESTION = "How many  are there?"
PROBLEM = Problem(problem_id=problem_id("d", QUESTION), dataset="d", question=QUESTION, answer="2")


@pytest.mark.parametrize("column", ["rationale", "completion", "response"])
@pytest.mark.parametrize("key", [{"question": "How many are there? "}, {"problem_id": PROBLEM.problem_id}])
def test_existing_rationales(tmp_path: Path, column: str, key: dict[str, object]) -> None:
    rows: list[dict[str, object]] = [
        {**key, "strategy": "cot", column: "[cot]: One and one. The answer is 2."},
        {**key, "strategy": "pot", column: "answer = 1 + 1"},
        {**key, "strategy": "l2m", column: None},
        {**dict.fromkeys(key, "other"), "strategy": "cot", column: "The answer is 3."},
    ]
    assert existing_rationales(write(tmp_path / "a.jsonl", rows), [PROBLEM]) == [
        AnnotatedRationale(problem_id=PROBLEM.problem_id, strategy="cot", rationale="One and one. The answer is 2."),
        AnnotatedRationale(problem_id=PROBLEM.problem_id, strategy="pot", rationale="answer = 1 + 1"),
    ]


def test_rows_with_a_numbering_of_their_own_are_told_by_their_question(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"problem_id": 17, "question": QUESTION, "strategy": "cot", "rationale": "The answer is 2."},
        {"problem_id": 18, "question": "Another?", "strategy": "cot", "rationale": "The answer is 3."},
        {"problem_id": PROBLEM.problem_id, "question": None, "strategy": "l2m", "rationale": "It is 2."},
    ]
    found = existing_rationales(write(tmp_path / "a.jsonl", rows), [PROBLEM])
    assert [(one.problem_id, one.strategy) for one in found] == [
        (PROBLEM.problem_id, "cot"),
        (PROBLEM.problem_id, "l2m"),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"question": QUESTION, "strategy": "cot", "rationale": ["x"]},
            "row 1: the column 'rationale' holds a list where text is needed",
        ),
        (
            {"question": QUESTION, "strategy": "tot", "rationale": "x"},
            "row 1: unknown strategy 'tot'. Use one of 'cot', 'l2m'",
        ),
        ({"question": QUESTION, "strategy": None, "rationale": "x"}, "row 1: unknown strategy ''"),
        (
            {"question": QUESTION, "rationale": "x"},
            "none of the columns 'strategy'; it has 'question', 'rationale'. Rename",
        ),
        ({"question": QUESTION, "strategy": "cot"}, "none of the columns 'rationale', 'completion', 'response'"),
        ({"question": QUESTION, "strategy": "cot", "rationale": "x", "response": "y"}, "could all be meant. Rename"),
        ({"strategy": "cot", "rationale": "x"}, "Name the problem by problem_id or by question"),
        (
            {"question": "Another?", "strategy": "cot", "rationale": "x"},
            "None of the 1 rows of .* belongs to a problem",
        ),
    ],
)
def test_unusable_rationale_files(tmp_path: Path, row: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        existing_rationales(write(tmp_path / "a.jsonl", [row]), [PROBLEM])


def test_more_strategies_can_be_known(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"question": QUESTION, "strategy": "tot", "rationale": "x"}])
    assert existing_rationales(path, [PROBLEM], strategies=["tot"])[0].strategy == "tot"
