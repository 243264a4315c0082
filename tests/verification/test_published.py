"""Outputs that models really wrote, as others published and labelled them (published/README.md)."""

import json
from collections import Counter
from pathlib import Path

import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.verification import Verifier

_PUBLISHED = Path(__file__).parent / "published"


@pytest.mark.parametrize("name", ["texts", "programs"])
def test_verdicts_agree_with_the_published_labels(verifier: Verifier, name: str) -> None:
    rows = [json.loads(line) for line in (_PUBLISHED / f"{name}.jsonl").read_text().splitlines()]
    labels = Counter(row["correct"] for row in rows)
    assert labels[True] > 60 and labels[False] > 60, "both kinds of label are needed for a test that can fail"
    disagreements = []
    for row in rows:
        judgement = verifier.judge(row["strategy"], row["completion"], row["answer"])
        if (judgement.verdict is Verdict.CORRECT) != row["correct"]:
            disagreements.append((row["source"], row["answer"], row["completion"][-120:], judgement))
    assert not disagreements
