import io

import pytest
from rich.console import Console

from siked_ray.driver.board import ProgressBoard
from siked_ray.report.screen.bars import ScreenProgress


def shown(board: ProgressBoard, *, terminal: bool = False, times: int = 1) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    with ScreenProgress(console) as progress:
        for _ in range(times):
            progress.show(board.snapshot())
    return file.getvalue()


def board() -> ProgressBoard:
    board = ProgressBoard()
    board.begin("teacher samples", "requests", 1200)
    board.advance("teacher samples", 600, {"correct": "5 of 9 samples"})
    return board


def test_a_stage_that_runs_shows_its_counts():
    assert "running" in shown(board())
    assert "600/1,200 requests · correct 5 of 9 samples" in shown(board())


def test_a_stage_is_announced_once_and_finished_once():
    the_board = board()
    file = io.StringIO()
    with ScreenProgress(Console(file=file, force_terminal=False, width=120)) as progress:
        progress.show(the_board.snapshot())
        progress.show(the_board.snapshot())
        the_board.end("teacher samples", "all there")
        the_board.begin("training", "steps", 1)
        progress.show(the_board.snapshot())
        progress.show(the_board.snapshot())
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert "done in" in lines[1] and "1,200/1,200 requests" in lines[1] and "all there" in lines[1]
    assert lines[2].startswith("training ")


def test_training_reports_steps_loss_and_speed():
    the_board = board()
    the_board.end("teacher samples")
    the_board.begin("training", "steps", 1)
    the_board.training("training", 3, 40, 1.23456, 5000.0)
    text = shown(the_board)
    assert "3/40 steps" in text and "loss 1.235" in text and "tokens/s" in text


def test_a_terminal_shows_bars():
    the_board = board()
    the_board.end("teacher samples")
    the_board.begin("starting engines", "", 0)
    text = shown(the_board, terminal=True, times=3)
    assert "teacher samples" in text and "starting engines" in text and "1,200/1,200 requests" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stage_that_was_interrupted_is_not_done(terminal: bool) -> None:
    the_board = board()
    the_board.interrupt()
    text = shown(the_board, terminal=terminal)
    assert "600/1,200 requests" in text and "interrupted" in text
    assert "done in" not in text
    the_board.begin("teacher samples", "requests", 1200)
    assert [stage.finished_at is None for stage in the_board.snapshot()] == [False, True]


@pytest.mark.parametrize(
    ("unit", "done", "is_kept"), [("steps", 3, True), ("steps", 0, False), ("steps", 9, False), ("requests", 3, False)]
)
def test_only_training_under_way_has_something_to_keep(unit: str, done: int, is_kept: bool) -> None:
    the_board = ProgressBoard()
    the_board.begin("a stage", unit, 9)
    the_board.advance("a stage", done, {})
    assert not the_board.is_to_stop()
    assert the_board.stop() == is_kept and the_board.is_to_stop()
    the_board.end("a stage")
    assert not the_board.stop()
