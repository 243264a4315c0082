"""Each section makes its own plan: every value of a plan comes from the settings, or from who asks for it."""

import pytest

from siked_ray.core.mixture import Policy
from siked_ray.core.sampling_plan import SamplingPlan


def test_sampling_and_evaluation(make_config) -> None:
    config = make_config("generation={num_samples: 4, keep: all, ramp: [2, 1], temperature: 0.5, top_p: 0.9}")
    expected = SamplingPlan(num_samples=4, ramp=(2, 1), keep=None, temperature=0.5, top_p=0.9, max_new_tokens=512)
    assert config.generation.plan() == expected
    greedy = config.evaluation.plan()
    assert (greedy.num_samples, greedy.temperature, greedy.max_new_tokens) == (1, 0.0, 64)


def test_the_rules_of_mixture_and_loop(make_config) -> None:
    config = make_config("mixture={policy: fixed_alpha, alphas: [0.5, 0.25]}", "iterations={max: 2, max_hours: 3}")
    assert (config.mixture.rules().policy, config.mixture.rules().alphas) == (Policy.FIXED_ALPHA, (0.5, 0.25))
    rules = config.iterations.rules()
    assert (rules.max_iterations, rules.budget.hours) == (2, 3)


def test_templates_and_strategies(make_config) -> None:
    config = make_config("strategies=[pot, cot]")
    assert config.prompts.templates().student == config.prompts.student
    assert [one.tag for one in config.strategy_records()] == ["[pot]:", "[cot]:"]


@pytest.mark.parametrize(("by", "fraction"), [("loss", 0.1), ("accuracy", 0.0)])
def test_what_is_held_out_of_training_is_what_chooses(by: str, fraction: float, make_config) -> None:
    selection = f"training.selection={{every_steps: 3, by: {by}, held_out_fraction: 0.1}}"
    plan = make_config(selection).training.plan(seed=7)
    assert (plan.seed, plan.candidates_every, plan.held_out_fraction) == (7, 3, fraction)
