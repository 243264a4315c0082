"""`evaluation.samples` and what goes with it."""

import pytest

from siked_ray.errors import ConfigError


def test_none_by_default_and_k_by_the_plan(make_config):
    assert make_config().evaluation.sampled_plan() is None
    plan = make_config("evaluation.samples=6", "evaluation.temperature=0.9").evaluation.sampled_plan()
    assert (plan.num_samples, plan.keep, plan.temperature, plan.top_p) == (6, None, 0.9, 0.95)
    assert plan.max_new_tokens == make_config().evaluation.max_new_tokens


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["evaluation.ks=[1, 2]"], "samples is not set"),
        (["evaluation.ks=[1, 9]", "evaluation.samples=8"], "ks has 9, and there are 8 samples"),
        (["evaluation.samples=1"], "evaluation.samples"),
        (["evaluation.samples=4", "evaluation.temperature=0"], "evaluation.temperature"),
    ],
)
def test_what_makes_no_sense_is_refused(make_config, overrides: list[str], said: str):
    with pytest.raises(ConfigError, match=said):
        make_config(*overrides)
