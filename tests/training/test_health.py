import math

import pytest

from siked_ray.training.stage.health import loss_note, warning


def test_a_falling_loss_is_fine():
    losses = [2.0 * math.exp(-step / 100) + 0.1 * math.sin(step) for step in range(400)]
    assert all(warning(losses[:end], 400) is None for end in range(len(losses)))


def test_a_loss_that_does_not_move_is_said_while_there_is_time():
    losses = [2.0 + 0.01 * math.sin(step) for step in range(400)]
    first = next(end for end in range(400) if warning(losses[:end], 400))
    assert first == 100, "after a quarter of the steps"
    assert "not moved in 100 steps" in warning(losses[:100], 400)


def test_a_trained_student_that_meets_a_new_peak_of_the_learning_rate_is_well():
    losses = [0.12] * 40 + [0.12 + 0.0006 * step for step in range(200)]
    assert warning(losses, 1000) is None
    assert "diverges" in warning([*losses, *[0.6] * 20], 1000)


def test_a_trained_student_that_is_lifted_for_a_third_of_its_steps_is_well():
    """The demo's first iteration, from means of fifty steps; nothing is said at its quarter."""
    means = [0.156, 0.19, 0.263, 0.26, 0.255, 0.234, 0.195, 0.185, 0.164, 0.146, 0.124, 0.13, 0.116]
    losses = [mean for mean in means for _ in range(80)]
    assert all(warning(losses[:end], len(losses)) is None for end in range(len(losses)))


def test_a_loss_that_rises_above_its_start_diverges():
    losses = [2.0 - 0.01 * step for step in range(100)] + [1.0 + 0.1 * step for step in range(60)]
    assert warning(losses[:110], 1000) is None, "a bump is no divergence"
    assert "diverges; lower training.learning_rate" in warning(losses, 1000)


@pytest.mark.parametrize("losses", [[], [5.0], [2.0] * 59])
def test_few_losses_say_nothing(losses: list[float]):
    assert warning(losses, 60) is None


def test_a_finished_stage_says_means_as_single_steps_jump():
    losses = [1.0, 3.0, *[9.0] * 36, 0.75, 0.25]
    assert loss_note(losses, []) == "mean loss 2.000 → 0.500"
    assert loss_note([1.5], ["It has not moved."]) == "mean loss 1.500 → 1.500 · It has not moved."
