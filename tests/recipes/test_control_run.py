"""The twin on the lab itself: how long it is trained, what the summary says of it, and how a finished run gets one."""

from pathlib import Path
from typing import Any

import pytest

from siked_ray.config import dump_config
from siked_ray.core.training_plan import Length
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.preflight.branch import find_branch, take_over
from siked_ray.report.html.page import render
from siked_ray.report.model_card import model_card
from tests.driver.test_lab import SETTINGS, Run, learning_students

STEPS, TOKENS = 7, 900


class Training(Run):
    """Notes the length of each training, and takes it; a training without one has so many steps and tokens."""

    def __init__(self, config, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(config, monkeypatch, lambda weights, *problem: learning_students(_as(weights), *problem))
        self.lengths: dict[str, Length | None] = {}

    def _fine_tune(self, rows, start: str, output: str, plan, group, storage, **more: Any) -> dict:
        self.lengths[output.rpartition("/")[2]] = plan.length
        figures = super()._fine_tune(rows, start, output, plan, group, storage, **more)
        return figures | {"steps": (plan.length.steps if plan.length else None) or STEPS, "tokens": TOKENS}


def _as(weights: str) -> str:
    """The twin is as good as the student of iteration 1."""
    return "iteration_01" if weights == "twin" else weights


def finished(config, monkeypatch: pytest.MonkeyPatch) -> Training:
    run = Training(config, monkeypatch)
    run.storage.write_text(names.CONFIG, dump_config(config))
    run.finish()
    return run


def test_it_is_trained_for_as_long_as_the_best_student_and_all_that_reads_a_run_says_so(
    make_config, monkeypatch: pytest.MonkeyPatch
):
    run = finished(make_config(*SETTINGS, "control=matched"), monkeypatch)
    assert run.lengths.pop("twin") == Length(steps=3 * STEPS)
    assert set(run.lengths.values()) == {None}
    assert run.committed[-3:] == ["training_twin", "answers_twin", "evaluation_twin"]
    summary = run.summary()
    (twin,) = summary["arms"]
    assert (twin["name"], twin["training"]["steps"]) == ("twin", 21)
    paired = twin["evaluation"]["more"]["paired"]["loop"]
    control = summary["control"]
    assert control["difference"] == -paired["difference"] and control["problem_set"] == "more"
    assert control["sentence"].startswith("The loop gained +") and "(21 steps)" in control["sentence"]
    page = render(summary, "")
    assert page.index(control["sentence"]) < page.index("The run is finished")
    assert control["sentence"] in model_card(summary, run.config.model_dump(mode="json"), 2)


def test_by_tokens_and_after_a_driver_that_died(make_config, monkeypatch: pytest.MonkeyPatch):
    run = Training(make_config(*SETTINGS, "control=tokens"), monkeypatch)
    sample = run.generating.sample

    def dying(key, task, asks, sink, **more):
        if sink.stage == "answers_twin":
            raise KeyboardInterrupt
        return sample(key, task, asks, sink, **more)

    monkeypatch.setattr(run.generating, "sample", dying)
    with pytest.raises(KeyboardInterrupt):
        run.finish()
    assert run.lengths["twin"] == Length(tokens=3 * TOKENS)
    trained = len(run.trained)
    monkeypatch.setattr(run.generating, "sample", sample)
    run.finish()
    assert len(run.trained) == trained and "control" in run.summary(), "it goes on with the twin's answers"


def test_a_finished_run_gets_its_twin_in_another_directory(
    make_config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    first = finished(make_config(*SETTINGS, f"run_dir={tmp_path / 'first'}"), monkeypatch)
    assert "control" not in first.summary() and "arms" not in first.summary()
    more = make_config(*SETTINGS, f"run_dir={tmp_path / 'more'}", f"start_from={tmp_path / 'first'}", "control=matched")
    branch = find_branch(more)
    assert branch is not None
    take_over(branch, Storage(more.run_dir), more)
    run = finished(more, monkeypatch)
    assert list(run.lengths) == ["twin"], "all other stages are taken over"
    assert run.lengths["twin"] == Length(steps=3 * STEPS)
    assert run.summary()["control"]["num_problems"] == 10
