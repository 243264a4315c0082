"""The result of a run in words, computed from its figures."""

from collections.abc import Mapping
from typing import Any

from siked_ray.report.numbers import percent, percent_range, points, probability, share
from siked_ray.report.view import NO_STRATEGY, View, interval, lookup, number, title_of


def reading(view: View) -> list[str]:
    """Sentences: what the loop was worth, where the run stands, what the best student does, what happened meanwhile."""
    sentences = [*_control(view), _standing(view), *_origin(view)]
    if view.evaluated:
        sentences += [_best(view), *_tests(view), *_alpha(view), *_choice(view), *_ending(view)]
    return [*sentences, *_quarantine(view)]


def _control(view: View) -> list[str]:
    """What the loop was worth, where a twin was trained."""
    return [f"{view.control['sentence']}."] if view.control else []


def _standing(view: View) -> str:
    num = len(view.evaluated)
    evaluated = f"{num} iteration{'s' if num != 1 else ''} {'is' if num == 1 else 'are'} evaluated"
    last = view.stages[-1]["name"] if view.stages else None
    committed = f"the last committed stage is {last}" if last else "no stage is committed yet"
    if not view.is_sikeds and not num:
        evaluated = f"{len(view.stages)} stages are committed"
    if view.status == "finished":
        return f"The run is finished; {evaluated}."
    if view.status == "failed":
        return (
            f"The run failed; {committed}, and {evaluated}. What is committed is kept: the same command continues "
            "from there."
        )
    return f"The run is not finished; {committed}, and {evaluated}."


def _best(view: View) -> str:
    best, set_name = view.best, view.held_out
    if best is None or set_name is None:
        return "Nothing is known of the held-out split yet, so no iteration is best."
    metrics, base = _metrics(view, best, set_name), _metrics(view, 0, set_name)
    if metrics is None:
        return f"Iteration {best} is the best one."
    figure = f"{percent(metrics['free'])} free accuracy on the held-out split ({_interval(metrics)})"
    first = "iteration 0, plain distillation" if view.is_sikeds else "iteration 0"
    if best == 0 and len(view.evaluated) == 1:
        return f"Iteration 0, plain distillation, reaches {figure}." if view.is_sikeds else f"It reaches {figure}."
    if best == 0:
        return f"No {'self-guided' if view.is_sikeds else 'later'} iteration is above {first}, which reaches {figure}."
    comparison = f", against {percent(base['free'])} of {first}" if base else ""
    change = f": {points(metrics['free'] - base['free'])}" if base else ""
    doubt = ", within that interval" if base and _within_interval(base["free"], metrics) else ""
    return f"Iteration {best} is the best one with {figure}{comparison}{change}{doubt}."


def _tests(view: View) -> list[str]:
    """One sentence per test set. They select nothing; the best iteration was chosen on the held-out split."""
    sentences = []
    for name in view.datasets:
        metrics = _metrics(view, view.best, name)
        if name == view.held_out or metrics is None:
            continue
        sentence = f"On the {title_of(name)} it solves {percent(metrics['free'])} ({_interval(metrics)})"
        base = _metrics(view, 0, name)
        if base and view.best != 0:
            sentence += (
                f", iteration 0 {percent(base['free'])}: {points(metrics['free'] - base['free'])}{_test(metrics)}"
            )
        sentences.append(f"{sentence}; some strategy solves {percent(metrics['oracle'])}.")
    return sentences


def _test(metrics: Mapping[str, Any]) -> str:
    """The paired test against iteration 0, where the evaluation has it."""
    p_value = number(metrics, "paired", "iteration_0", "p_value")
    return "" if p_value is None else f" (McNemar p {probability(p_value)})"


def _within_interval(accuracy: float, metrics: Mapping[str, Any]) -> bool:
    low, high = interval(metrics)
    return low <= accuracy <= high


def _interval(metrics: Mapping[str, Any]) -> str:
    num_problems = metrics["num_problems"]
    return f"95% interval {percent_range(interval(metrics))} of {num_problems:,} problems"


def _alpha(view: View) -> list[str]:
    known = [(e["iteration"], a) for e in view.iterations if (a := number(e, "mixture", "alpha")) is not None]
    if len(known) < 2:
        return []
    (first, before), (last, after) = known[0], known[-1]
    verb = "fell" if after < before else "rose" if after > before else "stayed"
    return [
        f"The teacher's share of the training rows, α, {verb} from {share(before)} in iteration {first} to "
        f"{share(after)} in iteration {last}."
    ]


def _choice(view: View) -> list[str]:
    histogram = lookup(_metrics(view, view.best, view.held_out or ""), "strategy_histogram")
    if not histogram or not any(histogram.values()):
        return []
    favourite = max(histogram, key=lambda name: histogram[name])
    before = lookup(_metrics(view, 0, view.held_out or ""), "strategy_histogram", favourite)
    choice = "names no known strategy" if favourite == NO_STRATEGY else f"chooses {favourite}"
    change = f", {percent(before)} in iteration 0" if before is not None and view.best != 0 else ""
    return [f"Left free, the best student most often {choice} ({percent(histogram[favourite])}{change})."]


def _ending(view: View) -> list[str]:
    reasons = [entry["decision"]["reason"] for entry in view.iterations if lookup(entry, "decision", "stop")]
    what = "loop" if view.is_sikeds else "run"
    return [f"The {what} stopped because {reasons[-1]}."] if reasons else []


def _origin(view: View) -> list[str]:
    """Where a run that branched began."""
    origin = view.summary.get("start_from")
    if not origin:
        return []
    if origin.get("by_fingerprint"):
        return [f"It took over what {origin['from']} had made from the same."]
    point = "its teacher's rollouts" if origin["iteration"] is None else f"iteration {origin['iteration']}"
    return [f"It branched from {origin['from']} after {point}."]


def _quarantine(view: View) -> list[str]:
    num_rows = view.summary.get("quarantined") or 0
    return [f"{num_rows:,} row(s) could not be sampled and are in quarantine."] if num_rows else []


def _metrics(view: View, iteration: int | None, dataset: str) -> Mapping[str, Any] | None:
    return lookup(view.entry(iteration), "evaluation", dataset)
