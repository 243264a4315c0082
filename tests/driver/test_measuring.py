"""What an evaluation adds where samples are drawn at T > 0, and where problems have levels."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.engines import SamplingReport
from siked_ray.driver.measuring import measured, read_levels
from siked_ray.generation.durable import pending
from siked_ray.generation.requests import lay_out, missing_requests
from siked_ray.recipes.verbs import Rollouts
from siked_ray.report.accuracy_tables import levels, samples
from siked_ray.report.html.page import render
from siked_ray.report.view import View
from tests.driver.test_lab import SETTINGS, STAGES, FakeGenerating, Run
from tests.plain_rollout import PLAIN

OLD = Path(__file__).parent.parent / "old_runs" / "smoke_0_1"


class Drawing(FakeGenerating):
    """Where several samples are asked for, gives them: the first is as the greedy one, the others are wrong."""

    def sample(self, key, task, asks, sink, **rest) -> SamplingReport:
        if task.plan.keep is not None or task.plan.num_samples == 1:
            return super().sample(key, task, asks, sink, **rest)
        self.calls.append((sink.stage, task.label, task.plan.num_samples))
        blocks, _ = missing_requests(self.storage, asks, set())
        found: list[Rollout] = []
        for row in (row for block in blocks for row in lay_out(self.storage, asks, block).to_pylist()):
            first = self._rollout(task, row)
            for index in range(task.plan.num_samples):
                verdict = first.verdict if index == 0 else Verdict.WRONG
                values = {name: getattr(first, name) for name in Rollout.__slots__}
                values |= {"request_id": f"{first.request_id} {index}", "sample_index": index, "verdict": verdict}
                found.append(Rollout(**(values | {"predicted": "0" if index else "7"})))
        self.storage.write_parquet(f"{pending(sink.folder)}/part-0.parquet", table("rollouts", found))
        return SamplingReport()


@pytest.fixture
def make_run(make_config, monkeypatch: pytest.MonkeyPatch):
    def make(*overrides: str) -> Run:
        run = Run(make_config(*SETTINGS, *overrides), monkeypatch)
        run.generating = Drawing(run.storage, run.generating.solves)
        return run

    return make


def test_samples_are_a_stage_of_their_own_beside_the_greedy_answers(make_run):
    run = make_run("evaluation.samples=4", "evaluation.ks=[1, 4]")
    run.finish()
    assert [one for one in run.committed if not one.startswith("samples")] == STAGES
    assert run.committed[4] == "samples_00", "after answers_00"
    assert ("samples_01", "samples 1", 4) in run.generating.calls, "ids of their own"
    found = run.summary()["iterations"][2]["evaluation"]["more"]
    free, figures = found["free"], found["samples"]
    assert figures["num_samples"] == 4 and figures["temperature"] == 0.7
    assert figures["average"] == pytest.approx(free / 4) == figures["pass_at"]["1"]
    assert figures["pass_at"]["4"] == pytest.approx(free)
    assert figures["majority_at"]["4"] == 0, "three say 0"
    assert set(figures["pass_at"]) == {"1", "4"}
    table_of = samples(View(run.summary()))
    row = dict(zip(table_of.headings, table_of.rows[-1], strict=True))
    assert (row["samples"], row["pass@4"], row["greedy"]) == ("4 at T 0.7", f"{free:.1%}", f"{free:.1%}")
    assert "pass@4" in render(run.summary(), "")


def test_without_samples_nothing_changes(make_run, tmp_path):
    with_samples = make_run("evaluation.samples=4", f"run_dir={tmp_path}/other")
    without = make_run()
    with_samples.finish()
    without.finish()
    assert without.committed == STAGES
    ledgers = [Ledger(run.storage) for run in (with_samples, without)]
    for stage in (StageId.of_iteration(kind, 1) for kind in (Kind.ANSWERS, Kind.MIXTURE, Kind.ROLLOUTS)):
        one, other = (ledger.read(stage) for ledger in ledgers)
        assert one.made_from == other.made_from
        if stage.kind is Kind.MIXTURE:
            assert one.metrics["mixture"]["sha256"] == other.metrics["mixture"]["sha256"]
    evaluation = StageId.of_iteration(Kind.EVALUATION, 1)
    assert set(ledgers[1].read(evaluation).made_from) == {"verb", "answers", "against"}
    assert "samples" not in without.summary()["iterations"][1]["evaluation"]["more"]


def test_samples_of_test_sets_that_wait_for_the_end(make_run):
    run = make_run("evaluation.samples=2", "evaluation.test_sets=end")
    run.finish()
    assert "samples_tests_02" in run.committed and "samples_tests_01" not in run.committed
    assert ("samples_tests_02", "samples 2", 2) in run.generating.calls
    evaluation = run.summary()["iterations"][2]["evaluation"]
    assert {name: set(one["samples"]["pass_at"]) for name, one in evaluation.items()} == {
        "validation": {"1", "2"},
        "more": {"1", "2"},
    }


def test_accuracies_by_level(make_config, tmp_path):
    storage, config = Storage(str(tmp_path)), make_config("strategies=[cot, pot]")
    known = {"a": "grade 10", "b": "grade 9", "c": "grade 9", "d": None}
    rows = [
        {"problem_id": key, "dataset": "t", "split": "test", "question": key, "answer": "1", "level": level}
        for key, level in known.items()
    ]
    storage.write_parquet(names.problems("t"), table("problems", rows))
    solved = {("b", FREE), ("c", FREE), ("c", "cot"), ("d", "cot")}
    asked = [(problem, way) for problem in known for way in (FREE, "cot", "pot")]
    stage = StageId.of_iteration(Kind.ANSWERS, 0)
    found = [_rollout(*one, correct=one in solved) for one in asked]
    storage.write_parquet(f"{names.place_of(stage)}/part.parquet", table("rollouts", found))
    answers = {"t": Rollouts(stage=stage, folder=names.place_of(stage), fingerprint="")}
    figures = measured(storage, config, answers, {})["t"]["levels"]
    assert list(figures) == ["grade 9", "grade 10", "not given"]
    assert [one["num_problems"] for one in figures.values()] == [2, 1, 1]
    assert [one["free"] for one in figures.values()] == [1.0, 0.0, 0.0]
    assert figures["grade 9"]["forced"] == {"cot": 0.5, "pot": 0.0}
    assert json.dumps(figures)
    evaluation = {"t": {"free": 0.5, "forced": {"cot": 0.5, "pot": 0}, "levels": figures}}
    shown = levels(View({"best_iteration": 0, "iterations": [{"iteration": 0, "evaluation": evaluation}]}))
    assert shown.rows[0][:4] == ["test set t", "grade 9", "2", "100.0%"]


def test_problems_of_0_1_have_no_levels():
    found = read_levels(Storage(str(OLD)), "world")
    assert len(found) == 200 and set(found.values()) == {None}


def _rollout(problem: str, requested: str, *, correct: bool) -> Rollout:
    return replace(
        PLAIN,
        request_id=f"{problem} {requested}",
        problem_id=problem,
        requested=requested,
        ask_id=requested,
        seed=1,
        verdict=Verdict.CORRECT if correct else Verdict.WRONG,
        model="m",
        engine="e",
    )


def test_outside_a_run_the_samples_are_beside_the_answers(make_run):
    run = make_run("evaluation.samples=3")
    stage = StageId.of_iteration(Kind.ANSWERS, 0)
    run.lab()._sampling.answers(stage, "iteration_00", ["more"], "evaluation")
    rows = {
        one: run.storage.read_parquet(run.storage.files(names.place_of(one), ".parquet"))
        for one in (stage, stage.of_samples())
    }
    assert [table_of.num_rows for table_of in rows.values()] == [10 * 3, 10 * 3], "free and two forced; three samples"
    assert set(rows[stage.of_samples()]["requested"].to_pylist()) == {FREE}
