"""An engine says that it is ready for more while it still has rows, and which of its calls are durable."""

import threading
import time

import pytest

from siked_ray.generation.order_session import OrderSession


class StepSampler:
    """Rows are finished one by one, as they are let; the row "broken" is what fails."""

    def __init__(self) -> None:
        self.lets = threading.Semaphore(0)

    def run(self, rows):
        for row in rows:
            self.lets.acquire()
            if row == "broken":
                raise ValueError("broken")
            yield row

    def close(self) -> None: ...


class ListWriter:
    def __init__(self) -> None:
        self.rows, self.durable, self.last_part = [], [], ""

    def add(self, row) -> None:
        self.rows.append(row)

    def flush(self) -> None:
        self.durable, self.last_part = list(self.rows), f"part {len(self.rows)}"

    def close(self) -> None: ...


@pytest.fixture
def sampler() -> StepSampler:
    return StepSampler()


@pytest.fixture
def writer() -> ListWriter:
    return ListWriter()


@pytest.fixture
def session(sampler, writer) -> OrderSession:
    return OrderSession(sampler, writer, lambda row: None, "w")


def let(sampler: StepSampler, num_rows: int) -> None:
    for _ in range(num_rows):
        sampler.lets.release()


def test_it_is_ready_for_more_before_its_rows_are_finished(session, sampler, writer):
    session.begin(0, ["a", "b"])
    session.begin(1, ["c", "d"])
    let(sampler, 1)
    progress = session.wait_for(3)
    assert (progress.finished, progress.writer_id) == ((), "w")
    let(sampler, 3)
    assert sorted(session.wait_for(0).finished) == [0, 1]
    assert sorted(writer.durable) == ["a", "b", "c", "d"]
    assert session.wait_for(0).finished == (), "each call once"


def test_with_none_left_it_waits_until_all_is_durable(session, sampler, writer, monkeypatch):
    flush = writer.flush
    monkeypatch.setattr(writer, "flush", lambda: (time.sleep(0.1), flush()))
    session.begin(7, ["a"])
    let(sampler, 1)
    progress = session.wait_for(0)
    assert (progress.finished, progress.part, writer.durable) == ((7,), "part 1", ["a"])


def test_what_a_call_failed_of_is_raised_however_many_rows_are_left(session, sampler):
    session.begin(0, ["a", "b", "c"])
    session.begin(1, ["broken"])
    let(sampler, 4)
    for num_left in (0, 0, 1):
        with pytest.raises(ValueError, match="broken"):
            session.wait_for(num_left)
