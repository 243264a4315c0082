"""Run a stage once: what is committed is taken, anything else is run and committed, for any verb."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from siked_ray.config import Config
from siked_ray.core.fingerprint import fingerprint, plain
from siked_ray.core.stage import StageId
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.errors import ConfigError
from siked_ray.settings import STUDENT, TEACHER


class Once:
    """The stages of a run in their order. `on_commit` is called with the record of each that ran; those that were
    `taken_over` from another run may have been made from other settings. `take_over` commits the record of a stage that
    another run made from the same, at a position, and gives it; None where there is none."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        taken_over: Collection[str],
        on_commit: Callable[[StageRecord], None],
        take_over: Callable[[StageId, Mapping[str, Any], int], StageRecord | None] = lambda *_: None,
    ) -> None:
        self._ledger = ledger
        self._taken_over = taken_over
        self._on_commit = on_commit
        self._take_over = take_over
        self._position = 0
        #: Records of the stages so far, those included that ran in an earlier session.
        self.passed: list[StageRecord] = []

    def __call__(
        self,
        stage: StageId,
        made_from: Mapping[str, Any],
        work: Callable[[], Mapping[str, Any]],
        outputs: Callable[[], Sequence[str]] = tuple,
    ) -> StageRecord:
        """The committed record of a stage, which is run first if there is none. `work` returns the metrics.

        `made_from` are the plain arguments of the stage and the fingerprints of its inputs. Raises ConfigError where
        the committed stage was made from something else.
        """
        self._position += 1
        record = self._ledger.read(stage) or self._take_over(stage, plain(made_from), self._position)
        if record is None:
            record = self._run(stage, plain(made_from), work, outputs)
        if record.made_from is not None and stage.name not in self._taken_over:
            _check_made_from(record.stage, record.made_from, plain(made_from))
        self.passed.append(record)
        return record

    def _run(
        self,
        stage: StageId,
        made_from: dict[str, Any],
        work: Callable[[], Mapping[str, Any]],
        outputs: Callable[[], Sequence[str]],
    ) -> StageRecord:
        started = time.monotonic()
        metrics = dict(work())
        record = StageRecord(
            id=stage,
            position=self._position,
            seconds=time.monotonic() - started,
            outputs=tuple(outputs()),
            metrics=metrics,
            made_from=made_from,
        )
        self._ledger.commit(record)
        self._on_commit(record)
        return record


def fingerprint_of(record: StageRecord) -> str:
    """What tells the result of this stage from others of the same name; a record of 0.1 is known by its name alone."""
    return fingerprint(record.made_from if record.made_from is not None else record.stage)


def _check_made_from(stage: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differing = [
        f"{name}: {before.get(name)!r} -> {now.get(name)!r}"[:200]
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise ConfigError(
            f"The stage {stage} was made from something else ({'; '.join(differing[:4])}). "
            "Set run_dir to another directory, or go back to what it was made from."
        )


def fingerprint_in(config: Config, name: str) -> str:
    """Of a model that the settings name: the same wherever its files lie."""
    if name == STUDENT:
        return config.student.model
    parts = config.further_models() if name in config.models else config.teacher_parts()
    sources = {part.key: part.source for part in parts if name in (part.key, TEACHER)}
    return fingerprint({key: [one.source, one.model, one.path] for key, one in sources.items()})
