"""Shopping: larger numbers. A program hands the multiplication to the interpreter; text has to do it in the head."""

from random import Random

from siked_ray.world.families.draft import NAMES, Draft, finish

GOODS = ("pens", "caps", "mugs", "books")
EXTRAS = ("bag", "map", "ticket")


def shop(rng: Random) -> Draft:
    """Pay for some goods and one more thing, or get change back (which may be 0)."""
    return _change(rng) if rng.random() < 0.4 else _total(rng)


def _total(rng: Random) -> Draft:
    name, goods, extra = rng.choice(NAMES), rng.choice(GOODS), rng.choice(EXTRAS)
    count, price, fee = rng.randint(2, 5), rng.randint(12, 99), rng.randint(11, 99)
    cost, total = count * price, count * price + fee
    pieces = f"{count} {goods} for {price} coins each", f"a {extra} for {fee} coins"
    first, second = pieces if rng.random() < 0.5 else reversed(pieces)
    return finish(
        f"{name} buys {first} and {second}. How many coins does {name} pay?",
        total,
        cot=f"{count} * {price} = {cost}. {cost} + {fee} = {total}.",
        steps=[
            f"How many coins for the {goods}? {count} * {price} = {cost}.",
            f"How many coins in all? {cost} + {fee} = {total}.",
        ],
        pot=f"answer = {count} * {price} + {fee}",
    )


def _change(rng: Random) -> Draft:
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    count, price = rng.randint(2, 5), rng.randint(12, 99)
    cost = count * price
    left = 0 if rng.random() < 0.1 else rng.randint(1, 99)
    return finish(
        f"{name} has {cost + left} coins and buys {count} {goods} for {price} coins each. "
        f"How many coins does {name} have left?",
        left,
        cot=f"{count} * {price} = {cost}. {cost + left} - {cost} = {left}.",
        steps=[
            f"How many coins for the {goods}? {count} * {price} = {cost}.",
            f"How many coins are left? {cost + left} - {cost} = {left}.",
        ],
        pot=f"answer = {cost + left} - {count} * {price}",
    )
