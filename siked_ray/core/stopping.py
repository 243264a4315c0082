"""When the loop ends, and when it goes back.

SIKeD, section 3: until the held-out accuracy gains only marginally or declines. The collapse guard is this project's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Accuracies are quotients of counts; a gain of exactly `min_gain` has to count in spite of binary fractions.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What an iteration's student did on the held-out split: its free accuracy, and P(strategy) of its choices."""

    accuracy: float
    histogram: Mapping[str, float]

    @property
    def largest_share(self) -> float:
        return max(self.histogram.values(), default=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What a run has cost so far; also its budget, where None is no bound."""

    hours: float | None = None
    gpu_hours: float | None = None
    tokens: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingRules:
    """`max_iterations` counts the self-guided ones. `max_drop` and `max_share` are the bounds of the collapse guard."""

    max_iterations: int
    patience: int
    min_gain: float
    max_drop: float = 1.0
    max_share: float = 1.0
    budget: Spent = Spent()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What follows an iteration: stop or go on, from which iteration (the last one, or after a collapse the best one),
    which iteration is best so far, and why."""

    stop: bool
    best_iteration: int
    reason: str
    roll_back: bool = False


def decide(history: Sequence[Measured], spent: Spent, rules: StoppingRules) -> Decision:
    """Decision after the last of the iterations that were measured on the held-out split (from 0 on).

    An iteration counts as a gain when it is at least `min_gain` above the last one that counted as a gain (the first
    one counts), so that small steps add up. The loop stops after `patience` iterations in a row without a gain, after
    iteration `max_iterations`, or when the budget is used up. The best iteration is the one with the highest accuracy
    among those that did not collapse; the earliest of equals.
    """
    assert history, "a decision needs at least one evaluated iteration"
    last = len(history) - 1
    best, collapse = _best_and_collapse(history, rules)
    without_gain = _iterations_without_gain([one.accuracy for one in history], rules.min_gain)
    prefix = f"{collapse}; back to iteration {best}. " if collapse else ""
    stopping = _exceeded(spent, rules.budget)
    if last >= rules.max_iterations:
        stopping = f"iterations.max = {rules.max_iterations} is reached"
    elif without_gain >= rules.patience:
        stopping = f"{without_gain} iteration(s) in a row gained less than {rules.min_gain} on the held-out split"
    return Decision(
        stop=stopping is not None,
        best_iteration=best,
        reason=prefix + (stopping or "the held-out accuracy may still rise"),
        roll_back=collapse is not None,
    )


def _best_and_collapse(history: Sequence[Measured], rules: StoppingRules) -> tuple[int, str | None]:
    """The best iteration, and why the last one counts as collapsed, if it does."""
    best, collapse = 0, None
    for iteration in range(1, len(history)):
        collapse = _collapse(history[best], history[iteration], rules)
        if collapse is None and history[iteration].accuracy > history[best].accuracy:
            best = iteration
    return best, collapse


def _collapse(best: Measured, new: Measured, rules: StoppingRules) -> str | None:
    drop = best.accuracy - new.accuracy
    if drop > rules.max_drop + _ROUNDING:
        return f"the held-out accuracy fell by {drop:.3f}, more than {rules.max_drop}"
    swallowed = new.largest_share > rules.max_share >= best.largest_share
    if swallowed and -drop < rules.min_gain - _ROUNDING:
        name = max(new.histogram, key=lambda strategy: new.histogram[strategy])
        return f"{name} swallowed {new.largest_share:.1%} of the choices, without a gain"
    return None


def _exceeded(spent: Spent, budget: Spent) -> str | None:
    for used, bound, unit in (
        (spent.hours, budget.hours, "hours"),
        (spent.gpu_hours, budget.gpu_hours, "GPU-hours"),
        (spent.tokens, budget.tokens, "tokens"),
    ):
        if bound is not None and used is not None and used >= bound:
            return f"the budget of {bound:,g} {unit} is used up ({used:,.4g})"
    return None


def _iterations_without_gain(accuracies: Sequence[float], min_gain: float) -> int:
    reference, without_gain = accuracies[0], 0
    for accuracy in accuracies[1:]:
        if accuracy >= reference + min_gain - _ROUNDING:
            reference, without_gain = accuracy, 0
        else:
            without_gain += 1
    return without_gain
