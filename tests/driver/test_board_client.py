"""The typed handle says to the board's actor what the board itself understands."""

import pickle
from concurrent.futures import Future
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest

from siked_ray.core.reporting import Reporter, TrainingReporter
from siked_ray.driver.board import ProgressBoard
from siked_ray.driver.board_client import Board
from siked_ray.training.stage import hooks
from siked_ray.training.stage.hooks import ToldToStop


class Handle:
    """Like Ray's handle of an actor: what is called is done at once, and its answer is the reference."""

    def __init__(self) -> None:
        self.board = ProgressBoard()

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self.board, name))


def test_what_is_said_arrives() -> None:
    handle = Handle()
    board = Board(handle)
    board.begin("training", "steps", 1)
    board.show("training", {"tokenised": "8 rows"})
    board.training("training", 3, 9, 0.5, 100.0)
    board.advance("training", 4, {"loss": "0.4"})
    board.interrupt()
    board.begin("training", "steps", 9)
    board.end("training", "done")
    before, now = handle.board.snapshot()
    assert (before.done, before.total, before.figures, before.note) == (4, 9, {"loss": "0.4"}, "interrupted")
    assert (now.done, now.note) == (9, "done")
    board.kept()
    assert handle.board.is_kept()


def test_what_is_asked_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a timeout where there is one."""
    timeouts: list[float | None] = []
    monkeypatch.setattr("ray.get", lambda answer, timeout: timeouts.append(timeout) or answer)
    board = Board(Handle())
    board.begin("training", "steps", 9)
    board.training("training", 3, 9, 0.5, 100.0)
    assert board.stop() is True
    assert board.is_kept() is False
    assert [stage.done for stage in board.snapshot(timeout_s=2.0)] == [3]
    assert timeouts == [None, None, 2.0]


def test_it_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Board("handle"))) == Board("handle")


@pytest.mark.parametrize("protocol", [Reporter, TrainingReporter])
def test_board_and_client_take_what_a_reporter_takes(protocol: type) -> None:
    names = [name for kind in protocol.__mro__ for name in vars(kind) if not name.startswith("_")]
    assert "advance" in names
    for name in names:
        expected = list(signature(getattr(protocol, name)).parameters)
        assert list(signature(getattr(Board, name)).parameters) == expected
        assert list(signature(getattr(ProgressBoard, name)).parameters) == expected


class Answering:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Future[bool]] = []

    def is_to_stop(self) -> Future[bool]:
        self.asked.append(Future())
        return self.asked[-1]


def test_a_worker_asks_on_until_it_is_told_and_waits_for_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.exceptions import ActorUnavailableError

    monkeypatch.setattr(hooks, "_ASK_INTERVAL_S", 0.0)
    board = Answering()
    told = ToldToStop(board)  # type: ignore[arg-type]
    assert [told(), told()] == [False, False]
    assert len(board.asked) == 1, "one question at a time"
    board.asked[0].set_exception(ActorUnavailableError("on its way", None))
    assert told() is False
    board.asked[1].set_result(False)
    assert told() is False
    board.asked[2].set_result(True)
    assert [told(), told()] == [True, False], "said once"
