"""docs/experiment.md: tables with means and intervals over seeds, and paired tests, out of finished runs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from arms import ARMS, DATA, GAPS, MATCHED, NUM_ITERATIONS, OTHERS, SIKED, SINGLE, Task
from own_rows import OwnRows, own_rows

from siked_ray.evaluation.seeds import ArmsComparison, compare_over_seeds, mean_and_half_width

#: Free accuracy on the test set, by arm and seed.
Accuracies = Mapping[str, Mapping[int, float]]

_COLUMNS = (
    *("arm", "seeds", "free", "last iteration", "oracle", "majority"),
    *("forced", "right choice", "chooses", "steps", "last α"),
)
_HEAD = """\
<!-- Written by jobs/experiment/run_experiment.py; `make experiment` runs what is missing and writes it again. -->
# Does SIKeD help? The experiment on the demo's world

One teacher, its rollouts shared by all arms; one base student per size; seeds differ in the order of training and in
the student's sampling. Free accuracy on {num_problems} test problems, greedy, of the iteration that the held-out split
chose, unless a column says otherwise. Intervals are 95 % over the seeds (Student's t). The world is procedural
and the models are tiny: this says whether the method does what it claims *here*, not how large the gain is elsewhere.

*Right choice*: of the problems that some forced strategy solves, the share whose freely chosen strategy does. *Steps*:
optimizer steps of all iterations. *Oracle*: some strategy solves. *Majority*: the answer of most forced strategies.

Made with {made}.
"""


def write_page(path: Path, root: Path, tasks: Sequence[Task]) -> None:
    """Write the page from finished runs."""
    summaries = {task: json.loads((root / task.name / "summary.json").read_text()) for task in tasks}
    sizes = list(dict.fromkeys(task.size for task in tasks))
    lines = [_head(summaries)] if summaries else ["No arm is finished yet."]
    for size in sizes:
        lines += _size(size, {task: summary for task, summary in summaries.items() if task.size == size})
        lines += _own_rows(root, [task for task in tasks if task.size == size])
    lines += _arms()
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _head(summaries: Mapping[Task, Any]) -> str:
    metrics = _test(next(iter(summaries.values()))["iterations"][0])
    versions = next(iter(summaries.values()))["versions"]
    made = ", ".join(f"{name} {versions[name]}" for name in ("ray", "vllm", "torch", "deepspeed"))
    return _HEAD.format(num_problems=metrics["num_problems"], made=made)


def _size(size: str, summaries: Mapping[Task, Any]) -> Iterator[str]:
    accuracies: dict[str, dict[int, float]] = {}
    for task, summary in summaries.items():
        accuracies.setdefault(task.arm.name, {})[task.seed] = best_on_test(summary)["free"]
    yield f"\n## {size}\n"
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|" + "---|" * len(_COLUMNS)
    for arm in ARMS:
        runs = [summary for task, summary in summaries.items() if task.arm == arm]
        if runs:
            yield _row(arm.name, runs)
    yield from _tests(accuracies)
    yield from _twins(summaries)


def _row(name: str, runs: Sequence[Any]) -> str:
    bests = [best_on_test(run) for run in runs]
    lasts = [_test(run["iterations"][-1])["free"] for run in runs]
    strategies = list(bests[0]["strategy_histogram"])
    histogram = {s: sum(best["strategy_histogram"][s] for best in bests) / len(bests) for s in strategies}
    steps = [sum(entry["training"]["steps"] for entry in run["iterations"]) for run in runs]
    mixtures = [run["iterations"][-1].get("mixture") for run in runs]
    alphas = [mixture["alpha"] for mixture in mixtures if mixture]
    return (
        f"| {name} | {len(runs)} | {_mean([best['free'] for best in bests])} | {_mean(lasts)} "
        f"| {_mean([best['oracle'] for best in bests])} | {_mean([best['majority'] for best in bests])} "
        f"| {_shares({s: sum(best['forced'][s] for best in bests) / len(bests) for s in bests[0]['forced']})} "
        f"| {_mean([best['choices']['accuracy'] or 0.0 for best in bests])} | {_shares(histogram)} "
        f"| {sum(steps) / len(steps):,.0f} | {f'{sum(alphas) / len(alphas):.2f}' if alphas else '–'} |"
    )


def _own_rows(root: Path, tasks: Sequence[Task]) -> Iterator[str]:
    """What the student's rows in the last mixture of each iterated arm are made of."""
    found: dict[str, list[OwnRows]] = {}
    for task in tasks:
        if task.arm.start == "combined" and (shares := own_rows(root / task.name, root / "teacher", NUM_ITERATIONS)):
            found.setdefault(task.arm.name, []).append(shares)
    if not found:
        return
    yield "\nThe student's own rows in the last mixture, means over the seeds. *Sound*: the text is the one rationale"
    yield "that the world has for this problem and strategy; a right answer in other words may be luck.\n"
    yield "| arm | the teacher solved it too | in the teacher's words | sound | sound, of all the teacher's |"
    yield "|---|---|---|---|---|"
    for name, shares in found.items():
        columns = ("solved_by_teacher", "teachers_words", "sound", "teachers_sound")
        means = [sum(getattr(one, column) for one in shares) / len(shares) for column in columns]
        yield f"| {name} | {' | '.join(f'{mean:.0%}' for mean in means)} |"


def _shares(shares: Mapping[str, float]) -> str:
    return " ".join(f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.005)


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.1%}"
    mean, half = mean_and_half_width(values)
    return f"{mean * 100:.1f} ± {half * 100:.1f} %"


