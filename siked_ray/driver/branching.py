"""Runs that begin where another one stands: `start_from: RUN:N` or `RUN:teacher`.

Files of the other run are linked (copied where they cannot be), its ledger records taken over as they are, and a record
"branch" says where they come from. Decisions are not taken over: they follow from this run's own rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from siked_ray.config import Config, config_sha256, differing_keys, read_resolved
from siked_ray.core.problem import Problem, Split
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError

#: The ledger's record of a branch.
STAGE = "branch"
_TEACHER = "teacher"
_TEACHER_STAGE = "rollouts_teacher"
#: Settings that the teacher's rollouts, or the students of past iterations, are a result of.
_TEACHER_KEYS = ("data.", "teacher.", "prompts.")
_STUDENT_KEYS = (*_TEACHER_KEYS, "student.", "strategies", "evaluation.max_new_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """Where a run begins: after `iteration` of the run in `origin`, or with its teacher's rollouts (None)."""

    origin: Storage
    iteration: int | None
    config: Config

    @property
    def stages(self) -> list[str]:
        """Names of the stages that are taken over."""
        if self.iteration is None:
            return [_TEACHER_STAGE]
        past = range(self.iteration + 1)
        kinds = [("rollouts", i) for i in past if i] + [
            (kind, i) for i in past for kind in ("mixture", "training", "evaluation")
        ]
        return [_TEACHER_STAGE, *(f"{kind}_{i:02d}" for kind, i in kinds)]


def find_branch(config: Config) -> Branch | None:
    """The run that `start_from` names, None without one. Raises ConfigError where it cannot be gone on from."""
    if config.start_from is None:
        return None
    run, _, point = config.start_from.rpartition(":")
    if not run or not (point == _TEACHER or point.isdecimal()):
        raise ConfigError(
            f"start_from: {config.start_from!r} names no point of a run; write RUN:N for iteration N, or RUN:teacher."
        )
    origin = Storage(run)
    if not origin.exists(names.CONFIG):
        raise ConfigError(f"start_from: {run} is no run directory, it has no {names.CONFIG}.")
    parent = read_resolved(origin.read_text(names.CONFIG), origin.path(names.CONFIG))
    branch = Branch(origin=origin, iteration=None if point == _TEACHER else int(point), config=parent)
    _check_stages(branch)
    _check_settings(branch, config)
    return branch


def _check_stages(branch: Branch) -> None:
    ledger = Ledger(branch.origin)
    missing = [stage for stage in branch.stages if ledger.read(stage) is None]
    if missing:
        raise ConfigError(
            f"start_from: {branch.origin.root} has not finished {missing[0]}; take an earlier point, or run it further."
        )


def _check_settings(branch: Branch, config: Config) -> None:
    keys = _TEACHER_KEYS if branch.iteration is None else _STUDENT_KEYS
    refused = [one for one in differing_keys(branch.config, config) if one.startswith(keys)]
    unknown = [name for name in config.strategies if name not in branch.config.strategies]
    if refused or unknown:
        reasons = [*refused, *(f"strategies: {name} was not sampled there" for name in unknown)]
        raise ConfigError(
            f"start_from: what {branch.origin.root} holds was made with other settings ({'; '.join(reasons[:8])}). "
            "Take them over, or start a run of its own."
        )
    if branch.iteration is not None and config.iterations.max <= branch.iteration:
        raise ConfigError(
            f"start_from goes on after iteration {branch.iteration}, and iterations.max is {config.iterations.max}; "
            f"set iterations.max to {branch.iteration + 1} or more."
        )


def _problems(storage: Storage, split: str) -> list[Problem]:
    fields = ("problem_id", "dataset", "question", "answer")
    rows = storage.read_parquet(names.problems(split), list(fields)).to_pylist()
    return [Problem(**row) for row in rows]


def stored_splits(storage: Storage) -> tuple[list[Problem], list[Problem]]:
    """Training and held-out problems as a run has stored them."""
    return _problems(storage, Split.TRAIN.value), _problems(storage, Split.VALIDATION.value)


def take_over(branch: Branch, storage: Storage, config: Config) -> None:
    """Link the origin's files into a new run, then write the ledger's records."""
    origin, ledger = branch.origin, Ledger(branch.origin)
    records = [record for stage in branch.stages if (record := ledger.read(stage))]
    for name in _files(origin, branch):
        storage.link(origin, name)
    own = Ledger(storage)
    for record in records:
        own.commit(record)
    own.commit(
        StageRecord(
            stage=STAGE,
            position=0,
            seconds=0.0,
            outputs=(),
            metrics={
                "from": origin.root,
                "iteration": branch.iteration,
                "config_sha256": config_sha256(branch.config),
                "differences": differing_keys(branch.config, config),
                "stages": [record.stage for record in records],
            },
        )
    )


def is_left_by_take_over(branch: Branch, records: Sequence[StageRecord]) -> bool:
    """True for the records that an interrupted `take_over` leaves: none but the origin's own, which it writes again."""
    ledger = Ledger(branch.origin)
    return all(one.stage == STAGE or (one.stage in branch.stages and ledger.read(one.stage) == one) for one in records)


def branched_stages(ledger: Ledger) -> frozenset[str]:
    """Stages of a run that another run did."""
    record = ledger.read(STAGE)
    return frozenset(record.metrics["stages"] if record else ())


def _files(origin: Storage, branch: Branch) -> Iterable[str]:
    folders = [names.TEACHER_ROLLOUTS]
    for i in range(branch.iteration + 1 if branch.iteration is not None else 0):
        folders += [names.student(i), names.evaluation_rollouts(i), names.mixture(i).rpartition("/")[0]]
        folders += [names.student_rollouts(i)] if i else []
        yield names.evaluation(i)
    for folder in folders:
        yield from origin.files(folder)
    for name in origin.files("quarantine", ".parquet"):
        if name.startswith(tuple(f"quarantine/{stage}-" for stage in branch.stages)):
            yield name
