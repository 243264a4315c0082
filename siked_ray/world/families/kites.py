"""Linked quantities: who takes which kite, and what each kite costs.

A sub-question names the person, then the colour, so that every look-up is one step. The terse forms
have to follow both links at once before they write an operand.
"""

from random import Random

from siked_ray.world.families.draft import NAMES, Draft, finish

COLOURS = ("red", "blue", "green", "white", "black")


def kites(rng: Random) -> Draft:
    """Three prices by colour; two people take one each and pay together, or one asks how much more it is."""
    first, second = rng.sample(NAMES, 2)
    colours = rng.sample(COLOURS, 3)
    prices = dict(zip(colours, rng.sample(range(2, 10), 3), strict=True))
    takes, other = rng.sample(colours, 2)
    a, b = prices[takes], prices[other]
    listed = [f"{colour} costs {price}" for colour, price in prices.items()]
    look_ups = [
        f"What does {first} take? {takes}.",
        f"What does {takes} cost? {a}.",
        f"What does {second} take? {other}.",
        f"What does {other} cost? {b}.",
    ]
    if rng.random() < 0.3:
        ask, operator, result, last = (
            f"How many more coins does {first} pay than {second}?",
            "-",
            a - b,
            "How many more?",
        )
    else:
        ask, operator, result, last = f"How many coins do {first} and {second} pay?", "+", a + b, "How many in all?"
    step = f"{a} {operator} {b} = {result}."
    pair = [f"{first} takes {takes}", f"{second} takes {other}"]
    rng.shuffle(pair)
    return finish(
        f"A kite in {listed[0]}, in {listed[1]} and in {listed[2]} coins. {pair[0]} and {pair[1]}. {ask}",
        result,
        cot=step,
        steps=[*look_ups, f"{last} {step}"],
        pot=f"answer = {a} {operator} {b}",
    )