def _tests(accuracies: Accuracies) -> Iterator[str]:
    single = _best_single(accuracies)
    baselines = [name for name in (single, "combined", *MATCHED, "self_only") if name in accuracies]
    pairs = [*((siked, baseline) for siked in SIKED for baseline in baselines), *zip(DATA, MATCHED, strict=True)]
    pairs += [(other, baseline) for other in OTHERS for baseline in ("combined", *SIKED, *MATCHED)]
    pairs += [("adaptive_gaps", GAPS), (GAPS, "combined")]
    rows = [(one, other, compared) for one, other in pairs if (compared := _paired(accuracies, one, other))]
    if not rows:
        return
    yield "\nPaired over seeds, in points of free accuracy on the test set:\n"
    yield "| | against | seeds | difference | 95 % interval | p (paired t) | p (sign flips) |"
    yield "|---|---|---|---|---|---|---|"
    for one, other, compared in rows:
        low, high = compared.interval
        note = " (the best single strategy)" if other == single else ""
        yield (
            f"| {one} | {other}{note} | {compared.num_seeds} | {compared.mean * 100:+.1f} "
            f"| {low * 100:+.1f} to {high * 100:+.1f} | {compared.p_t:.4f} | {compared.p_flip:.4f} |"
        )


def _twins(summaries: Mapping[Task, Any]) -> Iterator[str]:
    """What arms gained over their own twins."""
    gains: dict[str, list[tuple[float, float]]] = {}
    for task, summary in summaries.items():
        for twin in summary.get("arms") or []:
            if twin["name"] == "twin":
                paired = _test(twin)["paired"]["loop"]
                gains.setdefault(task.arm.name, []).append((_test(twin)["free"], -paired["difference"]))
    if not gains:
        return
    yield "\nAgainst their twins, which were trained on as many tokens of the teacher's rows alone. The loop's side is"
    yield "the best iteration, or the last one where iteration 0 is the best.\n"
    yield "| arm | seeds | twin's free | the loop's gain | 95 % interval | p (paired t) |"
    yield "|---|---|---|---|---|---|"
    for name, found in gains.items():
        free = _mean([accuracy for accuracy, _ in found])
        if len(found) < 2:
            yield f"| {name} | 1 | {free} | {found[0][1] * 100:+.1f} | – | – |"
            continue
        compared = compare_over_seeds([gain for _, gain in found])
        low, high = compared.interval
        yield (
            f"| {name} | {len(found)} | {free} | {compared.mean * 100:+.1f} | {low * 100:+.1f} to {high * 100:+.1f} "
            f"| {compared.p_t:.4f} |"
        )


def _best_single(accuracies: Accuracies) -> str | None:
    """The single-strategy arm with the highest mean on the test set itself, which favours the baseline."""
    means = {name: sum(accuracies[name].values()) / len(accuracies[name]) for name in SINGLE if name in accuracies}
    return max(means, key=lambda name: means[name], default=None)


def _paired(accuracies: Accuracies, one: str, other: str) -> ArmsComparison | None:
    first, second = accuracies.get(one, {}), accuracies.get(other, {})
    seeds = sorted(first.keys() & second.keys())
    return compare_over_seeds([first[seed] - second[seed] for seed in seeds]) if len(seeds) > 1 else None


def best_on_test(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Figures on the test set of the iteration that the held-out split chose."""
    best = summary["best_iteration"]
    return _test(next(entry for entry in summary["iterations"] if entry["iteration"] == best))


def _test(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(metrics for name, metrics in entry["evaluation"].items() if name != "validation")


def _arms() -> Iterator[str]:
    yield "\n## Arms\n"
    yield f"Iterated arms have {NUM_ITERATIONS} self-guided iterations after iteration 0, which is `combined`'s.\n"
    yield from (f"* `{arm.name}`: {arm.means}." for arm in ARMS)
