"""Sentences that a recipe ends in, and which comparisons they are made of."""

from dataclasses import dataclass
from typing import Any

import pytest

from siked_ray.core.claim import claims_of, gain_over_twin, gains_of_the_loop
from siked_ray.core.intervals import compare_counts
from siked_ray.core.stage import TWIN, Kind, StageId


@dataclass
class Committed:
    id: StageId
    metrics: dict[str, Any]


def paired(difference: float, low: float, high: float) -> dict[str, Any]:
    return {"num_problems": 1319, "difference": difference, "interval": (low, high), "p_value": 0.03}


def stage(kind: Kind, iteration: int, **metrics: Any) -> Committed:
    return Committed(StageId.of_iteration(kind, iteration), metrics)


@pytest.mark.parametrize(
    ("difference", "low", "high", "sentence", "holds"),
    [
        (0.031, 0.01, 0.052, "jsd beats ce by 3.1 points [+1.0, +5.2]", True),
        (-0.031, -0.052, -0.01, "jsd is worse than ce by 3.1 points [−5.2, −1.0]", True),
        (0.01, -0.012, 0.03, "jsd and ce cannot be told apart: +1.0 points [−1.2, +3.0]", False),
        (0.01, 0.0, 0.02, "jsd and ce cannot be told apart: +1.0 points [+0.0, +2.0]", False),
    ],
)
def test_a_claim_is_a_sentence(difference: float, low: float, high: float, sentence: str, holds: bool):
    figures = {"test": {"free": 0.5, "paired": {"first": paired(difference, low, high)}}, "other": {"free": 0.5}}
    (claim,) = claims_of(figures, "jsd", "ce", "first")
    assert claim.sentence == claim.values["sentence"] == f"{sentence} on 1,319 problems of test"
    assert claim.holds == holds


def loop(best: int) -> list[Committed]:
    """Three iterations, a held-out and a test set; each later one is compared with iteration 0."""
    found = []
    for number in range(3):
        sets = {
            name: {"paired": {"iteration_0": paired(number / 100, 0.001, 0.1)}} if number else {}
            for name in ("validation", "more")
        }
        found += [
            stage(Kind.EVALUATION, number, **sets),
            stage(Kind.DECISION, number, best_iteration=min(best, number)),
        ]
    return found


@pytest.mark.parametrize(("best", "compared"), [(1, 1), (2, 2), (0, 2)])
def test_the_best_iteration_is_held_against_iteration_0_on_what_did_not_choose_it(best: int, compared: int):
    (claim,) = gains_of_the_loop(loop(best))
    assert (claim.one, claim.other, claim.problem_set) == (f"iteration {compared}", "iteration 0", "more")
    assert claim.difference == compared / 100


def test_without_test_sets_the_held_out_problems_speak():
    records = loop(1)
    for one in records:
        one.metrics.pop("more", None)
    (claim,) = gains_of_the_loop(records)
    assert claim.problem_set == "validation"


def test_a_test_set_that_waited_for_the_end_counts():
    records = [one for one in loop(1) if one.id.kind is Kind.DECISION or one.metrics.pop("more") is not None]
    waited = {"gsm8k": {"paired": {"iteration_0": paired(0.05, 0.01, 0.1)}}}
    (claim,) = gains_of_the_loop([*records, Committed(StageId.of_iteration(Kind.TESTS, 1), waited)])
    assert claim.problem_set == "gsm8k"


@pytest.mark.parametrize("records", [[], loop(1)[:1], loop(0)[:2]])
def test_nothing_is_claimed_before_there_are_two_iterations(records: list[Committed]):
    assert gains_of_the_loop(records) == []


def twin(sets: dict[str, tuple[int, int, int]], kind: Kind = Kind.EVALUATION) -> list[Committed]:
    """Training and figures of a twin; by problem set how many problems there are, and how many of them the twin alone
    and the loop alone solve."""
    figures = {
        name: {"paired": {"loop": {"num_problems": total, "gained": gained, "lost": lost}}}
        for name, (total, gained, lost) in sets.items()
    }
    return [Committed(TWIN, {"steps": 1200}), Committed(StageId(kind, "twin"), figures)]


@pytest.mark.parametrize(
    ("twin_alone", "loop_alone", "difference", "verdict"),
    [(10, 60, "+5.0", "shown"), (60, 10, "−5.0", "the loop did worse"), (30, 40, "+1.0", "not shown")],
)
def test_what_the_loop_gained_is_what_its_twin_lost(twin_alone: int, loop_alone: int, difference: str, verdict: str):
    gain = gain_over_twin(twin({"test": (1000, twin_alone, loop_alone), "validation": (90, 0, 90)}))
    assert gain is not None and gain.problem_set == "test"
    assert gain.sentence.startswith(f"The loop gained {difference} points (")
    assert gain.sentence.endswith(f"teacher's rows (1,200 steps), on 1,000 problems of test: {verdict}")
    assert gain.interval[0] < gain.difference < gain.interval[1]


def test_all_test_sets_count_together_whenever_they_were_asked():
    held_out = twin({"validation": (50, 1, 2)})
    tests = twin({"a": (600, 20, 50), "b": (400, 10, 20)}, Kind.TESTS)
    gain = gain_over_twin([*held_out, tests[1]])
    assert gain is not None
    assert (gain.problem_set, gain.num_problems, gain.difference) == ("a + b", 1000, 0.04)
    assert gain.p_value == compare_counts(1000, 70, 30).p_value
    alone = gain_over_twin(held_out)
    assert alone is not None and (alone.problem_set, alone.num_problems) == ("validation", 50)


def test_without_a_twin_nothing_is_said_of_one():
    assert gain_over_twin(loop(1)) is None
