"""The teacher's first correct rationales as a file, for arms whose teacher has gaps."""

import json
from pathlib import Path

import pyarrow.parquet as pq

_COLUMNS = ["problem_id", "requested", "sample_index", "completion", "verdict"]


def write_rationales(teacher: Path, output: Path) -> None:
    """Rows {question, strategy, rationale} out of a finished run that sampled the teacher."""
    if output.exists():
        return
    problems = pq.read_table(teacher / "problems" / "train.parquet", columns=["problem_id", "question"]).to_pylist()
    questions = {row["problem_id"]: row["question"] for row in problems}
    rows = [row for part in sorted((teacher / "rollouts" / "teacher").glob("*.parquet")) for row in _rows(part)]
    first = {(row["problem_id"], row["requested"]): row for row in sorted(rows, key=lambda row: -row["sample_index"])}
    lines = [
        json.dumps({"question": questions[problem], "strategy": strategy, "rationale": row["completion"]})
        for (problem, strategy), row in sorted(first.items())
    ]
    beside = output.with_suffix(".partial")
    beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    beside.rename(output)


def _rows(part: Path) -> list[dict[str, object]]:
    return [row for row in pq.read_table(part, columns=_COLUMNS).to_pylist() if row["verdict"] == "correct"]
