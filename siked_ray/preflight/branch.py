"""Runs that begin where another one stands: `start_from: RUN:N`, `RUN:teacher`, or `RUN`.

Files of the other run are linked (copied where they cannot be), its ledger records taken over as they are, and a record
"branch" says where they come from. Decisions are not taken over: they follow from this run's own rules. With `RUN` each
stage is taken over when this run comes to it, if it was made from the same.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from siked_ray.config import Config, config_sha256, differing_keys, read_resolved
from siked_ray.core.problem import Problem, Split
from siked_ray.core.stage import TEACHER, TEACHER_SCORES, Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord, with_answers
from siked_ray.data.storage import Storage
from siked_ray.data.tables import read_columns
from siked_ray.errors import ConfigError

#: The ledger's record of a branch.
STAGE = StageId(Kind.BRANCH, "")
_TEACHER = "teacher"
_OF_AN_ITERATION = (Kind.ROLLOUTS, Kind.MIXTURE, Kind.TRAINING, Kind.ANSWERS, Kind.EVALUATION)
#: Settings that the teacher's rollouts, or the students of past iterations, are a result of.
_TEACHER_KEYS = ("data.", "teacher.", "prompts.")
#: Settings that fingerprints do not hold.
_UNDER_FINGERPRINTS = (*_TEACHER_KEYS, "student.", "seed")
_PROMPT = re.compile(r"prompts\.(?:strategies\.(?P<strategy>\w+)\.)?(?P<name>\w+)")
_STUDENT_KEYS = (*_TEACHER_KEYS, "student.", "strategies", "evaluation.max_new_tokens", "evaluation.samples")


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """Where a run begins: after `iteration` of the run in `origin`, or with its teacher's rollouts (None), or with what
    is the same by its fingerprint."""

    origin: Storage
    iteration: int | None
    config: Config
    by_fingerprint: bool = False

    @property
    def stages(self) -> list[StageId]:
        """The stages that are taken over at once."""
        if self.by_fingerprint:
            return []
        past = range(self.iteration + 1) if self.iteration is not None else ()
        numbered = [StageId.of_iteration(kind, i) for i in past for kind in _OF_AN_ITERATION]
        return [TEACHER, *(one for one in numbered if one != StageId.of_iteration(Kind.ROLLOUTS, 0))]


def find_branch(config: Config) -> Branch | None:
    """The run that `start_from` names, None without one. Raises ConfigError where it cannot be gone on from."""
    if config.start_from is None:
        return None
    whole = origin_by_fingerprint(config)
    run, _, point = config.start_from.rpartition(":")
    if whole is None and not _names_a_point(config.start_from):
        raise ConfigError(
            f"start_from: {config.start_from!r} names no point of a run; write RUN:N for iteration N, RUN:teacher, or "
            "the directory of a RUN for all that was made from the same."
        )
    origin = whole or Storage(run)
    if not origin.exists(names.CONFIG):
        raise ConfigError(f"start_from: {run} is no run directory, it has no {names.CONFIG}.")
    parent = read_resolved(origin.read_text(names.CONFIG), origin.path(names.CONFIG))
    iteration = None if whole or point == _TEACHER else int(point)
    branch = Branch(origin=origin, iteration=iteration, config=parent, by_fingerprint=whole is not None)
    _check_stages(branch)
    _check_settings(branch, config)
    return branch


def origin_by_fingerprint(config: Config) -> Storage | None:
    """The run whose stages are taken over one by one: `start_from: RUN`, where that is there."""
    if config.start_from is None or _names_a_point(config.start_from):
        return None
    origin = Storage(config.start_from)
    return origin if origin.exists(names.CONFIG) else None


def _names_a_point(start_from: str) -> bool:
    run, _, point = start_from.rpartition(":")
    return bool(run) and (point == _TEACHER or point.isdecimal())


def _check_stages(branch: Branch) -> None:
    ledger = Ledger(branch.origin)
    known = {record.id: record for record in with_answers(ledger.records(), branch.origin)}
    finished = {stage for stage, one in known.items() if all(map(branch.origin.exists, one.outputs))}
    missing = [stage for stage in branch.stages if stage not in finished]
    if missing:
        raise ConfigError(
            f"start_from: {branch.origin.root} has not finished {missing[0].name}; take an earlier point, or run it "
            "further."
        )


def _check_settings(branch: Branch, config: Config) -> None:
    keys: tuple[str, ...] = _TEACHER_KEYS if branch.iteration is None else _STUDENT_KEYS
    if branch.by_fingerprint:
        keys = _UNDER_FINGERPRINTS
    refused = [one for one in differing_keys(branch.config, config) if one.startswith(keys)]
    nothing_scored = branch.config.teacher is None or branch.config.teacher.logprobs is None
    if branch.iteration is None and not branch.by_fingerprint:
        refused = [one for one in refused if not _is_no_prompt_of_the_teacher(one, config)]
    if nothing_scored or branch.by_fingerprint:  # a stage's own fingerprint has it
        refused = [one for one in refused if not one.startswith("teacher.logprobs:")]
    sampled = config.strategies if branch.by_fingerprint else branch.config.strategies
    unknown = [name for name in config.strategies if name not in sampled]
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


def _is_no_prompt_of_the_teacher(difference: str, config: Config) -> bool:
    """What the student is asked by, and what is of a strategy that is not in use."""
    prompt = _PROMPT.match(difference)
    if prompt is None:
        return False
    return prompt["name"] == "student" or prompt["strategy"] not in (None, *config.strategies)


def _problems(storage: Storage, split: str) -> list[Problem]:
    fields = ("problem_id", "dataset", "question", "answer", "level")
    rows = read_columns(storage, "problems", [names.problems(split)], fields).to_pylist()
    return [Problem(**row) for row in rows]


def stored_splits(storage: Storage) -> tuple[list[Problem], list[Problem]]:
    """Training and held-out problems as a run has stored them."""
    return _problems(storage, Split.TRAIN.value), _problems(storage, Split.VALIDATION.value)


def take_over(branch: Branch, storage: Storage, config: Config) -> None:
    """Link the origin's files into a new run, then write the ledger's records."""
    origin = branch.origin
    records = _taken_over(branch)
    settled = filter(origin.exists, (names.EXCLUDED, names.CONTAMINATION))
    for name in (*settled, *_files(origin, branch)):
        storage.link(origin, name)
    own = Ledger(storage)
    for record in records:
        own.commit(record)
    own.commit(
        StageRecord(
            id=STAGE,
            position=0,
            seconds=0.0,
            outputs=(),
            metrics={
                "from": origin.root,
                "iteration": branch.iteration,
                **({"by_fingerprint": True} if branch.by_fingerprint else {}),
                "config_sha256": config_sha256(branch.config),
                "differences": differing_keys(branch.config, config),
                "stages": [record.stage for record in records],
            },
        )
    )


def take_over_stage(
    origin: Storage, storage: Storage, stage: StageId, made_from: Mapping[str, Any], position: int
) -> StageRecord | None:
    """Link what a stage of another run made, and commit its record, where that stage was made from the same; None
    otherwise. Decisions are made anew."""
    own = Ledger(storage)
    record, branch = Ledger(origin).read(stage), own.read(STAGE)
    if stage.kind is Kind.DECISION or record is None or branch is None or record.made_from != made_from:
        return None
    folder = names.place_of(stage) if stage.kind in (Kind.TRAINING, Kind.MERGE) else None
    for output in (*record.outputs, *_quarantined(origin, [stage])):
        for name in origin.files(output) if output == folder else [output]:
            storage.link(origin, name)
    stages = [one for one in branch.metrics["stages"] if one != stage.name]
    own.commit(replace(branch, metrics=branch.metrics | {"stages": [*stages, stage.name]}))
    taken = replace(record, position=position)
    own.commit(taken)
    return taken


def _taken_over(branch: Branch) -> list[StageRecord]:
    records = with_answers(Ledger(branch.origin).records(), branch.origin)
    wanted = {*branch.stages, *_beside(branch)}
    return [record for record in records if record.id in wanted]


def _beside(branch: Branch) -> list[StageId]:
    """What a run need not have: what the teacher scored of its own texts, and of those of past iterations; what was
    read of their held-out solutions; and samples at T > 0 by which their students were measured."""
    if branch.by_fingerprint:
        return []
    past = range(branch.iteration + 1) if branch.iteration is not None else ()
    read = [stage for i in past for stage in (StageId.of_reading("teacher", i), StageId.of_reading("student", i))]
    read += [StageId.of_iteration(Kind.SAMPLES, i) for i in past]
    return [TEACHER_SCORES, *(StageId.of_iteration(Kind.SCORES, i) for i in past if i), *read]


def is_left_by_take_over(branch: Branch, records: Sequence[StageRecord]) -> bool:
    """True for the records that an interrupted `take_over` leaves: none but the origin's own, which it writes again."""
    origin = {record.id: record for record in _taken_over(branch)}
    return all(one.id == STAGE or origin.get(one.id) == one for one in records)


def branched_stages(ledger: Ledger) -> frozenset[str]:
    """Stages of a run that another run did."""
    record = ledger.read(STAGE)
    return frozenset(record.metrics["stages"] if record else ())


def _files(origin: Storage, branch: Branch) -> Iterable[str]:
    folders = [] if branch.by_fingerprint else [names.TEACHER_ROLLOUTS, *map(names.place_of, _beside(branch))]
    for i in range(branch.iteration + 1 if branch.iteration is not None else 0):
        folders += [names.student(i), names.evaluation_rollouts(i), names.mixture(i).rpartition("/")[0]]
        folders += [names.student_rollouts(i)] if i else []
        yield names.evaluation(i)
    for folder in folders:
        yield from origin.files(folder)
    yield from _quarantined(origin, branch.stages)


def _quarantined(origin: Storage, stages: Sequence[StageId]) -> list[str]:
    prefixes = tuple(f"quarantine/{stage.name}-" for stage in stages)
    return [name for name in origin.files("quarantine", ".parquet") if name.startswith(prefixes)]
