import pytest

from siked_ray.core.stopping import decide


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
    decision = decide(accuracies, patience=patience, min_gain=0.03125, max_iterations=100)
    assert (decision.stop, decision.best_iteration) == (stop, best)


def test_a_gain_of_exactly_the_minimum_counts():
    assert not decide([0.5, 0.75], patience=1, min_gain=0.25, max_iterations=9).stop
    assert decide([0.5, 0.749], patience=1, min_gain=0.25, max_iterations=9).stop


def test_the_last_iteration_stops_even_when_it_gains():
    decision = decide([0.1, 0.5, 0.9], patience=1, min_gain=0.01, max_iterations=2)
    assert (decision.stop, decision.best_iteration) == (True, 2)
    assert "iterations.max = 2" in decision.reason


def test_no_self_guided_iteration_stops_after_plain_distillation():
    assert decide([0.3], patience=1, min_gain=0.01, max_iterations=0).stop


def test_the_reason_names_the_setting_that_stopped_it():
    assert "0.25" in decide([0.5, 0.4], patience=1, min_gain=0.25, max_iterations=9).reason
