"""A teacher without a model: rationales that exist already, verified like any teacher's samples."""

from collections import Counter
from collections.abc import Sequence

from siked_ray.config import Config
from siked_ray.core.ids import request_id
from siked_ray.core.problem import Problem
from siked_ray.core.rollout import Rollout
from siked_ray.core.strategy import clean_rationale
from siked_ray.data.annotations import AnnotatedRationale, annotated_rationales, existing_rationales
from siked_ray.errors import DataError


def read_rationales(config: Config, problems: Sequence[Problem]) -> list[AnnotatedRationale]:
    """Rationales for these problems and the strategies in use; DataError when there are none."""
    teacher = config.teacher
    if teacher.source == "annotations":
        found = annotated_rationales(teacher.path or config.data.train, socratic_path=teacher.socratic_path)
    else:
        assert teacher.path is not None, "settings with source dataset have a path"
        found = existing_rationales(teacher.path, problems, strategies=config.prompts.strategies)
    known = {problem.problem_id for problem in problems}
    wanted = [one for one in found if one.problem_id in known and one.strategy in config.strategies]
    if not wanted:
        raise DataError(
            f"None of the {len(found)} rationales of {teacher.path or config.data.train} belongs to a training problem "
            f"and one of the strategies {config.strategies}; their questions have to be those of data.train."
        )
    return wanted


def verified_rollouts(
    rationales: Sequence[AnnotatedRationale], problems: Sequence[Problem], config: Config
) -> list[Rollout]:
    """Each rationale with its verdict, numbered per (problem, strategy) in the order of the source."""
    from siked_ray.verification import Verifier

    answers = {problem.problem_id: problem.answer for problem in problems}
    num_seen: Counter[tuple[str, str]] = Counter()
    rollouts = []
    with Verifier(config.strategy_records(), program_timeout_s=config.generation.program_timeout_s) as verifier:
        for one in rationales:
            index = num_seen[one.problem_id, one.strategy]
            num_seen[one.problem_id, one.strategy] += 1
            rationale = clean_rationale(one.rationale)
            judgement = verifier.judge(one.strategy, rationale, answers[one.problem_id])
            rollouts.append(
                Rollout(
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
                    model=config.teacher.source,
                    engine=config.teacher.source,
                )
            )
    return rollouts
