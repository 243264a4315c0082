"""The status of a run from its ledger, its summary and the driver's last word."""

import time

import pytest

from siked_ray.data.ledger import StageRecord
from siked_ray.driver.board import ProgressBoard, as_sign_of_life
from siked_ray.report.screen.run_status import as_text, status_of
from tests.stage_ids import stage_id

NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [NOW]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def records(*names: str, seconds: float = 100.0) -> list[StageRecord]:
    return [
        StageRecord(id=stage_id(name), position=index, seconds=seconds, outputs=(), metrics={}, committed_at=NOW)
        for index, name in enumerate(names, start=1)
    ]


def sampling_board(clock: list[float]) -> ProgressBoard:
    """500 of 1,000 requests were there before; since then ten a second."""
    board = ProgressBoard()
    board.begin("iteration 1 · student samples", "requests", 1000)
    board.advance("iteration 1 · student samples", 500, {})
    clock[0] += 20
    board.advance("iteration 1 · student samples", 700, {"tokens/s": "5,000"})
    return board


ITERATION_0 = ("rollouts_teacher", "mixture_00", "training_00", "evaluation_00", "decision_00")


def status(sign, committed=ITERATION_0, summary_status: str = "running", now: float = NOW + 21, **more):
    return status_of(
        run="runs/mine",
        records=records(*committed),
        summary={"status": summary_status, **more},
        sign_of_life=sign,
        max_iterations=2,
        now=now,
    )


def test_a_run_that_goes_on(clock: list[float]) -> None:
    found = status(as_sign_of_life(sampling_board(clock).snapshot(), state="running"))
    assert (found["state"], found["iteration"]) == ("running", 1)
    current = found["current"]
    assert (current["done"], current["total"], current["per_s"], current["eta_s"]) == (700, 1000, 10.0, 30.0)
    text = as_text(found)
    assert "runs/mine: running (last heard of 1 s ago)" in text
    assert "iteration 1 of at most 2" in text
    assert "700/1,000 requests · 10.0 requests/s · tokens/s 5,000 · 30 s to go" in text
    assert text.count("done: ") == 5


def test_after_the_last_decision_no_further_iteration_is_shown(clock: list[float]) -> None:
    decided = (*ITERATION_0, "decision_02")
    found = status(as_sign_of_life(sampling_board(clock).snapshot(), state="running"), committed=decided)
    assert "iteration 2 of at most 2" in as_text(found)


def test_the_whole_run_by_what_stages_took(clock: list[float]) -> None:
    """Two iterations of 5 stages at 100 s; 21 s of the present one are over."""
    found = status(as_sign_of_life(sampling_board(clock).snapshot(), state="running"))
    assert found["eta_s"] == 10 * 100 - 21


def test_nothing_is_promised_before_a_kind_of_stage_was_timed(clock: list[float]) -> None:
    sign = as_sign_of_life(sampling_board(clock).snapshot(), state="running")
    assert status(sign, committed=("rollouts_teacher", "mixture_00"))["eta_s"] is None


def test_a_killed_run_is_silent_and_shows_where_it_was(clock: list[float]) -> None:
    sign = as_sign_of_life(sampling_board(clock).snapshot(), state="running")
    found = status(sign, now=NOW + 400)
    assert found["state"] == "silent"
    assert found["current"]["done"] == 700 and found["current"]["seconds"] == 20, "its clock stands still"
    assert "no sign of life; if it was killed, the same command continues it (last heard of 6 min ago)" in as_text(
        found
    )


def test_a_run_that_was_stopped_failed_or_never_begun(clock: list[float]) -> None:
    stages = sampling_board(clock).snapshot()
    assert status(as_sign_of_life(stages, state="stopped"))["state"] == "stopped"
    failed = status(as_sign_of_life(stages, state="failed", note="no node has 4 GPU"), summary_status="failed")
    assert "failed: no node has 4 GPU" in as_text(failed)
    assert status(None, committed=(), summary_status="new")["state"] == "new"
    assert status(None)["state"] == "silent", "a run of an older version"


def test_a_finished_run_says_so_whatever_the_last_word_was(clock: list[float]) -> None:
    evaluated = {"iteration": 0, "evaluation": {"validation": {"free": 0.5}, "svamp": {"free": 0.25}}}
    found = status(
        as_sign_of_life(sampling_board(clock).snapshot(), state="running"),
        summary_status="finished",
        iterations=[evaluated, {"iteration": 1}],
    )
    assert (found["state"], found["current"], found["eta_s"]) == ("finished", None, None)
    assert "free accuracy, iteration 0: validation 50.0%  svamp 25.0%" in as_text(found)


def test_a_board_that_lost_its_memory_takes_what_it_is_told() -> None:
    board = ProgressBoard()
    board.advance("training", 3, {"loss": "1"})
    board.end("training")
    (stage,) = board.snapshot()
    assert (stage.name, stage.done, stage.finished_at) == ("training", 3, NOW)
