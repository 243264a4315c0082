"""Two-tier selection (after arXiv 2405.02134): a small model answers, and asks a large one where it is unsure and a
budget allows it. Both answer every problem once; each budget is then arithmetic over what is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from siked_ray.core.cascade import CascadeRule, Costs
from siked_ray.core.cascade_table import CascadeTable, Prices
from siked_ray.core.claim import Claim, Record
from siked_ray.core.margin import Margin
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.stopping import Decision
from siked_ray.errors import ConfigError
from siked_ray.recipes.verbs import Asked, Lab, Rollouts
from siked_ray.settings import STUDENT, TEACHER, Config
from siked_ray.settings.base import NonNegative, PositiveInt
from siked_ray.settings.base import Settings as Section

HELD_OUT = Split.VALIDATION.value
_Pair = Annotated[list[NonNegative], Field(min_length=2, max_length=2)]


class Settings(Section):
    """`options` in the file."""

    small: str = Field(default=STUDENT, description="The model that answers first: `student`, or a name of `models`.")
    large: str = Field(default=TEACHER, description="The model that is asked then; `teacher`, or a name of `models`.")
    strategy: str | None = Field(default=None, description="What the teacher is asked for (default: the first one).")
    margin: Margin = Field(default=Margin.MEAN, description="How sure the small model is of an answer.")
    samples: Annotated[int, Field(ge=2)] = Field(default=5, description="K of the margin `votes`; it costs K answers.")
    rule: CascadeRule = Field(default=CascadeRule.OURS, description="`published`: as the authors' code.")
    costs: _Pair | None = Field(default=None, description="Of the small and the large model, per problem.")
    prices: dict[str, _Pair] | None = Field(
        default=None, description="`small` and `large`: of a million tokens, [of prompts, generated]; instead of costs."
    )
    budget: NonNegative | None = Field(default=None, description="One budget per problem (default: a sweep).")
    budgets: Annotated[int, Field(ge=2)] = Field(default=21, description="Of the sweep, from one cost to the other.")
    orders: PositiveInt = Field(default=5, description="In which the problems come, each drawn by the run's seed.")


def margins(config: Config) -> dict[str, Margin]:
    """Of which model a margin is wanted; ConfigError for options that are no cascade."""
    options = Settings.model_validate(config.options)
    if options.small == TEACHER or options.small == options.large:
        raise ConfigError(
            f"options: small {options.small} and large {options.large} have to be two models, and the small one is "
            "asked as the student is: student, or a name of models."
        )
    for name in (options.small, options.large):
        config.require_model(name)
    if options.large == TEACHER and any(not part.source.is_sampled for part in config.teacher_parts()):
        raise ConfigError("options.large: this teacher has rationales and no model; set options.large to another one.")
    if options.strategy not in (None, *config.strategies):
        raise ConfigError(f"options.strategy: {options.strategy!r} is none of the strategies {config.strategies}.")
    if (options.costs is None) == (options.prices is None):
        raise ConfigError("options: a cascade needs costs [small, large] of a problem, or prices of tokens; set one.")
    if options.prices is not None and options.prices.keys() != {"small", "large"}:
        raise ConfigError("options.prices: give those of small and of large, each [of prompts, generated].")
    if options.costs:
        costs = Costs(small=options.costs[0], large=options.costs[1])
        if problem := costs.problem_with(costs.small if options.budget is None else options.budget):
            raise ConfigError(f"options: {problem}.")
    return {options.small: options.margin}


def run(lab: Lab, config: Config) -> Decision:
    """Both models on the held-out problems and on the test sets, and a curve for each set."""
    answers = answered(lab, config, (HELD_OUT, *lab.test_sets()))
    figures = {name: curve(lab, config, name, both) for name, both in answers.items()}
    return lab.decide(StageId(Kind.DECISION, "two_tier"), lambda: _said(figures))


def answered(lab: Lab, config: Config, sets: tuple[str, ...]) -> dict[str, dict[str, Rollouts]]:
    """What the small and the large model answer to the problems of some sets."""
    options = Settings.model_validate(config.options)
    requested = (options.strategy or config.strategies[0],) if options.large == TEACHER else (FREE,)
    asks = {"small": Asked(problems=sets, requested=(FREE,)), "large": Asked(problems=sets, requested=requested)}
    models = {
        "small": (lab.model(options.small), _plan(config)),
        "large": (lab.model(options.large), config.evaluation.plan()),
    }
    both = {of: lab.sample(StageId(Kind.ANSWERS, of), model, asks[of], how) for of, (model, how) in models.items()}
    return dict.fromkeys(sets, both)


def curve(lab: Lab, config: Config, problem_set: str, answers: Mapping[str, Rollouts]) -> Mapping[str, Any]:
    """The figures of a cascade on one set."""
    options = Settings.model_validate(config.options)
    given = options.prices
    prices = [Prices(prompt=given[of][0], generated=given[of][1]) for of in ("small", "large")] if given else None
    rule = CascadeTable(
        problem_set=problem_set,
        margin=options.margin,
        rule=options.rule,
        costs=Costs(small=options.costs[0], large=options.costs[1]) if options.costs else None,
        prices=(prices[0], prices[1]) if prices else None,
        budget=options.budget,
        num_budgets=options.budgets,
        num_orders=options.orders,
        seed=config.seed,
    )
    return lab.select(StageId(Kind.TABLE, f"cascade_{problem_set}"), rule, **answers).figures


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """The curves by problem set, and what they gain on random escalation at equal cost; on what selects nothing where
    there is such a set."""
    found = {one.id.label.removeprefix("cascade_"): one.metrics for one in records if one.id.kind is Kind.TABLE}
    tests = {name: one for name, one in found.items() if name != HELD_OUT} or found
    claims = [
        Claim(
            one=f"asking by {one['margin']} margin",
            other="asking at random at equal cost",
            problem_set=name,
            test="paired z",
            **one["against_random"],
        )
        for name, one in tests.items()
    ]
    return {"cascade": found, "claims": claims}


def _plan(config: Config) -> SamplingPlan:
    """Greedy with a margin; several samples, where they vote."""
    options, greedy = Settings.model_validate(config.options), config.evaluation.plan()
    if options.margin is not Margin.VOTES:
        return replace(greedy, margin=options.margin)
    sampled = config.generation
    return replace(greedy, num_samples=options.samples, temperature=sampled.temperature, top_p=sampled.top_p)


def _said(figures: Mapping[str, Mapping[str, Any]]) -> Decision:
    """Of the first set that selects nothing, or of the held-out problems."""
    name = next((one for one in figures if one != HELD_OUT), HELD_OUT)
    one = figures[name]
    gain = one["against_random"]["difference"]
    said = f"{name}: small {one['small']['accuracy']:.1%}, large {one['large']['accuracy']:.1%}"
    said += f", by {one['margin']} margin {100 * gain:+.1f} points on average against random escalation at equal cost"
    return Decision(stop=True, best_iteration=0, reason=f"{said}; {one['remark']}" if one["remark"] else said)
