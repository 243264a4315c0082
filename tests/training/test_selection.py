"""Candidates and what goes on between steps, with functions in place of engines."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from siked_ray.training.compute.loop import Due, Progress
from siked_ray.training.stage import hooks as around_steps
from siked_ray.training.stage.hooks import AroundSteps
from siked_ray.training.stage.selection import AllExported, BestByLoss


def test_the_lowest_held_out_loss_is_what_stays():
    losses, kept = iter([3.0, 2.0, 2.5, 1.0]), []
    candidates = BestByLoss(evaluate=lambda: next(losses), keep=lambda: kept.append(len(candidates.found)))
    assert [candidates.consider(step)["held_out_loss"] for step in (10, 20, 30, 40)] == [3.0, 2.0, 2.5, 1.0]
    assert kept == [1, 2, 4]
    assert [one["step"] for one in candidates.found] == [10, 20, 30, 40]


def test_a_restart_knows_the_best_before_it():
    kept = []
    candidates = BestByLoss(lambda: 2.0, lambda: kept.append(1), found=[{"step": 10, "held_out_loss": 1.0}])
    candidates.consider(20)
    assert kept == []


def test_a_loss_that_is_not_a_number_is_never_kept_over_one_that_is():
    kept = []
    losses = iter([math.nan, 1.0, math.nan])
    candidates = BestByLoss(lambda: next(losses), lambda: kept.append(1))
    for step in (1, 2, 3):
        candidates.consider(step)
    assert kept == [1]


class Calls:
    """Remembers remote calls by name."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.made.append((name, arguments))


@pytest.fixture
def around(make_plan, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Ten steps, a candidate every four, the clock of the checkpoints always due."""

    def make(
        rank: int = 0, num_steps: int = 10, interval_s: float = 0.0, notice=lambda: None, told_to_stop=lambda: False
    ):
        reported, waited, exported, board = [], [], [], Calls()
        monkeypatch.setattr(around_steps, "_BOARD_INTERVAL_S", 0.0)
        job = SimpleNamespace(
            plan=make_plan(candidates_every=4),
            board=board,
            title="training",
            loggers=(),
            as_logged=lambda: None,
            checkpoint_interval_s=interval_s,
        )
        checkpoints = SimpleNamespace(
            report=lambda progress, extra: reported.append((progress.steps, len(extra["candidates"]))),
            wait=lambda: waited.append(reported[-1]),
        )
        candidates = AllExported(folder="out-candidates", export_to=exported.append)
        hooks = AroundSteps(job, range(num_steps), checkpoints, candidates, rank, notice, told_to_stop).hooks()
        return SimpleNamespace(hooks=hooks, reported=reported, waited=waited, exported=exported, board=board)

    return make


def run_steps(hooks, losses: list[float]) -> None:
    progress = Progress(seconds=1.0, tokens=1)
    for loss in losses:
        progress.steps += 1
        progress.losses.append(loss)
        hooks.after_step(progress, Due.CHECKPOINT if progress.steps in (5, 10) else Due.NOTHING)


@pytest.mark.parametrize("rank", [0, 1])
def test_all_workers_report_checkpoints_and_export_candidates_but_one_shows(around, rank: int):
    stage = around(rank)
    run_steps(stage.hooks, [2.0] * 10)
    assert stage.reported == [(5, 1)], "with the candidates so far; none after the last step, the export follows"
    assert stage.exported == ["out-candidates/step_0000004", "out-candidates/step_0000008"]
    assert len(stage.board.made) == (10 if rank == 0 else 0)
    assert stage.hooks.what_is_due() is Due.CHECKPOINT


def test_a_notice_of_preemption_makes_one_checkpoint(around, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(around_steps, "_LOOK_INTERVAL_S", 0.0)
    notices = iter([None, "node a", "node a", "nodes a and b"])
    stage = around(interval_s=1000.0, notice=lambda: next(notices))
    assert stage.hooks.what_is_due() is Due.LOOK
    progress = Progress(seconds=1.0, tokens=1)
    for due in (Due.LOOK, Due.NOTHING, Due.LOOK, Due.LOOK, Due.LOOK):
        progress.steps += 1
        progress.losses.append(2.0)
        stage.hooks.after_step(progress, due)
    assert [steps for steps, _ in stage.reported] == [3, 5]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_run_that_is_told_to_stop_says_when_its_checkpoint_counts(around, rank: int):
    stage = around(rank, interval_s=1000.0, told_to_stop=iter([False, True, False]).__next__)
    assert [stage.hooks.what_is_due() for _ in range(3)] == [Due.NOTHING, Due.LAST_CHECKPOINT, Due.NOTHING]
    stage.hooks.after_step(Progress(steps=3, losses=[2.0], seconds=1.0, tokens=1), Due.LAST_CHECKPOINT)
    assert stage.reported == [(3, 0)]
    assert stage.waited == ([(3, 0)] if rank == 0 else [])
    assert ("kept", ()) in stage.board.made or rank == 1


def test_a_warning_reaches_the_board_once_it_is_true(around):
    stage = around(num_steps=100)
    run_steps(stage.hooks, [2.0] * 70)
    shown = [arguments[2]["warning"] for name, arguments in stage.board.made if name == "advance"]
    assert len(shown) == 70 - 60 + 1
    assert all("has not moved in 60 steps" in sentence for sentence in shown)
