"""Sharing equally between two: halves, so some answers have a decimal place."""

from fractions import Fraction
from random import Random

from siked_ray.world.families.draft import NAMES, Draft, finish, show

DRINKS = ("juice", "milk")


def share(rng: Random) -> Draft:
    """Two people pour together and share; perhaps one drinks some of it first."""
    first, second = rng.sample(NAMES, 2)
    drink = rng.choice(DRINKS)
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    spilled = rng.randint(1, min(5, a + b)) if rng.random() < 0.5 else 0
    together, rest = a + b, a + b - spilled
    half = Fraction(rest, 2)
    spill_text = f" They spill {spilled} cups." if spilled else ""
    spill_step = [f"{together} - {spilled} = {rest}."] if spilled else []
    spill_line = [f"How many cups after they spill? {spill_step[0]}"] if spilled else []
    expression = f"({a} + {b} - {spilled}) / 2" if spilled else f"({a} + {b}) / 2"
    return finish(
        f"{first} has {a} cups of {drink} and {second} has {b} cups.{spill_text} "
        f"They share the {drink} equally. How many cups does {rng.choice((first, second))} get?",
        half,
        cot=" ".join([f"{a} + {b} = {together}.", *spill_step, f"{rest} / 2 = {show(half)}."]),
        steps=[
            f"How many cups together? {a} + {b} = {together}.",
            *spill_line,
            f"How many cups for each? {rest} / 2 = {show(half)}.",
        ],
        pot=f"answer = {expression}",
    )
