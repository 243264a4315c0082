"""The summary as the report reads it. Everything a stage has not written yet is None or missing, never an error."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from siked_ray.core.stage import Kind
from siked_ray.data.old_records import id_of
from siked_ray.report.html.style import NEUTRAL, STRATEGY_COLOURS
from siked_ray.report.html.svg import Series
from siked_ray.report.numbers import finite, wilson_interval

Summary = Mapping[str, Any]

SIKED = "siked"
VALIDATION = "validation"
NO_STRATEGY = "none"

#: The kinds of stages as the report groups them; those of SIKeD are shown before they have taken any time.
_GROUPS = {
    Kind.ROLLOUTS: "sampling",
    Kind.TABLE: "selecting",
    Kind.MIXTURE: "mixing",
    Kind.SCORES: "scoring",
    Kind.READING: "scoring",
    Kind.TRAINING: "training",
    Kind.MERGE: "merging",
    Kind.ANSWERS: "evaluation",
    Kind.SAMPLES: "evaluation",
    Kind.EVALUATION: "evaluation",
    Kind.TESTS: "evaluation",
}
_SIKEDS_GROUPS = ("sampling", "mixing", "training", "evaluation")


class View:
    """Iterations in order, their strategies and data sets, and figures by path."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.iterations: Sequence[Mapping[str, Any]] = sorted(
            summary.get("iterations") or [], key=lambda entry: entry["iteration"]
        )
        self.recipe: str = summary.get("recipe") or SIKED
        self.status: str = summary.get("status") or "unknown"
        self.strategies = _strategy_names(self.iterations)
        self.datasets = _unique(name for entry in self.iterations for name in _evaluation(entry))
        self.arms: Sequence[Mapping[str, Any]] = summary.get("arms") or []
        self.cascade: Mapping[str, Mapping[str, Any]] = summary.get("cascade") or {}
        self.views: Mapping[str, Mapping[str, Mapping[str, int]]] = summary.get("views") or {}
        self.control: Mapping[str, Any] | None = summary.get("control")
        self.claims: Sequence[Mapping[str, Any]] = [
            *([self.control] if self.control else []),
            *(summary.get("claims") or []),
        ]
        self.stages: Sequence[Mapping[str, Any]] = summary.get("stages") or []

    @property
    def is_sikeds(self) -> bool:
        """Whether SIKeD's words fit: iteration 0 distils the teacher, the student guides itself from then on."""
        return self.recipe == SIKED

    @property
    def title(self) -> str:
        """What the report is headed by."""
        return f"{recipe_title(self.recipe)} · {self.summary.get('run', '')}"

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
    def has_mixtures(self) -> bool:
        """Whether rows of teacher and student were mixed, as SIKeD does."""
        return any(lookup(entry, "mixture", "by_strategy") is not None for entry in self.iterations)

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
        seconds = {kind: [0.0] * len(self.iterations) for kind in _unique(_GROUPS.values())}
        for stage in self.stages:
            kind, iteration = _kind_and_iteration(stage)
            if kind in _GROUPS and iteration in position:
                seconds[_GROUPS[kind]][position[iteration]] += stage["seconds"]
        shown = _SIKEDS_GROUPS if self.is_sikeds else ()
        return {group: took for group, took in seconds.items() if group in shown or any(took)}

    def sampled(self, entry: Mapping[str, Any]) -> str:
        """Who was sampled for an iteration: teacher or student, by another recipe's the names of the stages."""
        if self.is_sikeds:
            return "student" if entry["iteration"] else "teacher"
        of = (Kind.ROLLOUTS, entry["iteration"])
        stages = [one["name"] for one in self.stages if _kind_and_iteration(one) == of]
        return " to ".join(dict.fromkeys((stages[0], stages[-1]))) if stages else ""


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


def recipe_title(recipe: str) -> str:
    """How a recipe is called: SIKeD by its name, others by that of their file."""
    return "SIKeD" if recipe == SIKED else recipe


def title_of(dataset: str) -> str:
    """How a data set is called in the report."""
    return "held-out split" if dataset == VALIDATION else f"test set {dataset}"


def _kind_and_iteration(stage: Mapping[str, Any]) -> tuple[Kind | None, int | None]:
    """Summaries of 0.1 have the names of stages alone."""
    if "kind" in stage:
        return Kind(stage["kind"]), stage["iteration"]
    try:
        known = id_of(stage["name"])
    except KeyError:
        return None, None
    return known.kind, known.iteration


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
