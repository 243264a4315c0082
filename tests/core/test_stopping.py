import pytest

from siked_ray.core.stopping import Decision, Measured, Spent, StoppingRules, decide

EVEN = {"cot": 0.5, "pot": 0.5}


def decided(accuracies: list[float], *, spent: Spent | None = None, max_iterations: int = 100, **rules) -> Decision:
    history = [Measured(accuracy=accuracy, histogram=EVEN) for accuracy in accuracies]
    made = StoppingRules(**({"max_iterations": max_iterations, "patience": 1, "min_gain": 0.03125} | rules))
    return decide(history, spent or Spent(), made)


@pytest.mark.parametrize(
    ("accuracies", "patience", "stop", "best"),
    [
        pytest.param([0.5], 1, False, 0, id="the first iteration has nothing to compare with"),
        pytest.param([0.5, 0.6], 1, False, 1, id="a gain goes on"),
        pytest.param([0.5, 0.4], 1, True, 0, id="a decline stops"),
        pytest.param([0.5, 0.5], 1, True, 0, id="a tie is no gain, and the earlier one is the best"),
        pytest.param([0.5, 0.51], 1, True, 1, id="a marginal gain stops, and is the best all the same"),
        pytest.param([0.5, 0.55, 0.53], 1, True, 1, id="the best is not the last"),
        pytest.param([0.5, 0.4], 2, False, 0, id="patience bears one decline"),
        pytest.param([0.5, 0.4, 0.45], 2, True, 0, id="below the best is no gain, whatever came just before"),
        pytest.param([0.5, 0.4, 0.6], 2, False, 2, id="a gain after a decline"),
        pytest.param([0.5, 0.4, 0.6, 0.6], 2, False, 2, id="a gain resets the count"),
        pytest.param([0.5, 0.4, 0.6, 0.6, 0.1], 2, True, 2, id="two in a row after the reset"),
        pytest.param([0.0, 0.0], 1, True, 0, id="zero is an accuracy"),
    ],
)
def test_decisions(accuracies: list[float], patience: int, stop: bool, best: int):
    decision = decided(accuracies, patience=patience)
    assert (decision.stop, decision.best_iteration) == (stop, best)
    assert not decision.roll_back, "without bounds there is no guard"


def test_a_gain_of_exactly_the_minimum_counts():
    assert not decided([0.5, 0.75], min_gain=0.25).stop
    assert decided([0.5, 0.749], min_gain=0.25).stop


def test_the_last_iteration_stops_even_when_it_gains():
    decision = decided([0.1, 0.5, 0.9], max_iterations=2)
    assert (decision.stop, decision.best_iteration) == (True, 2)
    assert "iterations.max = 2" in decision.reason


def test_no_self_guided_iteration_stops_after_plain_distillation():
    assert decided([0.3], max_iterations=0).stop


def test_the_reason_names_the_setting_that_stopped_it():
    assert "0.25" in decided([0.5, 0.4], min_gain=0.25).reason


@pytest.mark.parametrize(("accuracy", "collapsed"), [(0.41, False), (0.4, False), (0.39, True)])
def test_a_fall_by_more_than_the_bound_is_a_collapse(accuracy: float, collapsed: bool):
    decision = decided([0.3, 0.5, accuracy], patience=9, max_drop=0.1)
    assert (decision.roll_back, decision.best_iteration, decision.stop) == (collapsed, 1, False)
    assert ("fell by 0.110, more than 0.1; back to iteration 1" in decision.reason) == collapsed


def test_only_the_last_iteration_rolls_back_and_the_fall_is_measured_from_the_best():
    assert not decided([0.5, 0.2, 0.45], patience=9, max_drop=0.1).roll_back
    assert decided([0.5, 0.45, 0.39], patience=9, max_drop=0.1).roll_back


def test_a_collapse_that_ends_the_loop_says_both():
    decision = decided([0.5, 0.2], max_drop=0.1)
    assert decision.stop and decision.roll_back and decision.best_iteration == 0
    assert "fell by 0.300" in decision.reason and "gained less than" in decision.reason


@pytest.mark.parametrize(
    ("accuracy", "share", "collapsed"),
    [(0.5, 0.99, True), (0.5, 0.98, False), (0.51, 0.99, True), (0.6, 0.99, False), (0.45, 1.0, True)],
)
def test_a_swallowed_histogram_without_a_gain_is_a_collapse(accuracy: float, share: float, collapsed: bool):
    history = [
        Measured(accuracy=0.5, histogram=EVEN),
        Measured(accuracy=accuracy, histogram={"cot": 1 - share, "pot": share}),
    ]
    rules = StoppingRules(max_iterations=9, patience=9, min_gain=0.05, max_share=0.98)
    decision = decide(history, Spent(), rules)
    assert decision.roll_back == collapsed
    assert ("pot swallowed" in decision.reason) == collapsed
    assert decision.best_iteration == (1 if accuracy > 0.5 and not collapsed else 0), "a collapsed one is never best"


def test_who_always_used_one_strategy_has_nothing_to_go_back_to():
    history = [Measured(accuracy=0.5, histogram={"cot": 1.0})] * 2
    assert not decide(
        history, Spent(), StoppingRules(max_iterations=9, patience=9, min_gain=0.1, max_share=0.9)
    ).roll_back


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Spent(hours=2), "the budget of 2 hours is used up (2.5)"),
        (Spent(gpu_hours=20), "the budget of 20 GPU-hours is used up (20)"),
        (Spent(tokens=1e6), "the budget of 1e+06 tokens is used up (2e+06)"),
    ],
)
def test_a_budget_that_is_used_up_stops_a_loop_that_gains(budget: Spent, words: str):
    spent = Spent(hours=2.5, gpu_hours=20.0, tokens=2_000_000)
    decision = decided([0.1, 0.5], spent=spent, budget=budget)
    assert decision.stop and decision.best_iteration == 1
    assert words in decision.reason
    assert not decided([0.1, 0.5], spent=spent, budget=Spent(hours=3, gpu_hours=21, tokens=3e6)).stop
