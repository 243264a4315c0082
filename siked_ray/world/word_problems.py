"""Problems of the world: train, test and the corpus from which teacher and base student are made.

The three sets are disjoint by question: the named sets are drawn first, in a fixed order and without
duplicates, and the corpus leaves their questions out.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from random import Random

from siked_ray.core.ids import content_hash, problem_id
from siked_ray.core.problem import Problem
from siked_ray.world.families import FAMILIES, Draft
from siked_ray.world.families.draft import show

DATASET = "world"
NUM_PROBLEMS: Mapping[str, int] = {"world:train": 3000, "world:test": 300}


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldProblem:
    """A question with its gold answer, its family and one honest rationale per strategy."""

    question: str
    answer: str
    family: str
    rationales: Mapping[str, str]


def generate(
    num_problems: int, seed: int, *, families: tuple[str, ...] = tuple(FAMILIES), exclude: Set[str] = frozenset()
) -> list[WorldProblem]:
    """Distinct problems, the families in turn and shuffled; no question of `exclude` among them."""
    rng = Random(int(content_hash("world", seed), 16))
    order = [families[i % len(families)] for i in range(num_problems)]
    rng.shuffle(order)
    seen = set(exclude)
    return [_draw_new(family, rng, seen) for family in order]


def load_world(name: str) -> list[Problem]:
    """The problems of `"world:train"` or `"world:test"`; ValueError for any other name."""
    return [
        Problem(problem_id=problem_id(DATASET, p.question), dataset=DATASET, question=p.question, answer=p.answer)
        for p in world_problems(name)
    ]


@cache
def world_problems(name: str) -> tuple[WorldProblem, ...]:
    """As `load_world`, with families and rationales: for the tests and tables, hidden from the loop."""
    if name not in NUM_PROBLEMS:
        raise ValueError(f"unknown world data {name!r}: choose one of {', '.join(NUM_PROBLEMS)}")
    return _named_sets()[name]


def bootstrap_corpus(num_examples: int, seed: int) -> list[WorldProblem]:
    """Problems to make the demo's teacher and base student from; none of train or test."""
    named = frozenset(p.question for name in NUM_PROBLEMS for p in world_problems(name))
    return generate(num_examples, seed=seed, exclude=named)


@cache
def _named_sets() -> Mapping[str, tuple[WorldProblem, ...]]:
    sets: dict[str, tuple[WorldProblem, ...]] = {}
    taken: set[str] = set()
    for name, num_problems in NUM_PROBLEMS.items():
        sets[name] = tuple(generate(num_problems, seed=int(content_hash(name), 16), exclude=taken))
        taken.update(p.question for p in sets[name])
    return sets


def _draw_new(family: str, rng: Random, seen: set[str]) -> WorldProblem:
    for draft in _drafts(family, rng):
        if draft.question not in seen:
            seen.add(draft.question)
            break
    return WorldProblem(
        question=draft.question,
        answer=show(draft.answer),
        family=family,
        rationales={"cot": draft.cot, "l2m": draft.l2m, "pot": draft.pot},
    )


def _drafts(family: str, rng: Random) -> Iterator[Draft]:
    while True:
        yield FAMILIES[family](rng)
