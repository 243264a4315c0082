"""What teacher and student have read of the same solutions, put side by side."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from siked_ray.core.prompts import student_response
from siked_ray.core.stage import StageId
from siked_ray.data import run_directory as names
from siked_ray.data.payload import TopK
from siked_ray.data.storage import Storage
from siked_ray.evaluation.token_by_token import token_by_token
from siked_ray.generation.scorer import Scorer, ScoringTask
from siked_ray.generation.scoring_calls import calls_of, compacted
from siked_ray.recipes.verbs import Model, Reading, Scores, Table
from siked_ray.report.sections import sections
from siked_ray.report.view import View
from tests.generation.test_scorer import RENDER

ROWS = [
    {
        "problem_id": f"p{n}",
        "strategy": "cot" if n % 2 else "pot",
        "prompt": "?",
        "response": student_response("cot" if n % 2 else "pot", f"So it is {n}."),
        "request_id": f"r{n}",
    }
    for n in range(6)
]
HELD_OUT = "validation"


class Sure:
    """Gives 0.8 to the token that stands there, or to its neighbour, and 0.1 to the other."""

    name = "fake"

    def __init__(self, model: str, *, agrees: bool) -> None:
        self._agrees = agrees

    def score(self, token_ids: list[int], first: int, top_k: int) -> Future[TopK]:
        tokens = np.array(token_ids[first:])
        pair = (tokens, tokens ^ 1) if self._agrees else (tokens ^ 1, tokens)
        future: Future[TopK] = Future()
        future.set_result(TopK.of(np.stack(pair, axis=1), np.log(np.tile([0.8, 0.1], (len(tokens), 1)))))
        return future

    def close(self) -> None: ...


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path / "run"))
    problems = [{"problem_id": f"p{n}", "question": f"q{n}", "answer": str(n)} for n in range(6)]
    storage.write_parquet(names.problems(HELD_OUT), pa.Table.from_pylist(problems))
    storage.write_parquet("rows.parquet", pa.Table.from_pylist(ROWS))
    verdicts = [{"request_id": f"r{n}", "verdict": "wrong" if n in (2, 3) else "correct"} for n in range(6)]
    storage.write_parquet("answers/all.parquet", pa.Table.from_pylist(verdicts))
    return storage


def read_by(storage: Storage, model: str, monkeypatch: pytest.MonkeyPatch, *, student: bool, agrees: bool) -> Scores:
    monkeypatch.setattr("siked_ray.generation.scorer.redirect_output", lambda path: None)
    stage = StageId.of_reading("student" if student else "teacher", 0)
    folder = names.place_of(stage)
    task = ScoringTask(
        storage=storage,
        rows="rows.parquet",
        problems=names.problems(HELD_OUT),
        folder=f"{folder}/pending",
        render=RENDER,
        top_k=2,
        own_texts=student,
    )
    scorer = Scorer(lambda _: Sure(model, agrees=agrees), model, "")
    for call in calls_of(storage, "rows.parquet"):
        scorer.score(task, call, frozenset())
    compacted(storage, f"{folder}/pending", f"{folder}/all.parquet")
    return Scores(folder=folder, fingerprint="")


def side_by_side(storage: Storage, model: str, monkeypatch: pytest.MonkeyPatch, *, agrees: bool) -> dict[str, Any]:
    reading = Reading(
        rows=Table(file="rows.parquet", fingerprint="", problem_set=HELD_OUT),
        student=Model(engines="student", weights=model, fingerprint=""),
        by_teacher=read_by(storage, model, monkeypatch, student=False, agrees=agrees),
        by_student=read_by(storage, model, monkeypatch, student=True, agrees=True),
    )
    return token_by_token(storage, reading, "answers")


def test_a_teacher_of_the_same_opinion_is_not_apart(storage: Storage, tiny_model: str, monkeypatch):
    found = side_by_side(storage, tiny_model, monkeypatch, agrees=True)
    assert set(found["by_strategy"]) == {"cot", "pot"} and found["partings"] == []
    for one in found["by_strategy"].values():
        assert one["solutions"] == 3 and one["tokens"] > 3
        assert (one["forward_kl"], one["other_token"]) == (pytest.approx(0, abs=1e-6), 0)


def test_another_opinion_has_its_size_and_its_examples(storage: Storage, tiny_model: str, monkeypatch):
    found = side_by_side(storage, tiny_model, monkeypatch, agrees=False)
    expected = 0.7 * np.log(8)
    for one in found["by_strategy"].values():
        assert one["forward_kl"] == pytest.approx(expected, rel=0.01) == one["reverse_kl"]
        assert one["forward_kl_wrong"] == pytest.approx(one["forward_kl_right"], rel=0.01)
        assert one["other_token"] == 1
    first = {one["question"]: one for one in found["partings"]}
    assert set(first) == {"q2", "q3"}, "of wrong solutions"
    one = first["q2"]
    assert one["before"] + one["student"] + one["after"] == " So it is 2."
    assert (one["strategy"], one["answer"]) == ("pot", "2")
    assert [likely["probability"] for likely in one["teacher"]] == pytest.approx([0.8, 0.1], rel=0.01)
    assert one["teacher"][1]["token"] == one["student"] != one["teacher"][0]["token"]


def test_the_report_shows_both(storage: Storage, tiny_model: str, monkeypatch):
    found = side_by_side(storage, tiny_model, monkeypatch, agrees=False)
    metrics = {
        "num_problems": 6,
        "free": 0.5,
        "oracle": 0.5,
        "forced": {"cot": 0.5},
        "strategy_histogram": {"cot": 1.0},
    }
    evaluated = {"iteration": 0, "evaluation": {HELD_OUT: metrics | {"divergence": found}}}
    view = View({"iterations": [evaluated], "best_iteration": 0, "status": "finished", "stages": []})
    (section,) = [one for one in sections(view, None) if one.title == "Student and teacher, token by token"]
    divergence, partings = section.tables
    assert [row[:4] for row in divergence.rows] == [
        ["0", "held-out split", strategy, "3"] for strategy in found["by_strategy"]
    ]
    assert divergence.rows[0][-1] == "100.0%" and len(partings.rows) == 2
    assert all(len(row) == len(table.headings) for table in section.tables for row in table.rows)
    without = View({"iterations": [{"iteration": 0, "evaluation": {HELD_OUT: metrics}}], "stages": []})
    assert "Student and teacher, token by token" not in [one.title for one in sections(without, None)]


def test_solutions_that_nobody_read_are_none(storage: Storage, tiny_model: str):
    nothing = Scores(folder="nowhere", fingerprint="")
    reading = Reading(
        rows=Table(file="rows.parquet", fingerprint="", problem_set=HELD_OUT),
        student=Model(engines="student", weights=tiny_model, fingerprint=""),
        by_teacher=nothing,
        by_student=nothing,
    )
    assert token_by_token(storage, reading, "answers") == {"by_strategy": {}, "partings": []}
