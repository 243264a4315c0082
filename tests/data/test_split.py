import random

import pytest

from siked_ray.core.ids import problem_id
from siked_ray.core.problem import Problem
from siked_ray.data import split_problems
from siked_ray.errors import DataError


def problems(num_problems: int, dataset: str = "d") -> list[Problem]:
    questions = [f"How much is {i} and {i}?" for i in range(num_problems)]
    return [Problem(problem_id=problem_id(dataset, q), dataset=dataset, question=q, answer="1") for q in questions]


def test_every_problem_is_on_one_side_in_its_order() -> None:
    everything = problems(1000)
    train, validation = split_problems(everything, validation_fraction=0.1, seed=42)
    assert 70 <= len(validation) <= 130
    assert [p for p in everything if p in train] == train
    assert [p for p in everything if p not in train] == validation


def test_the_side_depends_on_seed_and_question_alone() -> None:
    everything = problems(300)
    _, validation = split_problems(everything, validation_fraction=0.2, seed=1)
    shuffled = random.Random(0).sample(everything, len(everything))
    assert set(split_problems(shuffled, validation_fraction=0.2, seed=1)[1]) == set(validation)
    assert split_problems(everything[:50], validation_fraction=0.2, seed=1)[1] == [
        problem for problem in everything[:50] if problem in validation
    ]
    other_dataset = split_problems(problems(300, "other"), validation_fraction=0.2, seed=1)[1]
    assert [p.question for p in other_dataset] == [p.question for p in validation]
    assert split_problems(everything, validation_fraction=0.2, seed=2)[1] != validation


def test_white_space_does_not_change_the_side() -> None:
    for problem in problems(50):
        spaced = Problem(problem_id="x", dataset="d", question=problem.question.replace(" ", "\n "), answer="1")
        sides = [bool(split_problems([p], validation_fraction=0.5, seed=3)[0]) for p in (problem, spaced)]
        assert sides[0] == sides[1]


def test_a_larger_fraction_only_adds_to_the_validation_side() -> None:
    small = set(split_problems(problems(300), validation_fraction=0.1, seed=0)[1])
    assert small < set(split_problems(problems(300), validation_fraction=0.3, seed=0)[1])
    assert split_problems(problems(300), validation_fraction=0, seed=0)[1] == []


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="validation_fraction must be at least 0 and below 1"):
        split_problems(problems(3), validation_fraction=fraction, seed=0)


def test_of_few_problems_one_is_held_out_all_the_same() -> None:
    for count in range(2, 12):
        few = problems(count)
        train, validation = split_problems(few, validation_fraction=0.01, seed=3)
        assert len(train) >= 1 and len(validation) >= 1 and len(train) + len(validation) == count
