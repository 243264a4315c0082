"""Golds of rows: values as they stand, and what solutions state; never a sentence as if it were a value."""

import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.verification import Verifier
from siked_ray.verification.files import judged_line
from siked_ray.verification.gold import Gold, read_gold


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", "72"),
        ("  1,080 ", "1,080"),
        ("She has 3+4 = 7.\n#### 7", "7"),
        ("She has 3+4 = 7.\n#### 7\nThe answer is: 7", "7"),
        ("So the answer is 3 more.\n#### 5", "5"),
        (r"It is $\boxed{7}$.", "7"),
        (r"First 3, then $\boxed{x^2+1}$.", "x^2+1"),
        ("The answer is 7.", "7"),
        ("The answer is Tuesday.", "Tuesday"),
        ("<answer>7</answer>", "7"),
        ("1 000", "1000"),
        ("Vendor 2", "Vendor 2"),
        ("9 chickens and 10 rabbits", "9 chickens and 10 rabbits"),
        ("\\begin{pmatrix} 1 \\\\\n 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\\n 2 \\end{pmatrix}"),
        ("", ""),
    ],
)
def test_values(text: str, value: str) -> None:
    assert read_gold(text) == Gold(value=value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("#### 7\nThe answer is: 8", "two answers"),
        ("She has 7 eggs left.", "without a marked answer"),
        ("She has 7.\nThen she goes home.", "without a marked answer"),
        ("The answer is", "cannot be read"),
        (r"\boxed{}", "cannot be read"),
    ],
)
def test_what_is_no_gold(text: str, problem: str) -> None:
    assert problem in read_gold(text).problem


@pytest.mark.parametrize(
    "answer", [r'"3+4 = 7.\n#### 7\nThe answer is: 7"', r'"$\\boxed{7}$"', '"The answer is 7."', "7"]
)
def test_a_row_with_a_solution_as_gold(verifier: Verifier, answer: str) -> None:
    for completion, verdict in (("7", Verdict.CORRECT), ("8", Verdict.WRONG)):
        line = f'{{"strategy": "cot", "completion": "Final Answer: {completion}", "answer": {answer}}}'
        assert judged_line(verifier, line.encode())[0] == verdict


def test_a_row_with_a_sentence_as_gold_is_an_error(verifier: Verifier) -> None:
    line = b'{"strategy": "cot", "completion": "#### 7", "answer": "She has 7 eggs left."}'
    verdict, row = judged_line(verifier, line)
    assert verdict == Verdict.ERROR and b"without a marked answer" in row
