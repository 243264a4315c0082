"""Drills that come before the word problems: look a value up by its key, and know small sums by heart.

A model that starts from nothing spends most of a short training on discovering that it can copy at
all; these lines hold nothing else, so that it happens within seconds instead of minutes (docs/world.md).
"""

from random import Random

from siked_ray.core.ids import content_hash
from siked_ray.world.families.draft import NAMES
from siked_ray.world.families.kites import COLOURS

Exercise = tuple[str, str]


def drills(num_drills: int, seed: int, *, share_of_sums: float = 0.3) -> list[Exercise]:
    """(prompt, response) pairs: look-ups, and sums in the given share, in random order."""
    rng = Random(int(content_hash("drills", seed), 16))
    return [_sum(rng) if rng.random() < share_of_sums else _look_ups(rng) for _ in range(num_drills)]


def _look_ups(rng: Random) -> Exercise:
    """`" Ana 3, red 5, Ben 0."` → the same entries in another order."""
    keys = rng.sample(NAMES + COLOURS, rng.randint(3, 6))
    entries = [f" {key} {rng.randint(0, 9)}" for key in keys]
    prompt = f"{','.join(entries)}.\n"
    rng.shuffle(entries)
    return prompt, f"{','.join(entries)}."


def _sum(rng: Random) -> Exercise:
    """`" 7 - 9 ="` → `" -2."`; also halves, as they occur when something is shared."""
    kind = rng.random()
    if kind < 0.2:
        total = rng.randint(0, 18)
        return f" {total} / 2 =", f" {total // 2}{'.5' if total % 2 else ''}."
    a, b = rng.randint(-5, 18), rng.randint(0, 9)
    return (f" {a} + {b} =", f" {a + b}.") if kind < 0.6 else (f" {a} - {b} =", f" {a - b}.")
