import pytest

from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.evaluation import GradedAnswer, compare_answers, evaluate_dataset

STRATEGIES = ["cot", "l2m", "pot"]


def outcome(problem: str, requested: str, verdict: Verdict, strategy: str | None = None) -> GradedAnswer:
    return GradedAnswer(problem_id=problem, requested=requested, strategy=strategy or requested, verdict=verdict)


OUTCOMES = [
    outcome("1", FREE, Verdict.CORRECT, "pot"),
    outcome("2", FREE, Verdict.WRONG, "cot"),
    outcome("3", FREE, Verdict.UNPARSED, "none"),
    outcome("4", FREE, Verdict.TIMEOUT, "pot"),
    outcome("1", "cot", Verdict.CORRECT),
    outcome("2", "cot", Verdict.CORRECT),
    outcome("3", "cot", Verdict.WRONG),
    outcome("4", "cot", Verdict.WRONG),
    outcome("1", "pot", Verdict.WRONG),
    outcome("2", "pot", Verdict.ERROR),
    outcome("3", "pot", Verdict.CORRECT),
    outcome("4", "pot", Verdict.WRONG),
    outcome("other", "cot", Verdict.CORRECT),
    outcome("other", FREE, Verdict.CORRECT, "l2m"),
]


def test_metrics_by_hand():
    metrics = evaluate_dataset(["1", "2", "3", "4"], OUTCOMES, STRATEGIES)
    assert metrics.num_problems == 4
    assert metrics.free == 0.25
    assert metrics.forced == {"cot": 0.5, "l2m": 0.0, "pot": 0.25}
    assert metrics.oracle == 0.75
    assert metrics.strategy_histogram == {"cot": 0.25, "l2m": 0.0, "pot": 0.5, "none": 0.25}
    assert metrics.choices.accuracy == pytest.approx(1 / 3), "of 1, 2 and 3, which can be solved, cot was right for 2"


def test_intervals_are_around_what_they_belong_to():
    metrics = evaluate_dataset(["1", "2", "3", "4"], OUTCOMES, STRATEGIES)
    for name in ("free", "oracle", "majority"):
        low, high = getattr(metrics.intervals, name)
        assert low <= getattr(metrics, name) <= high
    assert metrics.intervals.forced["l2m"] == (0.0, 0.0)


def test_two_students_are_compared_problem_by_problem():
    better = [outcome(problem, FREE, Verdict.CORRECT, "cot") for problem in "234"]
    paired = compare_answers(["1", "2", "3", "4"], OUTCOMES, better)
    assert (paired.num_problems, paired.gained, paired.lost) == (4, 3, 1)
    assert paired.difference == 0.5


def test_two_students_are_compared_as_they_were_asked():
    before = [outcome("1", "cot", Verdict.CORRECT), outcome("2", "cot", Verdict.WRONG)]
    after = [outcome("1", "pot", Verdict.CORRECT), outcome("2", "cot", Verdict.CORRECT)]
    after += [outcome("1", FREE, Verdict.CORRECT)]
    paired = compare_answers(["1", "2"], before, after, "cot")
    assert (paired.gained, paired.lost) == (1, 1)


def test_the_free_choice_counts_for_the_oracle():
    outcomes = [outcome("1", FREE, Verdict.CORRECT, "pot"), outcome("1", "cot", Verdict.WRONG)]
    assert evaluate_dataset(["1"], outcomes, STRATEGIES).oracle == 1.0


def test_a_problem_without_a_completion_counts_as_not_solved():
    metrics = evaluate_dataset(["1", "2", "3", "4", "5"], OUTCOMES, STRATEGIES)
    assert metrics.free == pytest.approx(1 / 5)
    assert metrics.forced["cot"] == pytest.approx(2 / 5)
    assert sum(metrics.strategy_histogram.values()) == 1, "shares are of the completions that there are"


def test_a_data_set_without_any_outcome():
    metrics = evaluate_dataset(["1"], [], STRATEGIES)
    assert (metrics.free, metrics.oracle) == (0.0, 0.0)
    assert set(metrics.strategy_histogram.values()) == {0.0}


def test_the_order_of_outcomes_does_not_matter():
    assert evaluate_dataset(["1", "2", "3", "4"], OUTCOMES[::-1], STRATEGIES) == evaluate_dataset(
        ["4", "3", "2", "1"], OUTCOMES, STRATEGIES
    )
