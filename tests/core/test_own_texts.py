"""What a student wrote, as rows that are held against its teacher."""

from dataclasses import replace
from pathlib import Path

import pytest

from siked_ray.core.own_texts import OwnTexts
from siked_ray.core.verdict import Verdict
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.errors import UserError
from tests.core.test_mixture_rule import TEMPLATES, rollout

RULE = OwnTexts(strategies=("cot", "pot"), templates=TEMPLATES)


def rows_of(storage: Storage, rollouts: list) -> tuple[dict, list[dict]]:
    storage.write_parquet("student.parquet", table("rollouts", rollouts))
    problems = [{"problem_id": i, "dataset": "", "split": "", "question": f"Q{i}", "answer": ""} for i in "123"]
    storage.write_parquet("problems.parquet", table("problems", problems))
    with sql_engine() as connection:
        sql = SqlTables(connection, storage)
        sql.attach("rollouts", student_rollouts=["student.parquet"])
        sql.attach("problems", problems=["problems.parquet"])
        selected = RULE.apply(sql)
        sql.write("rows.parquet", selected.query, RULE.columns, RULE.finish)
    return dict(selected.figures), storage.read_parquet("rows.parquet").to_pylist()


def test_all_that_came_to_an_end_is_taken_right_or_wrong(tmp_path: Path):
    written = [
        rollout("1", 0, by="s"),
        rollout("1", 1, Verdict.WRONG, by="s"),
        rollout("2", 0, Verdict.UNPARSED, strategy="pot", by="s"),
        replace(rollout("2", 1, Verdict.WRONG, by="s"), truncated=True),
        rollout("3", 0, Verdict.UNPARSED, strategy="none", by="s"),
        replace(rollout("3", 1, Verdict.UNPARSED, by="s"), completion=" "),
        rollout("1", 0, by="s"),
    ]
    figures, rows = rows_of(Storage(str(tmp_path)), written)
    assert [row["request_id"] for row in rows] == ["s-1-cot-0", "s-1-cot-1", "s-2-pot-0"]
    assert rows[2]["response"] == "[pot]: s 2 pot 0" and "Q2" in rows[2]["prompt"]
    mixture = figures["mixture"]
    assert (mixture["rows"], mixture["student_rows"], mixture["teacher_rows"], mixture["alpha"]) == (3, 3, 0, 0.0)
    assert mixture["correct"] == 1 and mixture["by_strategy"]["cot"]["rows"] == 2


def test_nothing_to_hold_against_the_teacher_is_said(tmp_path: Path):
    with pytest.raises(UserError, match="None of the student's texts"):
        rows_of(Storage(str(tmp_path)), [replace(rollout("1", by="s"), truncated=True)])
