"""Pick two entries out of a list. Text names each one beside its number.

The program holds the numbers in a list and has to count positions, which easily goes wrong.
"""

from random import Random

from siked_ray.world.families.draft import NAMES, Draft, finish

GAMES = ("chess", "darts", "golf", "cards")


def scores(rng: Random) -> Draft:
    """Four to six players with small scores; asked for the sum or the difference of two of them."""
    players = rng.sample(NAMES, rng.choice((4, 5, 6)))
    points = [rng.randint(0, 9) for _ in players]
    i, j = rng.sample(range(len(players)), 2)
    if rng.random() < 0.3:
        ask, operator, result, last = (
            "How many more points has {} than {}?",
            "-",
            points[i] - points[j],
            "How many more?",
        )
    else:
        ask, operator, result, last = "How many points have {} and {}?", "+", points[i] + points[j], "How many in all?"
    step = f"{points[i]} {operator} {points[j]} = {result}."
    listed = ", ".join(f"{player} {n}" for player, n in zip(players, points, strict=True))
    return finish(
        f"Points in {rng.choice(GAMES)}: {listed}. {ask.format(players[i], players[j])}",
        result,
        cot=f"{players[i]} {points[i]}, {players[j]} {points[j]}. {step}",
        steps=[
            f"How many points has {players[i]}? {points[i]}.",
            f"How many points has {players[j]}? {points[j]}.",
            f"{last} {step}",
        ],
        pot=f"n = [{', '.join(map(str, points))}]\nanswer = n[{i}] {operator} n[{j}]",
    )
