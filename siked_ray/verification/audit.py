"""`siked verify --audit RUN`: re-scores a finished run's rollouts and shows where the verifier could be wrong.

Reads the run directory, changes nothing. Column flow: rollouts {request_id, problem_id, strategy, completion,
truncated, verdict, predicted} and problems {problem_id, dataset, answer} → an `AuditReport`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.errors import DataError
from siked_ray.verification.defaults import DEFAULT_ANSWER_FORMATS
from siked_ray.verification.equivalence import compare_without_symbols
from siked_ray.verification.extraction import DEFAULT_MARKERS, extract_answer
from siked_ray.verification.quantity import Quantity, read_value
from siked_ray.verification.verifier import Verifier

_COLUMNS = ("request_id", "problem_id", "strategy", "completion", "truncated", "verdict", "predicted")
#: A run never counts what was cut off at the token limit, whatever stands in it.
_CUT_OFF = Judgement(verdict=Verdict.UNPARSED, predicted=None, reason="cut off at the token limit")
_SAMPLE_CHARS = 300
_BATCH_ROWS = 1024
_CLOSE = 0.05  # a wrong number within 5 % of the gold is worth a look: rounding, or a reading error


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One rollout worth looking at."""

    request_id: str
    strategy: str
    answer: str
    stored: str
    now: str
    predicted: str | None
    reason: str
    completion_end: str


@dataclass(kw_only=True)
class AuditReport:
    """What an audit found; lists hold at most `num_samples` findings each, counters count all."""

    num_rollouts: int = 0
    num_without_problem: int = 0
    by_strategy: dict[str, Counter[str]] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    disagreements: Counter[str] = field(default_factory=Counter)
    change_samples: list[Finding] = field(default_factory=list)
    disagreement_samples: list[Finding] = field(default_factory=list)
    unparsed_samples: list[Finding] = field(default_factory=list)
    close_samples: list[Finding] = field(default_factory=list)
    excluded_golds: dict[str, Counter[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, ready for JSON."""
        return {
            "num_rollouts": self.num_rollouts,
            "num_without_problem": self.num_without_problem,
            "by_strategy": {strategy: dict(counts) for strategy, counts in self.by_strategy.items()},
            "changes": dict(self.changes),
            "disagreements": dict(self.disagreements),
            "excluded_golds": {dataset: dict(reasons) for dataset, reasons in self.excluded_golds.items()},
            "samples": {title: [asdict(finding) for finding in samples] for title, samples in self.samples().items()},
        }

    def samples(self) -> dict[str, list[Finding]]:
        """The kept findings by what is worth looking at in them."""
        return {
            "verdict changes": self.change_samples,
            "marker and fall-back disagree": self.disagreement_samples,
            "unparsed": self.unparsed_samples,
            "wrong, but numerically close": self.close_samples,
        }


def audit_run(
    run_dir: str | Path,
    *,
    strategies: Sequence[Strategy] = DEFAULT_ANSWER_FORMATS,
    num_samples: int = 10,
    num_workers: int = 1,
) -> AuditReport:
    """Re-scores all rollouts under RUN/rollouts. Raises DataError when there is nothing to audit."""
    run = Path(run_dir)
    rollout_files = sorted(run.glob("rollouts/**/*.parquet"))
    problem_files = [path for path in sorted(run.glob("problems/*.parquet")) if path.name != "excluded.parquet"]
    if not rollout_files or not problem_files:
        missing = "rollouts" if not rollout_files else "problems"
        raise DataError(
            f"{run} has no {missing} in {run / missing}, so there is nothing to audit; give the directory of a run"
        )
    golds = {
        row["problem_id"]: str(row["answer"]) for path in problem_files for row in _rows(path, ("problem_id", "answer"))
    }
    report = AuditReport(excluded_golds=_excluded(run / "problems" / "excluded.parquet"))
    with Verifier(strategies, num_workers=num_workers) as verifier:
        auditor = _Auditor(verifier, {strategy.name: strategy for strategy in strategies}, report, num_samples)
        for path in rollout_files:
            for row in _rows(path, _COLUMNS):
                auditor.add(row, golds.get(row["problem_id"]))
    return report


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet file, a batch in memory at a time."""
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        missing = [column for column in columns if column not in file.schema_arrow.names]
        if missing:
            raise DataError(f"{path} has no column {', '.join(missing)}; is it of this version's run directory?")
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns)):
            yield from batch.to_pylist()


def _excluded(path: Path) -> dict[str, Counter[str]]:
    """Golds that the loaders left out, by data set and reason."""
    counts: dict[str, Counter[str]] = {}
    if path.exists():
        for row in _rows(path, ("dataset", "reason")):
            counts.setdefault(str(row["dataset"]), Counter())[str(row["reason"])] += 1
    return counts


class _Auditor:
    """Fills a report, row by row."""

    def __init__(
        self, verifier: Verifier, strategies: dict[str, Strategy], report: AuditReport, num_samples: int
    ) -> None:
        self._verifier = verifier
        self._strategies = strategies
        self._report = report
        self._num_samples = num_samples

    def add(self, row: dict[str, Any], gold: str | None) -> None:
        report = self._report
        report.num_rollouts += 1
        if gold is None:
            report.num_without_problem += 1
            return
        strategy, completion, stored = str(row["strategy"]), str(row["completion"] or ""), str(row["verdict"])
        now = _CUT_OFF if row["truncated"] else self._verifier.judge(strategy, completion, gold)
        report.by_strategy.setdefault(strategy, Counter())[str(now.verdict)] += 1
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
            self._keep(report.change_samples, finding)
        if now.verdict is Verdict.UNPARSED:
            self._keep(report.unparsed_samples, finding)
        if now.verdict is Verdict.WRONG and is_close(now.predicted, gold):
            self._keep(report.close_samples, finding)
        if disagrees(self._strategies.get(strategy), completion):
            report.disagreements[strategy] += 1
            self._keep(report.disagreement_samples, finding)

    def _keep(self, samples: list[Finding], finding: Finding) -> None:
        """The first ones: the same every time, whatever the order of workers was."""
        if len(samples) < self._num_samples:
            samples.append(finding)


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


def render(report: AuditReport) -> str:
    """The report as plain text, for the terminal."""
    lines = [f"{report.num_rollouts} rollouts re-scored, {sum(report.changes.values())} verdicts changed"]
    if report.num_without_problem:
        lines.append(f"{report.num_without_problem} rollouts without a problem in RUN/problems were skipped")
    for strategy, counts in sorted(report.by_strategy.items()):
        verdicts = ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items()))
        lines.append(f"  {strategy}: {verdicts}; marker and fall-back disagree {report.disagreements[strategy]}")
    lines += [f"  {change}: {count}" for change, count in report.changes.most_common()]
    for dataset, reasons in sorted(report.excluded_golds.items()):
        lines.append(
            f"golds left out of {dataset}: " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        )
    for title, samples in report.samples().items():
        lines += _rendered_samples(title, samples)
    return "\n".join(lines)


def _rendered_samples(title: str, samples: list[Finding]) -> list[str]:
    lines = [f"\n{title} (first {len(samples)})"] if samples else []
    for finding in samples:
        lines.append(
            f"  {finding.request_id} [{finding.strategy}] {finding.stored} → {finding.now}: "
            f"{finding.predicted!r} for {finding.answer!r} ({finding.reason})"
        )
        lines.append(f"      … {finding.completion_end[-120:]!r}")
    return lines
