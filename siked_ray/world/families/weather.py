"""Temperatures that rise and fall, below zero too."""

from random import Random

from siked_ray.world.families.draft import Draft, finish

PLACES = ("lake", "farm", "hill", "port")
TIMES = ("noon", "dusk", "night")


def weather(rng: Random) -> Draft:
    """Two or three changes of a small temperature; asked for the last."""
    place = rng.choice(PLACES)
    num_changes = rng.choice((2, 2, 2, 3))
    start = value = rng.randint(0, 9)
    sentences, steps, lines, expression = [], [], [], str(start)
    for time in TIMES[:num_changes]:
        change = rng.randint(1, 5)
        operator = rng.choice("+-")
        result = value + change if operator == "+" else value - change
        sentences.append(f"it {'rises' if operator == '+' else 'falls'} by {change} at {time}")
        steps.append(f"{value} {operator} {change} = {result}.")
        lines.append(f"How warm is it at {time}? {steps[-1]}")
        expression += f" {operator} {change}"
        value = result
    return finish(
        f"It is {start} degrees at the {place}. Then {', then '.join(sentences)}. How warm is it in the end?",
        value,
        cot=" ".join(steps),
        steps=lines,
        pot=f"answer = {expression}",
    )
