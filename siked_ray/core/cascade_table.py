"""Two models' answers to one set of problems, put side by side: the rows and the curve of a cascade."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from typing import Any

from siked_ray.core.cascade import CascadeRule, Costs
from siked_ray.core.cascade_curve import Tiered, budgets_between, curve, sweep
from siked_ray.core.margin import Margin
from siked_ray.core.rule import Selected, Sql
from siked_ray.errors import ConfigError

_ANSWERS = """
SELECT problem_id, sample_index, {margin} AS margin, predicted, verdict = 'correct' AS correct,
       num_prompt_tokens AS prompt_tokens, num_tokens AS generated_tokens
FROM {table} JOIN problems USING (problem_id) ORDER BY problem_id, sample_index
"""
_IDS = "SELECT DISTINCT problem_id FROM problems ORDER BY problem_id"
_KEEP = """
CREATE TEMP TABLE tiered AS
SELECT unnest(?) AS problem_id, unnest(?) AS margin, unnest(?) AS small, unnest(?) AS large
"""
_MILLION = 1e6
_WORDS = {True: "right", False: "wrong"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Of a million tokens, of prompts and generated."""

    prompt: float
    generated: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CascadeTable:
    """Rows {problem_id, margin, small, large} of one set, out of the tables `small` and `large`; its figures are those
    of `curve`.

    `costs` are given, or come from `prices` of the small and the large model and the tokens that they took. Without a
    `budget` the curve has `num_budgets` between the costs. A problem that a model could not be asked is one that it
    does not solve; a small model's margin is below all others then.
    """

    problem_set: str
    margin: Margin
    rule: CascadeRule
    costs: Costs | None
    prices: tuple[Prices, Prices] | None
    budget: float | None = None
    num_budgets: int = 21
    num_orders: int = 5
    seed: int = 0
    columns: tuple[str, ...] = ("problem_id", "margin", "small", "large")

    @property
    def arguments(self) -> Mapping[str, Any]:
        return {
            "rule": f"cascade, {self.rule}",
            "problem_set": self.problem_set,
            "margin": self.margin.value,
            "costs": self.costs and [self.costs.small, self.costs.large],
            "prices": self.prices and [[one.prompt, one.generated] for one in self.prices],
            "budgets": self.num_budgets if self.budget is None else [self.budget],
            "orders": [self.seed, self.num_orders],
        }

    def apply(self, sql: Sql) -> Selected:
        """ConfigError where the costs that come out are no cascade's, or the budget is below the small model's."""
        ids = [row["problem_id"] for row in sql.rows(_IDS)]
        margin = "NULL::FLOAT" if self.margin is Margin.VOTES else "margin"
        small = _by_problem(sql.rows(_ANSWERS.format(table="small", margin=margin)))
        large = _by_problem(sql.rows(_ANSWERS.format(table="large", margin="NULL::FLOAT")))
        problems = [_tiered(one, small.get(one, []), large.get(one, [])) for one in ids]
        costs = self.costs or self._costs_of([*small.values()], [*large.values()], len(ids))
        if problem := costs.problem_with(costs.small if self.budget is None else self.budget):
            raise ConfigError(f"A cascade on {self.problem_set}: {problem}.")
        budgets = budgets_between(costs, self.num_budgets) if self.budget is None else [self.budget]
        found = sweep(problems, costs, budgets, self.rule, num_orders=self.num_orders, seed=self.seed)
        named = {"margin": self.margin.value, "rule": self.rule.value}
        sql.execute(_KEEP, [[*column] for column in zip(*map(_texts, problems), strict=True)])
        return Selected(query="SELECT * FROM tiered ORDER BY problem_id", figures=named | curve(problems, costs, found))

    def max_rows(self, tables: Mapping[str, int]) -> int:
        return tables["problems"]

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row

    def _costs_of(self, small: Sequence[Any], large: Sequence[Any], num_problems: int) -> Costs:
        assert self.prices, "settings give costs or prices"
        each = [_price(answers, one) / num_problems for answers, one in zip((small, large), self.prices, strict=True)]
        return Costs(small=each[0], large=each[1])


Rows = Sequence[Mapping[str, Any]]


def _by_problem(rows: Rows) -> dict[str, Rows]:
    return {problem: [*own] for problem, own in groupby(rows, key=itemgetter("problem_id"))}


def _price(answers: Sequence[Rows], prices: Prices) -> float:
    """Of all samples of all problems."""
    tokens = [
        row["prompt_tokens"] * prices.prompt + row["generated_tokens"] * prices.generated
        for own in answers
        for row in own
    ]
    return sum(tokens) / _MILLION


def _tiered(problem_id: str, small: Rows, large: Rows) -> Tiered:
    """Of several samples of the small model the commonest answer counts, and how far ahead it is is the margin."""
    solved = any(row["correct"] for row in large[:1])
    if len(small) == 1:
        margin = small[0]["margin"]
        return Tiered(problem_id=problem_id, margin=margin, small=small[0]["correct"], large=solved)
    margin, first = votes([row["predicted"] for row in small])
    right = first is not None and bool(small[first]["correct"])
    return Tiered(problem_id=problem_id, margin=margin, small=right, large=solved)


def votes(answers: Sequence[str | None]) -> tuple[float | None, int | None]:
    """The share of the commonest answer less that of the next one, and the index of the first sample that gives it; a
    tie goes to the answer that came first. Samples without an answer count for none; without any it is (None, None)."""
    keys = [None if answer is None else _key(answer) for answer in answers]
    counted = Counter(key for key in keys if key is not None).most_common(2)
    if not counted:
        return None, None
    second = counted[1][1] if len(counted) > 1 else 0
    return (counted[0][1] - second) / len(answers), keys.index(counted[0][0])


def _key(answer: str) -> str:
    """Equal for two ways of writing one number."""
    text = answer.replace(",", "").strip()
    try:
        return str(Fraction(text))
    except (ValueError, ZeroDivisionError):
        return text


def _texts(one: Tiered) -> tuple[str, str, str, str]:
    margin = "" if one.margin is None else f"{one.margin:.6g}"
    return one.problem_id, margin, _WORDS[one.small], _WORDS[one.large]
