"""Two models' stored answers, side by side."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siked_ray.core.cascade import CascadeRule, Costs
from siked_ray.core.cascade_table import CascadeTable, Prices, votes
from siked_ray.core.margin import Margin
from siked_ray.core.rollout import Rollout, RolloutWithMargin
from siked_ray.core.verdict import Verdict
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.errors import ConfigError
from tests.core.test_mixture_rule import rollout

RULE = CascadeTable(
    problem_set="more",
    margin=Margin.MEAN,
    rule=CascadeRule.OURS,
    costs=Costs(small=1, large=4),
    prices=None,
    num_budgets=3,
)
WRONG = Verdict.WRONG


def answered(
    tmp_path: Path, rule: CascadeTable, small: list[Rollout], large: list[Rollout]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    storage = Storage(str(tmp_path))
    kind = "rollouts_with_margin" if isinstance(small[0], RolloutWithMargin) else "rollouts"
    storage.write_parquet("small.parquet", table(kind, small))
    storage.write_parquet("large.parquet", table("rollouts", large))
    problems = [{"problem_id": i, "dataset": "", "split": "", "question": f"Q{i}", "answer": ""} for i in "123"]
    storage.write_parquet("problems.parquet", table("problems", problems))
    with sql_engine() as connection:
        sql = SqlTables(connection, storage)
        sql.attach(kind, small=["small.parquet"])
        sql.attach("rollouts", large=["large.parquet"])
        sql.attach("problems", problems=["problems.parquet"])
        selected = rule.apply(sql)
        sql.write("rows.parquet", selected.query, rule.columns, rule.finish)
    return dict(selected.figures), storage.read_parquet("rows.parquet").to_pylist()


def sure(problem: str, verdict: Verdict, margin: float | None) -> RolloutWithMargin:
    return RolloutWithMargin.of(rollout(problem, verdict=verdict), margin)


def test_rows_and_figures_of_two_models(tmp_path: Path):
    """A problem that the small model was not asked is one that it does not solve; those of other sets are left out."""
    small = [sure("1", Verdict.CORRECT, 3.5), sure("2", WRONG, 0.25), sure("9", Verdict.CORRECT, 1)]
    large = [rollout(one) for one in "23"] + [rollout("1", verdict=WRONG)]
    figures, rows = answered(tmp_path, RULE, small, large)
    assert [tuple(row.values()) for row in rows] == [
        ("1", "3.5", "right", "wrong"),
        ("2", "0.25", "wrong", "right"),
        ("3", "", "wrong", "right"),
    ]
    assert (figures["margin"], figures["rule"], figures["costs"]) == ("mean", "ours", [1, 4])
    assert [one["budget"] for one in figures["curve"]] == [1, 2.5, 4] and figures["num_problems"] == 3
    assert figures["small"]["accuracy"] == pytest.approx(1 / 3)


def test_costs_come_from_tokens_and_prices(tmp_path: Path):
    small = [replace(sure(i, WRONG, 1), num_prompt_tokens=100, num_tokens=10) for i in "123"]
    large = [replace(rollout(i), num_prompt_tokens=200, num_tokens=20) for i in "123"]
    prices = (Prices(prompt=1, generated=2), Prices(prompt=10, generated=50))
    figures, _ = answered(tmp_path, replace(RULE, costs=None, prices=prices), small, large)
    assert figures["costs"] == pytest.approx([120e-6, 3000e-6])


def test_a_budget_below_the_small_models_cost_is_refused(tmp_path: Path):
    prices = (Prices(prompt=1e6, generated=0), Prices(prompt=9e6, generated=0))
    rule = replace(RULE, costs=None, prices=prices, budget=0.5)
    rows = [replace(sure(i, WRONG, 1), num_prompt_tokens=1) for i in "123"]
    with pytest.raises(ConfigError, match=r"more: a budget of 0\.5 a problem does not pay for the small model"):
        answered(tmp_path, rule, rows, [replace(rollout(i), num_prompt_tokens=1) for i in "123"])


def test_several_samples_vote(tmp_path: Path):
    """The commonest answer counts, whoever gave it first, and all samples cost."""

    def said(problem: str, *answers: str | None) -> list[Rollout]:
        return [
            replace(rollout(problem, index, Verdict.CORRECT if one == "7" else WRONG), predicted=one, num_tokens=5)
            for index, one in enumerate(answers)
        ]

    small = [*said("1", "7", "7.0", "8", None), *said("2", "9", "8", "9", "9"), *said("3", None, None)]
    prices = (Prices(prompt=0, generated=3e6), Prices(prompt=0, generated=3e7))
    rule = replace(RULE, margin=Margin.VOTES, costs=None, prices=prices)
    figures, rows = answered(tmp_path, rule, small, [replace(rollout(i), num_tokens=5) for i in "123"])
    assert [(row["margin"], row["small"]) for row in rows] == [("0.25", "right"), ("0.5", "wrong"), ("", "wrong")]
    assert figures["costs"][0] == pytest.approx(3 * 10 * 5 / 3)


def test_votes():
    assert votes(["a"] * 6 + ["b"] * 3 + ["c"]) == (pytest.approx(0.3), 0)
    assert votes(["1,000", "x", "1000.0"]) == (pytest.approx(1 / 3), 0)
    assert votes([None, "b", "b", None]) == (0.5, 1)
    assert votes(["b", "a"]) == (0.0, 0), "a tie goes to the first"
    assert votes([]) == votes([None]) == (None, None)


def test_what_a_record_says_it_was_made_from():
    assert RULE.arguments == {
        "rule": "cascade, ours",
        "problem_set": "more",
        "margin": "mean",
        "costs": [1, 4],
        "prices": None,
        "budgets": 3,
        "orders": [0, 5],
    }
