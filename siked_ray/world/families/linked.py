"""Linked quantities told in any order. Naming each person in a sub-question helps to find the next link.

The terse forms have to find it without a name, and the nested expression of the program even without
the value so far.
"""

import itertools
from dataclasses import dataclass
from random import Random

from siked_ray.world.families.draft import NAMES, Draft, finish

THINGS = ("shells", "stones", "cards", "beads")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Link:
    operator: str
    operand: int
    wording: str

    def apply(self, value: int) -> int:
        return {"+": value + self.operand, "-": value - self.operand, "*": value * self.operand}[self.operator]


def linked(rng: Random) -> Draft:
    """Three or four people, each but the first described by the one before; asked for the last."""
    num_links = rng.choice((2, 2, 2, 3))
    people = rng.sample(NAMES, num_links + 1)
    things = rng.choice(THINGS)
    start = value = rng.randint(2, 9)
    statements, text_steps, expression = [f"{people[0]} has {start} {things}."], [], str(start)
    lines = [f"How many {things} does {people[0]} have? {start}."]
    for before, person in itertools.pairwise(people):
        link = _draw_link(rng, value)
        result = link.apply(value)
        step = f"{value} {link.operator} {link.operand} = {result}."
        statements.append(f"{person} has {link.wording} {things} {'as' if link.operator == '*' else 'than'} {before}.")
        text_steps.append(step)
        lines.append(f"How many does {person} have? {step}")
        expression = (
            f"({expression}) {link.operator} {link.operand}"
            if _needs_brackets(expression, link)
            else (f"{expression} {link.operator} {link.operand}")
        )
        value = result
    rng.shuffle(statements)
    return finish(
        f"{' '.join(statements)} How many {things} does {people[-1]} have?",
        value,
        cot=" ".join(text_steps),
        steps=lines,
        pot=f"answer = {expression}",
    )


def _draw_link(rng: Random, value: int) -> _Link:
    kind = rng.random()
    if kind < 0.25 and value <= 6:
        return _Link(operator="*", operand=2, wording="twice as many")
    if kind < 0.6 and value >= 2:
        operand = rng.randint(1, min(value, 6))
        return _Link(operator="-", operand=operand, wording=f"{operand} fewer")
    operand = rng.randint(1, 6)
    return _Link(operator="+", operand=operand, wording=f"{operand} more")


def _needs_brackets(expression: str, link: _Link) -> bool:
    return link.operator == "*" and (" + " in expression or " - " in expression)
