"""A teacher without a model: rationales that exist already, verified like any teacher's samples."""

from collections import Counter
from collections.abc import Iterator, Sequence

from siked_ray.config import Config
from siked_ray.core.ids import request_id
from siked_ray.core.problem import Problem
from siked_ray.core.reporting import Reporter
from siked_ray.core.rollout import Rollout, reasoning_columns
from siked_ray.core.thoughts import separate_thoughts
from siked_ray.data.rationales import AnnotatedRationale
from siked_ray.data.schemas import table
from siked_ray.errors import DataError
from siked_ray.generation.durable import pending
from siked_ray.generation.task import RowSink
from siked_ray.sources.source import WrittenSource

_REPORT_EVERY = 1000


def read_rationales(source: WrittenSource, problems: Sequence[Problem]) -> list[AnnotatedRationale]:
    """Rationales for these problems and the strategies of the source's part; DataError when there are none."""
    found = source.rationales(problems)
    known = {problem.problem_id for problem in problems}
    strategies = source.part.strategies
    wanted = [one for one in found if one.problem_id in known and one.strategy in strategies]
    if not wanted:
        raise DataError(
            f"None of the {len(found)} rationales of {source.shown} belongs to a training problem and one of the "
            f"strategies {list(strategies)}; their questions have to be those of data.train."
        )
    return wanted


def write_existing(
    source: WrittenSource, problems: Sequence[Problem], config: Config, sink: RowSink, *, board: Reporter, title: str
) -> None:
    """Verify a part's rationales and store them as its rollouts."""
    rationales = read_rationales(source, problems)
    board.begin(title, "rationales", len(rationales))
    rollouts = []
    for rollout in verified_rollouts(source, rationales, problems, config):
        rollouts.append(rollout)
        if len(rollouts) % _REPORT_EVERY == 0:
            board.advance(title, len(rollouts), {})
    sink.storage.write_parquet(f"{pending(sink.folder)}/part-{source.part.key}.parquet", table("rollouts", rollouts))
    board.end(title)


def verified_rollouts(
    source: WrittenSource, rationales: Sequence[AnnotatedRationale], problems: Sequence[Problem], config: Config
) -> Iterator[Rollout]:
    """Each rationale with its verdict, numbered per (problem, strategy) in the order of the source."""
    from siked_ray.verification import Verifier
    from siked_ray.verification.soundness import reasoning_of
    from siked_ray.verification.stored import as_stored

    by_id = {problem.problem_id: problem for problem in problems}
    name = source.part.source.source
    tags = config.prompts.all_thought_tags()
    num_seen: Counter[tuple[str, str]] = Counter()
    strategies = {strategy.name: strategy for strategy in config.strategy_records()}
    with Verifier(config.strategy_records(), program_timeout_s=config.generation.program_timeout_s) as verifier:
        for one in rationales:
            index = num_seen[one.problem_id, one.strategy]
            num_seen[one.problem_id, one.strategy] += 1
            problem, strategy = by_id[one.problem_id], strategies[one.strategy]
            separated = separate_thoughts(one.rationale, tags)
            rationale = as_stored(separated.answer, strategy.kind)
            judgement = verifier.judge(one.strategy, rationale, problem.answer)
            reasoning = reasoning_of(strategy, problem.question, rationale, judgement.predicted or "")
            yield Rollout(
                request_id=request_id(one.problem_id, one.strategy, index, 0),
                problem_id=one.problem_id,
                requested=one.strategy,
                ask_id=one.strategy,
                strategy=one.strategy,
                sample_index=index,
                seed=0,
                prompt="",
                completion=rationale,
                num_thought_chars=separated.num_chars_cut,
                num_tokens=0,
                truncated=False,
                verdict=judgement.verdict,
                predicted=judgement.predicted,
                reason=judgement.reason,
                model=name,
                engine=name,
                **reasoning_columns(reasoning),
            )
