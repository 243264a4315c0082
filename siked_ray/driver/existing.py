"""A teacher without a model: rationales that exist already, verified like any teacher's samples."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from siked_ray.config import Config
from siked_ray.core.ids import request_id
from siked_ray.core.problem import Problem
from siked_ray.core.rollout import Rollout
from siked_ray.core.strategy import clean_rationale
from siked_ray.data.annotations import AnnotatedRationale, annotated_rationales, existing_rationales
from siked_ray.data.schemas import table
from siked_ray.errors import DataError
from siked_ray.generation.durable import pending
from siked_ray.generation.task import RowSink
from siked_ray.settings import TeacherPart

_REPORT_EVERY = 1000


def read_rationales(part: TeacherPart, config: Config, problems: Sequence[Problem]) -> list[AnnotatedRationale]:
    """Rationales for these problems and the strategies of a part; DataError when there are none."""
    source = part.source
    if source.source == "annotations":
        found = annotated_rationales(source.path or config.data.train, socratic_path=source.socratic_path)
    else:
        assert source.path is not None, "settings with source dataset have a path"
        found = existing_rationales(source.path, problems, strategies=config.prompts.strategies)
    known = {problem.problem_id for problem in problems}
    wanted = [one for one in found if one.problem_id in known and one.strategy in part.strategies]
    if not wanted:
        raise DataError(
            f"None of the {len(found)} rationales of {source.path or config.data.train} belongs to a training problem "
            f"and one of the strategies {list(part.strategies)}; their questions have to be those of data.train."
        )
    return wanted


def write_existing(
    part: TeacherPart, problems: Sequence[Problem], config: Config, sink: RowSink, *, board: Any, title: str
) -> None:
    """Verify a part's rationales and store them as its rollouts."""
    rationales = read_rationales(part, config, problems)
    board.begin.remote(title, "rationales", len(rationales))
    rollouts = []
    for rollout in verified_rollouts(part, rationales, problems, config):
        rollouts.append(rollout)
        if len(rollouts) % _REPORT_EVERY == 0:
            board.advance.remote(title, len(rollouts), {})
    sink.storage.write_parquet(f"{pending(sink.folder)}/part-{part.key}.parquet", table("rollouts", rollouts))
    board.end.remote(title)


def verified_rollouts(
    part: TeacherPart, rationales: Sequence[AnnotatedRationale], problems: Sequence[Problem], config: Config
) -> Iterator[Rollout]:
    """Each rationale with its verdict, numbered per (problem, strategy) in the order of the source."""
    from siked_ray.verification import Verifier

    answers = {problem.problem_id: problem.answer for problem in problems}
    num_seen: Counter[tuple[str, str]] = Counter()
    with Verifier(config.strategy_records(), program_timeout_s=config.generation.program_timeout_s) as verifier:
        for one in rationales:
            index = num_seen[one.problem_id, one.strategy]
            num_seen[one.problem_id, one.strategy] += 1
            rationale = clean_rationale(one.rationale)
            judgement = verifier.judge(one.strategy, rationale, answers[one.problem_id])
            yield Rollout(
                request_id=request_id(one.problem_id, one.strategy, index, 0),
                problem_id=one.problem_id,
                requested=one.strategy,
                strategy=one.strategy,
                sample_index=index,
                seed=0,
                prompt="",
                completion=rationale,
                num_tokens=0,
                truncated=False,
                verdict=judgement.verdict,
                predicted=judgement.predicted,
                reason=judgement.reason,
                model=part.source.source,
                engine=part.source.source,
            )
