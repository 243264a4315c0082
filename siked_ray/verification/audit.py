"""`siked verify --audit RUN`: re-scores a finished run's rollouts and shows where the verifier could be wrong.

Reads the run directory, changes nothing. Column flow: rollouts {request_id, problem_id, strategy, completion,
truncated, verdict, predicted} and problems {problem_id, dataset, answer} → an `AuditReport`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from siked_ray.core.reasoning import Reasoning
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.data.file_system import damaged
from siked_ray.errors import ConfigError, DataError
from siked_ray.verification.audit_report import AuditReport, Finding, Soundness
from siked_ray.verification.defaults import DEFAULT_ANSWER_FORMATS
from siked_ray.verification.equivalence import compare_without_symbols
from siked_ray.verification.extraction import DEFAULT_MARKERS, extract_answer
from siked_ray.verification.quantity import Quantity, read_value
from siked_ray.verification.soundness import reasoning_of
from siked_ray.verification.verifier import Verifier
from siked_ray.verification.workers import in_processes, verifier_of_this_process

_COLUMNS = ("request_id", "problem_id", "strategy", "completion", "truncated", "verdict", "predicted")
_PROBLEM_COLUMNS = ("problem_id", "question", "answer")
#: A run never counts what was cut off at the token limit, whatever stands in it.
_CUT_OFF = Judgement(verdict=Verdict.UNPARSED, predicted=None, reason="cut off at the token limit")
_SAMPLE_CHARS = 300
_BATCH_ROWS = 1024
_CLOSE = 0.05  # a wrong number within 5 % of the gold is worth a look: rounding, or a reading error

Row = dict[str, Any]


def audit_run(
    run_dir: str | Path,
    *,
    strategies: Sequence[Strategy] = DEFAULT_ANSWER_FORMATS,
    num_samples: int = 10,
    num_workers: int = 1,
    show_progress: bool = False,
) -> AuditReport:
    """Re-scores all rollouts under RUN/rollouts. Raises DataError when there is nothing to audit."""
    if num_workers < 1:
        raise ConfigError(f"--workers is {num_workers}, but at least one is needed")
    run = Path(run_dir)
    rollout_files = sorted(run.glob("rollouts/**/*.parquet"))
    problem_files = [path for path in sorted(run.glob("problems/*.parquet")) if path.name != "excluded.parquet"]
    if not rollout_files or not problem_files:
        missing = "rollouts" if not rollout_files else "problems"
        raise DataError(
            f"{run} has no {missing} in {run / missing}, so there is nothing to audit; give the directory of a run"
        )
    problems = {row["problem_id"]: row for path in problem_files for row in _rows(path, _PROBLEM_COLUMNS)}
    report = AuditReport(num_samples=num_samples, excluded_golds=_excluded(run / "problems" / "excluded.parquet"))
    batches = (
        [{**row, **problems.get(row["problem_id"], {"answer": None})} for row in batch]
        for path in rollout_files
        for batch in _batches(path, _COLUMNS)
    )
    with _progress(rollout_files, run, show_progress) as advance:
        for part in _audited(batches, tuple(strategies), num_samples, num_workers):
            report.merge(part)
            advance(part.num_rollouts)
    return report


def _audited(
    batches: Iterator[list[Row]], strategies: tuple[Strategy, ...], num_samples: int, num_workers: int
) -> Iterator[AuditReport]:
    """The report on each batch."""
    if num_workers == 1:
        with Verifier(strategies, num_workers=1) as verifier:
            for batch in batches:
                yield _audit_batch(verifier, strategies, num_samples, batch)
    else:
        audit = partial(_audit_batch_in_process, strategies, num_samples)
        for _, future in in_processes(audit, batches, num_workers):
            yield future.result()


def _audit_batch_in_process(strategies: tuple[Strategy, ...], num_samples: int, batch: list[Row]) -> AuditReport:
    return _audit_batch(verifier_of_this_process(strategies), strategies, num_samples, batch)


def _audit_batch(
    verifier: Verifier, strategies: tuple[Strategy, ...], num_samples: int, batch: list[Row]
) -> AuditReport:
    report = AuditReport(num_samples=num_samples)
    by_name = {strategy.name: strategy for strategy in strategies}
    for row in batch:
        _add(report, verifier, by_name, row)
    return report


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for batch in _batches(path, columns):
        yield from batch


def _batches(path: Path, columns: Sequence[str]) -> Iterator[list[Row]]:
    """Rows of a Parquet file, a batch in memory at a time."""
    import pyarrow.parquet as parquet

    with _undamaged(path), parquet.ParquetFile(path) as file:
        missing = [column for column in columns if column not in file.schema_arrow.names]
        if missing:
            raise DataError(f"{path} has no column {', '.join(missing)}; is it of this version's run directory?")
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns)):
            yield batch.to_pylist()


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """What pyarrow says of a file that was cut short or overwritten becomes a `DataError`."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:  # the second for pages that cannot be unpacked
        raise damaged(str(path), error) from None


