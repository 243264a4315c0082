"""Pick the things of one kind out of a list. Text copies each thing next to its number.

The program holds the numbers in a list and has to count positions, which easily goes wrong; the
sub-questions first name the things and then ask for each, which is long.
"""

from collections.abc import Mapping
from random import Random

from siked_ray.world.families.draft import NAMES, Draft, finish

KINDS: Mapping[str, tuple[str, ...]] = {
    "fruits": ("apples", "pears", "plums", "limes"),
    "toys": ("dolls", "kites", "drums", "robots"),
    "tools": ("saws", "drills", "files", "nails"),
}


def basket(rng: Random) -> Draft:
    """Four or five things with small numbers; the asked kind has two or three of them."""
    name, kind = rng.choice(NAMES), rng.choice(list(KINDS))
    num_picked, num_others = rng.choice(((2, 2), (2, 2), (2, 3)))
    others = [thing for other, things in KINDS.items() if other != kind for thing in things]
    things = rng.sample(KINDS[kind], num_picked) + rng.sample(others, num_others)
    rng.shuffle(things)
    counts = [rng.randint(2, 9) for _ in things]
    listed = [f"{count} {thing}" for count, thing in zip(counts, things, strict=True)]
    positions = [i for i, thing in enumerate(things) if thing in KINDS[kind]]
    sums, total = _sums([counts[i] for i in positions])
    return finish(
        f"{name} packs {_join(listed)}. How many {kind} does {name} pack?",
        total,
        cot=f"{_join([listed[i] for i in positions])}. {sums}",
        steps=[
            f"Which are {kind}? {_join([things[i] for i in positions])}.",
            *(f"How many {things[i]}? {counts[i]}." for i in positions),
            f"How many {kind}? {sums}",
        ],
        pot=f"n = [{', '.join(map(str, counts))}]\nanswer = {' + '.join(f'n[{i}]' for i in positions)}",
    )


def _join(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _sums(values: list[int]) -> tuple[str, int]:
    """`"4 + 2 = 6. 6 + 9 = 15."` and 15."""
    steps, total = [], values[0]
    for value in values[1:]:
        steps.append(f"{total} + {value} = {total + value}.")
        total += value
    return " ".join(steps), total
