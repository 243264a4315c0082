"""What difference a run's test problems can show at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from siked_ray.core.intervals import detectable_difference
from siked_ray.core.problem import Split
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError
from siked_ray.preflight.check import Checked

_ASSUMED = 0.2


@dataclass(frozen=True, slots=True)
class Discordance:
    """The share of the problems that one of two students solves alone, and how it is known."""

    share: float
    known: str


def read_discordance(value: str | None) -> Discordance:
    """From a number between 0 and 1, or from a run whose students were compared; 0.2 is assumed without a value.

    ConfigError where it is neither.
    """
    if value is None:
        return Discordance(_ASSUMED, "assumed, see --discordance")
    try:
        share = float(value)
    except ValueError:
        return Discordance(_of_run(value), f"as in {value}")
    if not 0 < share <= 1:
        raise ConfigError(f"--discordance needs a share above 0 and at most 1, and {value} is not one.")
    return Discordance(share, "as given")


def power_lines(checked: Checked, discordance: Discordance) -> dict[str, str]:
    """The smallest difference of two students that shows, as text; nothing where the problems are not known."""
    of_tests = sum(map(len, checked.tests.values()))
    num_problems, which = (of_tests, "test") if of_tests else (len(checked.validation), "held-out")
    if not num_problems:
        return {}
    smallest = detectable_difference(num_problems, discordance.share)
    words = f"{smallest * 100:.1f} points" if smallest else "none"
    given = f"80 % power, {discordance.share:.1%} of them solved by one student alone ({discordance.known})"
    return {"smallest difference that shows": f"{words} on {num_problems:,} {which} problems; {given}"}


def _of_run(run: str) -> float:
    storage = Storage(run)
    if not storage.exists(names.SUMMARY):
        raise ConfigError(f"--discordance takes a share between 0 and 1 or a run directory; {run} has no summary.json.")
    compared = list(_comparisons(storage.read_json(names.SUMMARY)))
    changed = sum(one["gained"] + one["lost"] for one in compared)
    if not changed:
        raise ConfigError(f"--discordance: no two students of {run} differ on a problem; give a share instead.")
    return float(changed / sum(one["num_problems"] for one in compared))


def _comparisons(summary: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Of the loop with its twin; without one, of the best or last iteration with iteration 0. By problem set, of those
    that select nothing where there are some."""
    twin = [(one, "loop") for one in summary.get("arms") or [] if one["name"] == "twin"]
    later = [(one, "iteration_0") for one in summary["iterations"] if one["iteration"] and "evaluation" in one]
    later.sort(key=lambda one: one[0]["iteration"] == summary["best_iteration"])
    for entry, label in (twin or later)[-1:]:
        figures = entry["evaluation"]
        tests = {name: one for name, one in figures.items() if name != Split.VALIDATION.value} or figures
        yield from (one["paired"][label] for one in tests.values() if label in one.get("paired", {}))
