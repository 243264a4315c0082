"""The summary as the report reads it. Everything a stage has not written yet is None or missing, never an error."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from siked_ray.report.html_style import NEUTRAL, STRATEGY_COLOURS
from siked_ray.report.numbers import finite, wilson_interval
from siked_ray.report.svg import Series

Summary = Mapping[str, Any]

VALIDATION = "validation"
NO_STRATEGY = "none"

_KINDS = {
    "rollouts": "sampling",
    "mixture": "mixing",
    "training": "training",
    "evaluation": "evaluation",
    "tests": "evaluation",
    "decision": "decision",
}
_STAGE = re.compile(r"([a-z]+)_(\d+|teacher)")


class View:
    """Iterations in order, their strategies and data sets, and figures by path."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.iterations: Sequence[Mapping[str, Any]] = sorted(
            summary.get("iterations") or [], key=lambda entry: entry["iteration"]
        )
        self.status: str = summary.get("status") or "unknown"
        self.strategies = _strategy_names(self.iterations)
        self.datasets = _unique(name for entry in self.iterations for name in _evaluation(entry))
        self.stages: Sequence[Mapping[str, Any]] = summary.get("stages") or []

    @property
    def labels(self) -> list[str]:
        """Names of the iterations on axes."""
        return [str(entry["iteration"]) for entry in self.iterations]

    @property
    def held_out(self) -> str | None:
        """The data set that selects: the held-out split of the training problems."""
        return VALIDATION if VALIDATION in self.datasets else None

    @property
    def evaluated(self) -> list[Mapping[str, Any]]:
        return [entry for entry in self.iterations if entry.get("evaluation")]

    @property
    def teacher_shares(self) -> Mapping[str, float]:
        """P(strategy) over the teacher's kept rows, which iteration 0 learns from; empty before its mixture."""
        by_strategy = lookup(self.entry(0), "mixture", "by_strategy") or {}
        counts = {name: one["teacher_rows"] for name, one in by_strategy.items()}
        total = sum(counts.values())
        return {name: number / total for name, number in counts.items()} if total else {}

    @property
    def best(self) -> int | None:
        """The decided best iteration, or the best of those evaluated before the first decision."""
        decided = self.summary.get("best_iteration")
        if decided is not None or not self.held_out:
            return decided
        free = {entry["iteration"]: number(entry, "evaluation", self.held_out, "free") for entry in self.evaluated}
        known = {iteration: accuracy for iteration, accuracy in free.items() if accuracy is not None}
        return max(known, key=lambda iteration: (known[iteration], -iteration), default=None)

    def entry(self, iteration: int | None) -> Mapping[str, Any]:
        return next((entry for entry in self.iterations if entry["iteration"] == iteration), {})

    def column(self, *path: str) -> list[float | None]:
        """The figure at this path, one per iteration."""
        return [number(entry, *path) for entry in self.iterations]

    def colour(self, strategy: str) -> str:
        if strategy not in self.strategies:
            return NEUTRAL
        return STRATEGY_COLOURS[self.strategies.index(strategy) % len(STRATEGY_COLOURS)]

    def by_strategy(self, *path: str, with_none: bool = False) -> list[Series]:
        """A series per strategy of the figures below this path; `*` in the path stands for the strategy."""
        names = [*self.strategies, *([NO_STRATEGY] if with_none else [])]
        return [
            Series(
                name=name,
                css=self.colour(name),
                values=self.column(*(name if part == "*" else part for part in path)),
            )
            for name in names
        ]

    def seconds_by_kind(self) -> dict[str, list[float]]:
        """Seconds of the stages, by kind and iteration; the teacher's sampling belongs to iteration 0."""
        position = {entry["iteration"]: index for index, entry in enumerate(self.iterations)}
        seconds = {kind: [0.0] * len(self.iterations) for kind in ("sampling", "mixing", "training", "evaluation")}
        for stage in self.stages:
            kind, iteration = _kind_and_iteration(stage["name"])
            if kind in seconds and iteration in position:
                seconds[kind][position[iteration]] += stage["seconds"]
        return seconds


def number(values: Any, *path: str) -> float | None:
    """The finite number at a path of nested mappings, or None."""
    found = lookup(values, *path)
    return finite(found) if isinstance(found, int | float) else None


def lookup(values: Any, *path: str) -> Any:
    """What lies at a path of nested mappings, or None."""
    for part in path:
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def interval(metrics: Mapping[str, Any]) -> tuple[float, float]:
    """The 95 % interval of the free accuracy: the stored bootstrap one, where that has a width, else Wilson's."""
    stored = lookup(metrics, "intervals", "free")
    if stored and stored[0] < stored[1]:
        return stored[0], stored[1]
    return wilson_interval(metrics["free"], metrics["num_problems"])


def title_of(dataset: str) -> str:
    """How a data set is called in the report."""
    return "held-out split" if dataset == VALIDATION else f"test set {dataset}"


def _kind_and_iteration(stage: str) -> tuple[str, int]:
    match = _STAGE.fullmatch(stage)
    if not match:
        return "", -1
    return _KINDS.get(match[1], ""), 0 if match[2] == "teacher" else int(match[2])


def _evaluation(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return entry.get("evaluation") or {}


def _strategy_names(iterations: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is trained and evaluated; until then what was sampled, which a run with `start_from` may use a part of."""
    used: list[str] = []
    for entry in iterations:
        used += lookup(entry, "mixture", "by_strategy") or {}
        for metrics in _evaluation(entry).values():
            used += metrics.get("forced") or {}
    sampled = [name for entry in iterations for name in lookup(entry, "generation", "accepted_by_strategy") or {}]
    return _unique(used or sampled)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
