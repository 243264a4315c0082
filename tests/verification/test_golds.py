"""Every gold of the data sets, in every format, is found and equal to itself, and unequal to its neighbours."""

import json
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
    assert disagreements <= 0.02 * 2 * 1319, disagreements
