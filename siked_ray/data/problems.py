"""Problems from files, from the Hugging Face Hub and from the embedded world, and their split by question."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from siked_ray.core.ids import problem_id, unit_interval
from siked_ray.core.problem import Problem
from siked_ray.data.golds import ExclusionReason, UnusableAnswer, as_found, canonical_answer
from siked_ray.data.loaders import asdiv, chat, columns, gsm8k, instructions, mathqa, multiarith, svamp
from siked_ray.data.loaders.level_column import level_reader
from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, check_texts
from siked_ray.data.loaders.sources import read_table
from siked_ray.errors import DataError

_LAYOUTS = (gsm8k, svamp, asdiv, multiarith, mathqa, instructions, chat)
_WORLD = "world:"
#: Less than the distance between any two positions that a hash can give.
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Exclusion:
    """A record of the source that is not a problem of the set; `answer` is as found. `test_set` and `test_question` say
    what it is, or nearly is, where that is the reason."""

    dataset: str
    question: str
    answer: str
    reason: ExclusionReason
    test_set: str | None = None
    test_question: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProblemSet(Sequence[Problem]):
    """Problems in the order of their source. Every record of the source is in here or in `excluded`,
    unless `limit` cut the set."""

    dataset: str
    problems: tuple[Problem, ...]
    excluded: tuple[Exclusion, ...] = ()

    def __len__(self) -> int:
        return len(self.problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Problem, ...]: ...
    def __getitem__(self, index: int | slice) -> Problem | tuple[Problem, ...]:
        return self.problems[index]

    def exclusion_counts(self) -> dict[str, int]:
        """Excluded records by reason, for reports."""
        return {reason.value: count for reason, count in Counter(e.reason for e in self.excluded).most_common()}


def load_problems(
    path_or_hub_name: str,
    *,
    limit: int | None = None,
    split: str | None = None,
    question_column: str | None = None,
    answer_column: str | None = None,
    level_column: str | None = None,
) -> ProblemSet:
    """Problems of a file, a directory, a Hub data set or the embedded world.

    `path_or_hub_name` is a local path or URL (JSON lines, a JSON list, CSV, Parquet, ASDiv.xml, a directory of
    Parquet files or of `save_to_disk`), a Hub name `owner/name[:config][/split]`, or `world:train` / `world:test`.
    GSM8K, SVAMP, ASDiv, MultiArith, MathQA, Alpaca, MetaMathQA, NuminaMath and conversations are recognised by their
    columns; naming a column of questions or answers turns that off (`reward_model.ground_truth` is a column within a
    mapping). `limit` keeps the first problems of the set; what is excluded never depends on it.

    Records without a checkable gold are excluded with a reason. Of equal questions the first is kept if all their
    answers agree, and none if they do not: nobody knows which answer is right.

    Raises `DataError` where nothing usable is found.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit must be at least 1, but is {limit}. Leave it out to take all problems.")
    if path_or_hub_name.startswith(_WORLD):
        if split or question_column or answer_column or level_column:
            raise DataError(f"{path_or_hub_name} has no splits and columns to choose. Leave them out.")
        problem_set = _load_world(path_or_hub_name)
    else:
        problem_set = problems_of(read_table(path_or_hub_name, split), question_column, answer_column, level_column)
    if limit is None:
        return problem_set
    return ProblemSet(dataset=problem_set.dataset, problems=problem_set.problems[:limit], excluded=problem_set.excluded)


