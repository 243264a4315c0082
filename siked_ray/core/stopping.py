"""When the loop ends (SIKeD, section 3: until held-out accuracy gains only marginally or declines)."""

from collections.abc import Sequence
from dataclasses import dataclass

#: Accuracies are quotients of counts; a gain of exactly `min_gain` has to count in spite of binary fractions.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What follows an iteration: stop or go on, which iteration is best so far, and why."""

    stop: bool
    best_iteration: int
    reason: str


def decide(validation_accuracies: Sequence[float], *, patience: int, min_gain: float, max_iterations: int) -> Decision:
    """Decision after the last of the accuracies on the held-out split (one per iteration, from 0 on).

    An iteration counts as a gain when it is at least `min_gain` above the last one that counted as a gain (the first
    one counts), so that small steps add up. The loop stops after `patience` iterations in a row without a gain, or
    after iteration `max_iterations`. The best iteration is the one with the highest accuracy; the earliest of equals.
    """
    assert validation_accuracies, "a decision needs at least one evaluated iteration"
    last = len(validation_accuracies) - 1
    best = max(range(len(validation_accuracies)), key=lambda i: (validation_accuracies[i], -i))
    without_gain = _iterations_without_gain(validation_accuracies, min_gain)
    if last >= max_iterations:
        return Decision(stop=True, best_iteration=best, reason=f"iterations.max = {max_iterations} is reached")
    if without_gain >= patience:
        reason = f"{without_gain} iteration(s) in a row gained less than {min_gain} on the held-out split"
        return Decision(stop=True, best_iteration=best, reason=reason)
    return Decision(stop=False, best_iteration=best, reason="the held-out accuracy may still rise")


def _iterations_without_gain(accuracies: Sequence[float], min_gain: float) -> int:
    reference, without_gain = accuracies[0], 0
    for accuracy in accuracies[1:]:
        if accuracy >= reference + min_gain - _ROUNDING:
            reference, without_gain = accuracy, 0
        else:
            without_gain += 1
    return without_gain
