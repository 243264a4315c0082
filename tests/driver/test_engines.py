"""Quarantine is judged against the rows that were asked for."""

import pytest

from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.engines import _check_quarantine
from siked_ray.errors import StageError
from siked_ray.generation.task import RowSink
from tests.generation.conftest import make_asks


def test_each_part_of_the_teacher_answers_for_its_own_rows(tmp_path):
    sink = RowSink(storage=Storage(str(tmp_path)), folder="rollouts/teacher", stage="rollouts_teacher")
    lost = [
        {"stage": sink.stage, "problem_id": f"p{i}", "strategy": "cot", "reason": "too long", "ask_id": "cot"}
        for i in range(8)
    ]
    sink.storage.write_parquet("quarantine/rollouts_teacher-a-0.parquet", table("quarantine", lost))
    _check_quarantine(sink, make_asks(requested=("cot", "l2m")), 200, 0.05)
    _check_quarantine(sink, make_asks(requested=("pot",)), 100, 0.05)
    with pytest.raises(StageError, match=r"8 of 100 rows .* because: too long"):
        _check_quarantine(sink, make_asks(requested=("cot",)), 100, 0.05)
