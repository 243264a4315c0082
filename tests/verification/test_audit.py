"""Auditing a run directory."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from siked_ray.errors import DataError
from siked_ray.verification.audit import audit_run, is_close
from siked_ray.verification.audit_report import Finding, FindingSample, render


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture()
def run_dir(tmp_path: Path) -> Path:
    problems = [
        {"problem_id": f"p{i}", "dataset": "d", "split": "train", "question": "9 at 3", "answer": "18"}
        for i in range(2)
    ]
    _write(tmp_path / "problems" / "train.parquet", problems)
    _write(
        tmp_path / "problems" / "excluded.parquet",
        [{"dataset": "asdiv", "question": "q", "reason": "no number"}] * 3,
    )
    completions = [
        ("cot", "9 * 2 = 18\nFinal Answer: 18", "correct"),
        ("cot", "9 * 2 = 18\nFinal Answer: 18.5", "wrong"),
        ("cot", "9 * 2 = 18, so 20 - 2 = 17.\n9 * 2 = 18\nFinal Answer: 18", "wrong"),
        ("cot", "Final Answer: 1,800", "wrong"),
        ("l2m", "I do not know", "unparsed"),
        ("pot", "answer = 18", "error"),
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


@pytest.mark.parametrize("num_workers", [1, 2])
def test_audit(run_dir: Path, num_workers: int) -> None:
    report = audit_run(run_dir, num_workers=num_workers)
    assert report.num_rollouts == 7 and report.num_without_problem == 1
    assert report.changes == {"wrong → correct": 1, "error → correct": 1}
    assert report.disagreements == {"cot": 1}
    found = {title: {finding.request_id for finding in sample.findings} for title, sample in report.samples.items()}
    assert found["wrong, but numerically close"] == {"r1", "r3"}
    assert found["unparsed"] == {"r4"} and found["verdict changes"] == {"r2", "r5"}
    sound = {name: (s.num_correct, s.num_sound, s.num_false, s.num_unreached) for name, s in report.soundness.items()}
    assert sound == {"cot": (2, 1, 1, 0), "pot": (1, 0, 0, 0)}
    assert report.excluded_golds == {"asdiv": {"no number": 3}}
    text = render(report)
    assert re.search(r"cot +2 +1 +50.0% +0.0% +0.0%\n +pot +1 +0 +0.0% +0.0% +100.0%", text)
    assert "wrong → correct: 1" in text and "asdiv: no number 3" in text


def test_a_sample_does_not_depend_on_the_order_of_arrival() -> None:
    findings = [
        Finding(
            request_id=f"r{i}",
            strategy="cot",
            answer="1",
            stored="wrong",
            now="wrong",
            predicted="2",
            reason="",
            completion_end="",
        )
        for i in range(100)
    ]
    forwards, backwards, halves = (
        FindingSample(size=5),
        FindingSample(size=5),
        [FindingSample(size=5), FindingSample(size=5)],
    )
    for finding in findings:
        forwards.add(finding)
        halves[int(finding.request_id[1:]) % 2].add(finding)
    for finding in reversed(findings):
        backwards.add(finding)
    halves[0].merge(halves[1])
    kept = [{finding.request_id for finding in sample.findings} for sample in (forwards, backwards, halves[0])]
    assert kept[0] == kept[1] == kept[2] and len(kept[0]) == 5 and forwards.count == halves[0].count == 100
    assert kept[0] != {f"r{i}" for i in range(5)}


@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
@pytest.mark.parametrize("name", ["rollouts/iteration_01/0.parquet", "problems/train.parquet"])
@pytest.mark.parametrize("show_progress", [True, False])
def test_a_damaged_file_is_named(run_dir: Path, name: str, damage: str, show_progress: bool) -> None:
    content = (run_dir / name).read_bytes()
    (run_dir / name).write_bytes(content[: len(content) // 2] if damage == "cut short" else b"PAR1" + b"x" * 100)
    with pytest.raises(DataError, match=rf"{name} is damaged"):
        audit_run(run_dir, show_progress=show_progress)


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