def _excluded(path: Path) -> dict[str, Counter[str]]:
    """Golds that the loaders left out, by data set and reason."""
    counts: dict[str, Counter[str]] = {}
    if path.exists():
        for row in _rows(path, ("dataset", "reason")):
            counts.setdefault(str(row["dataset"]), Counter())[str(row["reason"])] += 1
    return counts


def _progress(rollout_files: list[Path], run: Path, show: bool) -> Any:
    """A context manager that gives a function to call with the rows done; draws on stderr only."""
    if not show:
        return nullcontext(lambda num_rows: None)
    import pyarrow.parquet as parquet

    from siked_ray.verification.progress import row_progress

    total = 0
    for path in rollout_files:
        with _undamaged(path):
            total += parquet.read_metadata(path).num_rows
    return row_progress(total, f"auditing {run.name}")


def _add(report: AuditReport, verifier: Verifier, strategies: dict[str, Strategy], row: Row) -> None:
    """Judges one rollout again and notes what deserves a look."""
    report.num_rollouts += 1
    gold = row["answer"]
    if gold is None:
        report.num_without_problem += 1
        return
    gold = str(gold)
    strategy, completion, stored = str(row["strategy"]), str(row["completion"] or ""), str(row["verdict"])
    now = _CUT_OFF if row["truncated"] else verifier.judge(strategy, completion, gold)
    report.by_strategy.setdefault(strategy, Counter())[str(now.verdict)] += 1
    if now.verdict is Verdict.CORRECT and strategy in strategies:
        report.soundness.setdefault(strategy, Soundness()).add(_reasoning(strategies[strategy], row, now))
    finding = Finding(
        request_id=str(row["request_id"]),
        strategy=strategy,
        answer=gold,
        stored=stored,
        now=str(now.verdict),
        predicted=now.predicted,
        reason=now.reason,
        completion_end=completion[-_SAMPLE_CHARS:],
    )
    if stored != now.verdict:
        report.changes[f"{stored} → {now.verdict}"] += 1
        report.keep("verdict changes", finding)
    if disagrees(strategies.get(strategy), completion):
        report.disagreements[strategy] += 1
        report.keep("marker and fall-back disagree", finding)
    title = _title(now, gold)
    if title:
        report.keep(title, finding)


def _reasoning(strategy: Strategy, row: Row, now: Judgement) -> Reasoning:
    return reasoning_of(strategy, str(row["question"]), str(row["completion"] or ""), now.predicted or "")


def _title(now: Judgement, gold: str) -> str | None:
    """Under which title a judgement is shown, changed or not."""
    if now.verdict is Verdict.UNPARSED:
        return "unparsed"
    if now.verdict in (Verdict.ERROR, Verdict.TIMEOUT):
        return "error or timeout"
    return "wrong, but numerically close" if now.verdict is Verdict.WRONG and is_close(now.predicted, gold) else None


def disagrees(strategy: Strategy | None, completion: str) -> bool:
    """Whether what the marker gives differs from what the fall-backs would read in the text before it."""
    if strategy is None or strategy.kind is not AnswerKind.TEXT:
        return False
    by_marker = extract_answer(completion, strategy.answer_markers or DEFAULT_MARKERS)
    if not by_marker.by_marker or by_marker.answer is None:
        return False
    marker = by_marker.rule.removeprefix("marker: ")
    start = completion.lower().rfind(marker.rstrip("{}: ").lower())
    if start <= 0:
        return False
    before = extract_answer(completion[:start], ("\x00",))
    if before.answer is None:
        return False
    comparison = compare_without_symbols(by_marker.answer, before.answer)
    return comparison is not None and not comparison.equal


def is_close(predicted: str | None, gold: str) -> bool:
    """Whether a wrong number is the gold's negative, a power of ten times it, or within 5 % of it."""
    left, right = read_value(predicted or ""), read_value(gold)
    if not isinstance(left, Quantity) or not isinstance(right, Quantity) or not left.value or not right.value:
        return False
    ratio = abs(left.value / right.value)
    if ratio == 1 or abs(ratio - 1) <= _CLOSE:
        return True
    if ratio.numerator.bit_length() > 60 or ratio.denominator.bit_length() > 60:
        return False
    return math.log10(ratio).is_integer()
