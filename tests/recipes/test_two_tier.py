"""A small model that asks a large one: the recipe's stages, what it refuses, and what it claims."""

from typing import Any

import pytest

from siked_ray.cli import main
from siked_ray.core.cascade import CascadeRule, Costs
from siked_ray.core.cascade_table import Prices
from siked_ray.core.margin import Margin
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import Kind, StageId
from siked_ray.errors import ConfigError
from siked_ray.recipes import margins_of, two_tier
from siked_ray.recipes.verbs import Rollouts, Table
from tests.core.test_claim import Committed
from tests.recipes.test_siked import TEACHER_MODEL, FakeLab, Make

COSTS = "options.costs=[1, 5]"
OTHER = "models.big={source: vllm, model: big}"
SETTINGS = ("recipe=two_tier", TEACHER_MODEL, "strategies=[cot, pot]", COSTS)
GAIN = {"num_problems": 300, "difference": 0.05, "interval": (0.02, 0.08), "p_value": 0.001}
FIGURES = {
    "margin": "mean",
    "small": {"accuracy": 0.4},
    "large": {"accuracy": 0.8},
    "against_random": GAIN,
    "remark": "",
}


class CascadeLab(FakeLab):
    def __init__(self) -> None:
        super().__init__([0.3])

    def select(self, stage: StageId, rule: Any, **tables: Rollouts) -> Table:
        super().select(stage, rule, **tables)
        return Table(file=stage.name, fingerprint="", figures=FIGURES)


def test_both_models_answer_once_and_each_set_has_a_curve(make_config: Make):
    lab = CascadeLab()
    decision = two_tier.run(lab, make_config(*SETTINGS, "seed=7"))
    assert lab.work == [
        *("answers_small", "answers_large", "table_cascade_validation", "table_cascade_more", "decision_two_tier")
    ]
    (small, small_asked, small_how), (large, large_asked, large_how) = (
        lab.asked[f"answers_{of}"] for of in ("small", "large")
    )
    assert (small, small_asked.requested, small_how.margin) == ("student", (FREE,), Margin.MEAN)
    assert (large, large_asked.requested, large_how.margin) == ("teacher", ("cot",), None)
    assert small_asked.problems == large_asked.problems == ("validation", "more")
    assert small_how.temperature == large_how.temperature == 0 and small_how.num_samples == 1
    rule = lab.rules["table_cascade_more"]
    assert (rule.problem_set, rule.costs, rule.rule) == ("more", Costs(small=1, large=5), CascadeRule.OURS)
    assert (rule.num_budgets, rule.num_orders, rule.seed, rule.budget) == (21, 5, 7, None)
    assert list(lab.selected_from["table_cascade_more"]) == ["small", "large"]
    assert decision.reason == (
        "more: small 40.0%, large 80.0%, by mean margin +5.0 points on average against random escalation at equal cost"
    )


def test_a_further_model_is_asked_as_the_student_is(make_config: Make):
    lab = CascadeLab()
    options = "options={large: big, margin: tag, rule: published, prices: {small: [1, 2], large: [3, 4]}}"
    two_tier.run(lab, make_config("recipe=two_tier", OTHER, options))
    model, asked, _ = lab.asked["answers_large"]
    assert (model, asked.requested) == ("big", (FREE,))
    rule = lab.rules["table_cascade_more"]
    assert rule.costs is None and rule.rule is CascadeRule.PUBLISHED
    assert rule.prices == (Prices(prompt=1, generated=2), Prices(prompt=3, generated=4))


def test_votes_need_several_samples_and_no_margin(make_config: Make):
    lab = CascadeLab()
    config = make_config(*SETTINGS, "options.margin=votes", "options.samples=8", "generation.temperature=0.5")
    two_tier.run(lab, config)
    _, _, how = lab.asked["answers_small"]
    assert (how.num_samples, how.keep, how.temperature, how.margin) == (8, None, 0.5, None)


def test_margins_are_wanted_of_the_small_model_alone(make_config: Make):
    assert margins_of(make_config(*SETTINGS)) == {"student": Margin.MEAN}
    assert margins_of(make_config()) == {}, "other recipes want none"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["options.costs=[2, 2]"], "the small model costs 2 a problem and the large one 2: it has to be less"),
        (["options.budget=0.5"], "a budget of 0.5 a problem does not pay for the small model, which costs 1"),
        (["options.margin=entropy"], "options: margin: "),
        (["options.rule=best"], "options: rule: "),
        (["options.costs=null"], "a cascade needs costs [small, large] of a problem, or prices of tokens; set one"),
        (["options.prices={small: [1, 1], large: [2, 2]}"], "a cascade needs costs"),
        (["options={prices: {large: [2, 2]}}"], "options.prices: give those of small and of large"),
        (["options.large=gpt"], "There is no model 'gpt' in the settings (there are student, teacher); set models.gpt"),
        (["options.small=teacher"], "have to be two models"),
        (["options.large=student"], "have to be two models"),
        (["options.strategy=l2m"], "options.strategy: 'l2m' is none of the strategies ['cot', 'pot']"),
        (["options.samples=1"], "options: samples: "),
        (["teacher={source: annotations}"], "this teacher has rationales and no model"),
        (["teacher=null"], "teacher.source is required"),
    ],
)
def test_what_is_no_cascade_is_refused_with_a_sentence(settings_file, capsys, overrides: list[str], words: str):
    assert main(["plan", str(settings_file), *SETTINGS, *overrides]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("{student: {source: vllm, model: big}}", "'student' names no further model"),
        ("{a b: {source: vllm, model: big}}", "names no further model"),
        ("{big: {source: annotations}}", "big has source annotations, which is no model"),
        ("{big: {source: vllm}}", "needs a model to sample"),
    ],
)
def test_further_models_that_cannot_be_asked(make_config: Make, models: str, words: str):
    with pytest.raises(ConfigError, match=words):
        make_config(f"models={models}")


def test_claims_are_on_what_selects_nothing():
    records = [Committed(StageId(Kind.TABLE, f"cascade_{name}"), FIGURES | {"against_random": GAIN}) for name in _SETS]
    found = two_tier.summarise(records)
    (claim,) = found["claims"]
    assert claim.sentence == (
        "asking by mean margin beats asking at random at equal cost by 5.0 points [+2.0, +8.0] on 300 problems of world"
    )
    assert list(found["cascade"]) == list(_SETS)
    assert [one.problem_set for one in two_tier.summarise(records[:1])["claims"]] == ["validation"]


_SETS = ("validation", "world")


def test_the_plan_has_its_stages(settings_file, capsys):
    assert main(["plan", str(settings_file), *SETTINGS]) == 0
    said = capsys.readouterr().out
    assert "answers_small" in said and "answers_large" in said and "table_cascade_validation" in said