def problems_of(
    table: SourceTable,
    question_column: str | None = None,
    answer_column: str | None = None,
    level_column: str | None = None,
) -> ProblemSet:
    """The problems of a table and what is excluded, in its order. Raises `DataError` where no problem is left.

    In a table of rationales, one for each strategy, a question that comes again is no duplicate.
    """
    again_is_excluded = not {"strategy", "rationale"} <= set(table.columns())
    dataset, read = _recognise(table, question_column, answer_column)
    level = level_reader(table, level_column)
    records = [judge(dataset, read(row), level(row)) for row in table.rows]
    golds: dict[str, set[str]] = {}
    for record in records:
        if isinstance(record, Problem):
            golds.setdefault(record.problem_id, set()).add(record.answer)
    kept: dict[str, Problem] = {}
    excluded: list[Exclusion] = []
    for record in records:
        if isinstance(record, Exclusion):
            excluded.append(record)
        elif len(golds[record.problem_id]) > 1:
            excluded.append(excluded_as(record, ExclusionReason.CONFLICT))
        elif record.problem_id in kept and again_is_excluded:
            excluded.append(excluded_as(record, ExclusionReason.DUPLICATE))
        else:
            kept.setdefault(record.problem_id, record)
    problem_set = ProblemSet(dataset=dataset, problems=tuple(kept.values()), excluded=tuple(excluded))
    if not kept:
        raise DataError(_nothing_usable(table.shown, problem_set))
    return problem_set


def _recognise(
    table: SourceTable, question_column: str | None, answer_column: str | None
) -> tuple[str, Callable[[Row], RawProblem]]:
    if question_column is None and answer_column is None:
        for layout in _LAYOUTS:
            if layout.recognises(table):
                check_texts(table, layout.TEXT_COLUMNS)
                return layout.DATASET or table.name, layout.read
    return table.name, columns.reader(table, question_column, answer_column)


def judge(dataset: str, raw: RawProblem, level: str | None = None) -> Problem | Exclusion:
    """The problem of a record, or why it is none."""
    try:
        if not raw.question:
            raise UnusableAnswer(ExclusionReason.NO_QUESTION)
        answer = canonical_answer(raw.answer, question=raw.question)
    except UnusableAnswer as error:
        found = as_found(raw.answer)
        return Exclusion(dataset=dataset, question=raw.question, answer=found, reason=error.reason)
    key = problem_id(dataset, raw.question)
    return Problem(problem_id=key, dataset=dataset, question=raw.question, answer=answer, level=level)


def excluded_as(problem: Problem, reason: ExclusionReason) -> Exclusion:
    """A problem that is left out of a set."""
    return Exclusion(dataset=problem.dataset, question=problem.question, answer=problem.answer, reason=reason)


def _nothing_usable(shown: str, problem_set: ProblemSet) -> str:
    counts = ", ".join(f"{reason} ({count})" for reason, count in problem_set.exclusion_counts().items())
    example = problem_set.excluded[0]
    return (
        f"{shown} has no usable problem: {counts} (the first answer reads '{example.answer[:60]}'). "
        "Questions with numeric answers are needed; set question_column and answer_column if others are meant."
    )


def _load_world(name: str) -> ProblemSet:
    from siked_ray.world.word_problems import load_world

    try:
        problems = tuple(load_world(name))
    except ValueError as error:
        raise DataError(f"{error}.") from error
    return ProblemSet(dataset=problems[0].dataset, problems=problems)


def split_problems(
    problems: Iterable[Problem], *, validation_fraction: float, seed: int
) -> tuple[list[Problem], list[Problem]]:
    """(training, validation) problems, each in the given order.

    Membership is a function of the seed and the question alone: the same question is on the same side in any order,
    under any limit and in any data set, and a larger fraction only adds to the validation side. One exception: of
    problems too few for the fraction to hold any out, the one that comes first by its hash is held out.
    Raises `DataError` for a fraction outside [0, 1).
    """
    if not 0 <= validation_fraction < 1:
        raise DataError(f"validation_fraction must be at least 0 and below 1, but is {validation_fraction}.")
    placed = [(unit_interval("split", seed, " ".join(p.question.split())), p) for p in problems]
    border = validation_fraction
    if validation_fraction and len(placed) > 1:
        border = max(border, min(position for position, _ in placed) + _TINY)
    train = [problem for position, problem in placed if position >= border]
    return train, [problem for position, problem in placed if position < border]
