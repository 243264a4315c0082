"""Every gold of the data sets, in every format, is found and equal to itself, and unequal to its neighbours."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.verification import Verifier, equivalent
from siked_ray.verification.quantity import Quantity, read_value

_FORMATS = (
    "So it is done.\nFinal Answer: {}",
    "**Final Answer:** {}",
    "Some steps.\n#### {}",
    "Then we add 3 and 4. The answer is {}.",
    "The answer is: {}",
    r"We get $\boxed{{{}}}$.",
    "Final Answer:\n{}\n",
    "Final Answer: {}. ",
)


@pytest.mark.parametrize("dataset", ["gsm8k", "svamp", "multiarith", "asdiv"])
def test_gold_in_every_text_format(verifier: Verifier, golds: dict[str, list[str]], dataset: str) -> None:
    wrong = [
        (gold, form, judgement)
        for gold in golds[dataset]
        for form in _FORMATS
        if (judgement := verifier.judge("cot", form.format(gold), gold)).verdict is not Verdict.CORRECT
    ]
    assert not wrong, wrong[:10]


_MATH_GOLDS = r"""
\text{Tuesday} | \text{No solution} | \begin{pmatrix} 1 \\ -2 \end{pmatrix} | \frac{3}{4}\pi | \frac{1}{2}x+3
\frac12(x+1) | \frac{3}{2}\sqrt{2} | \frac{2}{3}i | x^\frac12 | \{1, 2\} | 0.\overline{3} | 2x | x^2+4x | y = 3x
5e | \sin^2 x | 16\text{ cm}^2 | (0,100) | [2,5) | (-\infty,2)\cup(3,\infty) | \left(3,\frac{\pi}{2}\right) | 3i
2516_8 | \dbinom{6}{3} | 1,\!000,\!000 | \$18.50 | -\frac{3}{2} | p - q | 6+9i | 70\% | 90^\circ | \textbf{(A)}
x=2 \text{ or } x=3 | 1,-2 | \pm 19 | \emptyset | \infty | .5 | 4\frac{1}{2} | 1.25 \times 10^{-3} | x \in [-2,7]
\left[-\frac{1}{2},\frac{1}{2}\right] | \begin{bmatrix} 2 & 0 \\ 0 & 3\end{bmatrix} | |x-3| | 2^{10} | \log_2 5
\frac{x+2}{7} | 144\text{ square units} | \frac{2}{3}\text{ units} | 1:2 | \text{6:15 p.m.} | f(x)=2x+1
2+\sqrt{3}, 2-\sqrt{3} | \$32,\!348 | 12\text{ m/s}^2 | e^{i\pi/4} | \frac{-5\pm\sqrt{17}}{2} | 8\pi-16
9\text{ a.m.} | k=3
"""


@pytest.mark.parametrize("gold", re.split(r" \| |\n", _MATH_GOLDS.strip()))
@pytest.mark.parametrize("form", [r"So it is $\boxed{%s}$.", "The answer is $%s$.", "Final Answer: $%s$"])
def test_typeset_golds_equal_themselves(verifier: Verifier, gold: str, form: str) -> None:
    assert verifier.judge("cot", form % gold, gold).verdict is Verdict.CORRECT


@pytest.mark.parametrize("dataset", ["gsm8k", "svamp", "multiarith", "asdiv"])
def test_gold_as_program(verifier: Verifier, golds: dict[str, list[str]], dataset: str) -> None:
    for gold in golds[dataset]:
        code = f"answer = {gold.replace(',', '')}" if dataset != "asdiv" else f"answer = {gold!r}"
        assert verifier.judge("pot", code, gold).verdict is Verdict.CORRECT, gold


def test_different_golds_are_different(golds: dict[str, list[str]]) -> None:
    for values in golds.values():
        read = [(gold, value) for gold in values if isinstance(value := read_value(gold), Quantity)]
        for (left, left_value), (right, right_value) in pairwise(read):
            assert equivalent(left, right) == equivalent(right, left) == (left_value.value == right_value.value)


def test_published_rationales(verifier: Verifier, data_dir: Path) -> None:
    """GSM8K's own solutions, whole, without their marker line (fall-backs), and with another gold."""
    disagreements = 0
    for name in ("gsm8k_test.jsonl", "gsm8k_test_socratic.jsonl"):
        for line in (data_dir / name).read_text().splitlines():
            text = json.loads(line)["answer"]
            gold = text.rpartition("####")[2].strip()
            assert verifier.judge("cot", text, gold).verdict is Verdict.CORRECT
            assert verifier.judge("l2m", text, gold + "1").verdict is Verdict.WRONG
            without_marker = text.rpartition("####")[0].rstrip()
            disagreements += verifier.judge("cot", without_marker, gold).verdict is not Verdict.CORRECT
    assert disagreements <= 0.025 * 2 * 1319, "dozens and rates are no longer read as their numbers"
