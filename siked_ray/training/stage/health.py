"""How a training stage goes, from its losses alone: early warnings while it runs, and a note at its end."""

import math
from collections.abc import Sequence
from statistics import fmean

#: Steps whose losses are averaged; a warning needs three times as many.
_WINDOW = 20
_DIVERGED = 1.5
#: Nats above the best. A student that goes on from trained weights begins near its best, and the learning rate's new
#: peak lifts its loss for a while: 0.12 to 0.24 in the demo.
_RISEN = 0.3
#: Shares of the first mean: by one of them down or the other up, and a loss has moved. A rise has its own rule.
_FALLEN = 0.01
_LIFTED = 0.1


def warning(losses: Sequence[float], num_steps: int) -> str | None:
    """A sentence on a loss (nats per target) that rises far above its best, or does not move; None when all is well.

    A loss that does not move is said after a quarter of the steps, when there is time left to do something.
    """
    if len(losses) < 3 * _WINDOW:
        return None
    means = [fmean(losses[end - _WINDOW : end]) for end in range(_WINDOW, len(losses) + 1, _WINDOW)]
    first, best, last = means[0], min(means), fmean(losses[-_WINDOW:])
    if last > max(_DIVERGED * best, best + _RISEN) and last > first:
        return (
            f"The loss rose to {last:.3f}, above its start ({first:.3f}) and {last / best:.1f} times its best: "
            "training diverges; lower training.learning_rate."
        )
    is_flat = best > (1 - _FALLEN) * first and max(means) < (1 + _LIFTED) * first
    if len(losses) >= num_steps / 4 and is_flat:
        return (
            f"The loss has not moved in {len(losses)} steps ({first:.3f}, now {last:.3f}): raise "
            "training.learning_rate, or check that the mixture's responses can be learned."
        )
    return None


def loss_note(losses: Sequence[float], warnings: Sequence[str]) -> str:
    """What to say of a finished stage: mean loss of its first and last twentieth, as one step says little; warnings."""
    num_steps = math.ceil(len(losses) / 20)
    first, last = fmean(losses[:num_steps]), fmean(losses[-num_steps:])
    return " · ".join([f"mean loss {first:.3f} → {last:.3f}", *warnings])
