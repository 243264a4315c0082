"""Odd and hostile texts and programs with their right verdicts; odd golds are for those who read files."""

import json
from pathlib import Path

import pytest

from siked_ray.verification import Verifier


def test_cases_have_their_verdicts(verifier: Verifier, data_dir: Path) -> None:
    path = data_dir.parent / "cases" / "verify_cases.jsonl"
    if not path.exists():
        pytest.skip(f"no cases in {path}")
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    wrong = []
    for case in cases:
        if not isinstance(case["answer"], str) or "gold" in case["kind"]:
            continue
        judgement = verifier.judge(case["strategy"], case["completion"], case["answer"])
        if judgement.verdict not in (case["expected_verdict"], *case.get("also_right", ())):
            wrong.append((case["id"], judgement))
    assert not wrong
