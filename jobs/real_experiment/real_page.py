"""docs/real.md: what the loop is worth on a real student, out of finished runs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from real_arms import ARMS, NUM_ITERATIONS, STRATEGIES, TRANSFER, Task

from siked_ray.core.intervals import compare_counts
from siked_ray.evaluation.seeds import mean_and_half_width

Summary = Mapping[str, Any]

_HEAD = """\
<!-- Written by jobs/real_experiment/run_real.py; `make real-experiment` runs what is missing and writes it again. -->
# Is the loop worth it on a real student?

SmolLM2-135M-Instruct learns from published rationales of large models on SVAMP, MultiArith and ASDiv, with LoRA 16, one
epoch an iteration, {num_iterations} iterations after iteration 0, two samples of the student for each (problem,
strategy). Free accuracy in per cent, greedy, on the {num_tests:,} test problems of the three sets together; GSM8K
({num_transfer:,} problems) is transfer: nothing was learnt from it. An arm's row is of the iteration that the held-out
split chose; its *twin* saw the teacher's rows alone for as many optimizer steps. Means over the seeds, with 95 %
intervals (Student's t) where there are two or more.

Made with {made}.
"""
_COLUMNS = ("arm", "seeds", "free", "GSM8K", "some strategy", "forced", "right choice", "chooses", "steps")


def write_page(path: Path, runs: Mapping[Task, Summary], untrained: Summary) -> None:
    """Write the page. `untrained` has the base student's figures by test set; it may be empty."""
    lines = list(_head(next(iter(runs.values())))) if runs else ["No arm is finished yet."]
    for teacher in dict.fromkeys(task.teacher for task in runs):
        of_teacher = {task: summary for task, summary in runs.items() if task.teacher == teacher}
        lines += [*_table(teacher, of_teacher, untrained), *_gains(of_teacher)]
    lines += ["\n## Arms\n", *(f"* `{arm.name}`: {arm.means}." for arm in ARMS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _head(summary: Summary) -> Iterator[str]:
    figures = _best(summary)
    yield _HEAD.format(
        num_iterations=NUM_ITERATIONS,
        num_tests=sum(one["num_problems"] for one in _tests(figures)),
        num_transfer=_transfer(figures)["num_problems"],
        made=", ".join(f"{name} {summary['versions'][name]}" for name in ("ray", "vllm", "torch", "deepspeed")),
    )


def _table(teacher: str, runs: Mapping[Task, Summary], untrained: Summary) -> Iterator[str]:
    yield f"\n## Taught by {teacher}\n"
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|" + "---|" * len(_COLUMNS)
    if untrained:
        yield _row("untrained", [untrained], [0])
    for arm in ARMS:
        found = [summary for task, summary in runs.items() if task.arm == arm]
        if found:
            yield _row(arm.name, [_best(summary) for summary in found], [_steps(summary) for summary in found])
        twins = [twin for summary in found if (twin := _twin(summary))]
        if twins:
            steps = [twin["training"]["steps"] for twin in twins]
            yield _row(f"{arm.name}'s twin", [twin["evaluation"] for twin in twins], steps)


def _row(name: str, students: Sequence[Summary], steps: Sequence[int]) -> str:
    tests = [_tests(figures) for figures in students]
    known = [one for one in STRATEGIES if one in tests[0][0]["forced"]]
    forced = {one: _mean([_over(sets, "forced", one) for sets in tests]) for one in known}
    chooses = {one: _mean([_over(sets, "strategy_histogram", one) for sets in tests]) for one in known}
    cells = [
        name,
        str(len(students)),
        _percent([_over(sets, "free") for sets in tests]),
        _percent([_transfer(figures)["free"] for figures in students]),
        _percent([_over(sets, "oracle") for sets in tests]),
        " / ".join(f"{one} {share:.1%}" for one, share in forced.items()),
        _percent([_over(sets, "choices", "accuracy") for sets in tests]),
        " / ".join(f"{one} {share:.0%}" for one, share in chooses.items()),
        f"{_mean(steps):,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _gains(runs: Mapping[Task, Summary]) -> Iterator[str]:
    """What each loop gained over its twin: problems and seeds together by McNemar's test, and seed by seed."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for task, summary in runs.items():
        if twin := _twin(summary):
            found.setdefault(task.arm.name, []).append(_paired(twin))
    if not found:
        return
    yield "\nWhat each loop gained over its twin, in points, the three test sets together. The loop's side is the best"
    yield "iteration, or the last one where iteration 0 is the best.\n"
    yield "| arm | seeds | the loop alone solves | the twin alone | gain | 95 % interval | p (McNemar) | by seed |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, seeds in found.items():
        total, gained, lost = (sum(one[i] for one in seeds) for i in range(3))
        paired = compare_counts(total, gained, lost)
        low, high = (f"{bound * 100:+.1f}" for bound in paired.interval)
        each = ", ".join(f"{(own - other) / problems * 100:+.1f}" for problems, own, other in seeds)
        yield (
            f"| {name} | {len(seeds)} | {gained} | {lost} | {paired.difference * 100:+.1f} | {low} to {high} "
            f"| {paired.p_value:.4f} | {each} |"
        )


def _paired(twin: Summary) -> tuple[int, int, int]:
    """Problems, those that the loop alone solves, those that the twin alone solves."""
    compared = [figures["paired"]["loop"] for figures in _tests(twin["evaluation"])]
    total, lost, gained = (sum(one[key] for one in compared) for key in ("num_problems", "lost", "gained"))
    return total, lost, gained


def _best(summary: Summary) -> Summary:
    """Figures by test set of the iteration that the held-out split chose."""
    best = summary["best_iteration"]
    return next(one["evaluation"] for one in summary["iterations"] if one["iteration"] == best)


def _steps(summary: Summary) -> int:
    past = [one for one in summary["iterations"] if one["iteration"] <= summary["best_iteration"]]
    return sum(one["training"]["steps"] for one in past)


def _twin(summary: Summary) -> Summary | None:
    return next((one for one in summary.get("arms") or [] if one["name"] == "twin"), None)


def _tests(figures: Summary) -> list[Summary]:
    """Of the sets that are the headline."""
    return [one for name, one in figures.items() if name not in ("validation", TRANSFER)]


def _transfer(figures: Summary) -> Summary:
    return figures[TRANSFER]


def _over(sets: Sequence[Summary], *path: str) -> float:
    """A figure over the problems of all sets; the share of right choices over those that some strategy solves."""
    total = value = 0.0
    for one in sets:
        weight = one["num_problems"] * (one["oracle"] if path[0] == "choices" else 1)
        found: Any = one
        for key in path:
            found = found[key]
        total, value = total + weight, value + weight * (found or 0.0)
    return value / total if total else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _percent(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0] * 100:.1f}"
    mean, half = mean_and_half_width(values)
    return f"{mean * 100:.1f} ± {half * 100:.1f}"
