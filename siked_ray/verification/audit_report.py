"""What an audit found: counts of everything, samples of what deserves a look, and how they are shown."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from siked_ray.core.reasoning import Reasoning

_SHOWN_CHARS = 120


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


@dataclass(kw_only=True, slots=True)
class FindingSample:
    """How many findings there are, and the `size` whose ids hash lowest: from all over the run, every time the same."""

    size: int
    count: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.count += 1
        self._keep([finding])

    def merge(self, other: "FindingSample") -> None:
        self.count += other.count
        self._keep(other.findings)

    def _keep(self, findings: list[Finding]) -> None:
        if len(self.findings) + len(findings) > self.size:
            self.findings = sorted([*self.findings, *findings], key=_order)[: self.size]
        else:
            self.findings += findings


def _order(finding: Finding) -> bytes:
    return hashlib.blake2b(finding.request_id.encode("utf-8", "replace"), digest_size=8).digest()


@dataclass(kw_only=True, slots=True)
class Soundness:
    """Of a strategy's correct rows, how many are sound, and what the others lack."""

    num_correct: int = 0
    num_sound: int = 0
    num_false: int = 0
    num_unreached: int = 0
    num_without_numbers: int = 0

    def add(self, reasoning: Reasoning) -> None:
        """Counts one correct row."""
        self.num_correct += 1
        self.num_sound += reasoning.sound
        self.num_without_numbers += reasoning.uses_question_numbers is False
        if reasoning.steps is not None:
            self.num_false += reasoning.steps.stated > reasoning.steps.true
            self.num_unreached += not reasoning.steps.reaches_answer

    def merge(self, other: "Soundness") -> None:
        self.num_correct += other.num_correct
        self.num_sound += other.num_sound
        self.num_false += other.num_false
        self.num_unreached += other.num_unreached
        self.num_without_numbers += other.num_without_numbers


@dataclass(kw_only=True)
class AuditReport:
    """What an audit found; samples hold at most `num_samples` findings each, counters count all."""

    num_samples: int = 10
    num_rollouts: int = 0
    num_without_problem: int = 0
    by_strategy: dict[str, Counter[str]] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    disagreements: Counter[str] = field(default_factory=Counter)
    soundness: dict[str, Soundness] = field(default_factory=dict)
    excluded_golds: dict[str, Counter[str]] = field(default_factory=dict)
    samples: dict[str, FindingSample] = field(default_factory=dict)

    def keep(self, title: str, finding: Finding) -> None:
        """Counts a finding under a title, and keeps it if it falls into the sample."""
        self.samples.setdefault(title, FindingSample(size=self.num_samples)).add(finding)

    def merge(self, other: "AuditReport") -> None:
        """Adds what another part of the run gave."""
        self.num_rollouts += other.num_rollouts
        self.num_without_problem += other.num_without_problem
        self.changes += other.changes
        self.disagreements += other.disagreements
        for strategy, counts in other.by_strategy.items():
            self.by_strategy.setdefault(strategy, Counter()).update(counts)
        for strategy, soundness in other.soundness.items():
            self.soundness.setdefault(strategy, Soundness()).merge(soundness)
        for title, sample in other.samples.items():
            self.samples.setdefault(title, FindingSample(size=self.num_samples)).merge(sample)


def render(report: AuditReport) -> str:
    """The report as plain text, for the terminal."""
    lines = [f"{report.num_rollouts:,} rollouts re-scored, {report.changes.total():,} verdicts changed"]
    if report.num_without_problem:
        lines.append(f"{report.num_without_problem:,} rollouts without a problem in RUN/problems were skipped")
    for strategy, counts in sorted(report.by_strategy.items()):
        verdicts = ", ".join(
            f"{verdict} {count:,} ({count / counts.total():.1%})" for verdict, count in counts.most_common()
        )
        lines.append(f"  {strategy}: {verdicts}; marker and fall-back disagree {report.disagreements[strategy]:,}")
    lines += [f"  {change}: {count:,}" for change, count in report.changes.most_common()]
    lines += _soundness_table(report.soundness)
    for dataset, reasons in sorted(report.excluded_golds.items()):
        counted = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        lines.append(f"golds left out of {dataset}: {counted}")
    if not report.excluded_golds:
        lines.append("golds left out: none")
    for title, sample in report.samples.items():
        lines += ["", f"{title}: {len(sample.findings)} of {sample.count:,}"]
        for finding in sorted(sample.findings, key=lambda finding: (finding.strategy, finding.request_id)):
            lines += _rendered(finding)
    return "\n".join(lines)


def _soundness_table(soundness: dict[str, Soundness]) -> list[str]:
    """Strategy by strategy, how many of the correct rows follow from what they state."""
    if not soundness:
        return []
    lines = [
        f"{'of the correct rows':<20}{'correct':>10}{'sound':>10}{'false step':>12}{'not reached':>13}{'no number':>11}"
    ]
    for strategy, counts in sorted(soundness.items()):
        faults = (counts.num_false, counts.num_unreached, counts.num_without_numbers)
        false, unreached, unused = (f"{count / counts.num_correct:.1%}" for count in faults)
        lines.append(
            f"  {strategy:<18}{counts.num_correct:>10,}{counts.num_sound:>10,}{false:>12}{unreached:>13}{unused:>11}"
        )
    return lines


def _rendered(finding: Finding) -> list[str]:
    verdict = finding.now if finding.stored == finding.now else f"{finding.stored} → {finding.now}"
    return [
        f"  {finding.request_id} [{finding.strategy}] {verdict}: {finding.predicted!r} for {finding.answer!r} "
        f"({finding.reason})",
        f"      … {finding.completion_end[-_SHOWN_CHARS:]!r}",
    ]
