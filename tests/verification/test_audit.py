"""Auditing a run directory."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from siked_ray.errors import DataError
from siked_ray.verification.audit import audit_run, is_close, render


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture()
def run_dir(tmp_path: Path) -> Path:
    problems = [
        {"problem_id": f"p{i}", "dataset": "d", "split": "train", "question": "q", "answer": "18"} for i in range(2)
    ]
    _write(tmp_path / "problems" / "train.parquet", problems)
    _write(
        tmp_path / "problems" / "excluded.parquet",
        [{"dataset": "asdiv", "question": "q", "reason": "no number"}] * 3,
    )
    completions = [
        ("cot", "9 * 2 = 18\nFinal Answer: 18", "correct"),
        ("cot", "9 * 2 = 18\nFinal Answer: 18.5", "wrong"),
        ("cot", "9 * 2 = 18\nFinal Answer: 18", "wrong"),
        ("cot", "Final Answer: 1,800", "wrong"),
        ("l2m", "I do not know", "unparsed"),
        ("pot", "answer = 9 * 2", "error"),
    ]
    rows = [
        {
            "request_id": f"r{i}",
            "problem_id": f"p{i % 2}",
            "strategy": s,
            "completion": c,
            "truncated": False,
            "verdict": v,
            "predicted": None,
        }
        for i, (s, c, v) in enumerate(completions)
    ]
    _write(tmp_path / "rollouts" / "teacher" / "0.parquet", rows[:3])
    _write(tmp_path / "rollouts" / "iteration_01" / "0.parquet", [*rows[3:], {**rows[0], "problem_id": "gone"}])
    return tmp_path


def test_audit(run_dir: Path) -> None:
    report = audit_run(run_dir)
    assert report.num_rollouts == 7 and report.num_without_problem == 1
    assert report.changes == {"wrong → correct": 1, "error → correct": 1}
    assert report.disagreements == {"cot": 1}
    assert {finding.request_id for finding in report.close_samples} == {"r1", "r3"}
    assert [finding.request_id for finding in report.unparsed_samples] == ["r4"]
    assert report.excluded_golds == {"asdiv": {"no number": 3}}
    text = render(report)
    assert "wrong → correct: 1" in text and "asdiv: no number 3" in text
    json.dumps(report.as_dict())


def test_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to audit"):
        audit_run(tmp_path)


@pytest.mark.parametrize(
    ("predicted", "gold", "close"),
    [
        ("-18", "18", True),
        ("1800", "18", True),
        ("18.4", "18", True),
        ("25", "18", False),
        (None, "18", False),
        ("0", "18", False),
    ],
)
def test_close(predicted: str | None, gold: str, close: bool) -> None:
    assert is_close(predicted, gold) is close
