"""Sharing equally between two: halves, so some answers have a decimal place."""

from fractions import Fraction
from random import Random

from siked_ray.world.families.draft import NAMES, Draft, finish, show

DRINKS = ("juice", "milk")


def share(rng: Random) -> Draft:
    """Two people pour together and share; perhaps after drinking some of it."""
    first, second = rng.sample(NAMES, 2)
    drink = rng.choice(DRINKS)
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    drunk = rng.randint(1, min(5, a + b)) if rng.random() < 0.3 else 0
    together, rest = a + b, a + b - drunk
    half = Fraction(rest, 2)
    drunk_text = f" They drink {drunk} cups." if drunk else ""
    drunk_step = [f"{together} - {drunk} = {rest}."] if drunk else []
    drunk_line = [f"How many cups after they drink? {drunk_step[0]}"] if drunk else []
    expression = f"({a} + {b} - {drunk}) / 2" if drunk else f"({a} + {b}) / 2"
    return finish(
        f"{first} has {a} cups of {drink} and {second} has {b} cups.{drunk_text} "
        f"They share the {drink} equally. How many cups does {rng.choice((first, second))} get?",
        half,
        cot=" ".join([f"{a} + {b} = {together}.", *drunk_step, f"{rest} / 2 = {show(half)}."]),
        steps=[
            f"How many cups together? {a} + {b} = {together}.",
            *drunk_line,
            f"How many cups for each? {rest} / 2 = {show(half)}.",
        ],
        pot=f"answer = {expression}",
    )
