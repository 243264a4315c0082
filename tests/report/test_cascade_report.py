"""A cascade in the summary, in the report and on the screen."""

from typing import Any

import pytest

from siked_ray.core.cascade import CascadeRule
from siked_ray.core.cascade_curve import budgets_between, curve, sweep
from siked_ray.core.stage import Kind
from siked_ray.report.cascade_tables import curves, totals
from siked_ray.report.html.page import render
from siked_ray.report.sections import sections
from siked_ray.report.summary import build_summary
from siked_ray.report.table import print_results
from siked_ray.report.view import View
from tests.core.test_cascade import COSTS
from tests.core.test_cascade_curve import PROBLEMS
from tests.report.test_arms import record

CASCADE = "options={large: big, costs: [1, 5]}"


@pytest.fixture
def summary(make_config: Any) -> dict[str, Any]:
    outcomes = sweep(PROBLEMS, COSTS, budgets_between(COSTS, 5), CascadeRule.OURS, num_orders=5, seed=1)
    figures = {"margin": "mean", "rule": "ours"} | curve(PROBLEMS, COSTS, outcomes)
    config = make_config("recipe=two_tier", "models={big: {source: vllm, model: big}}", CASCADE)
    tables = [record(Kind.TABLE, f"cascade_{name}", **figures) for name in ("validation", "world")]
    return build_summary(config, tables, "finished", ())


def test_the_summary_has_curve_and_claim(summary: dict[str, Any]):
    assert list(summary["cascade"]) == ["validation", "world"]
    assert {"budget", "cost", "accuracy", "interval", "escalated"} <= summary["cascade"]["world"]["curve"][0].keys()
    (claim,) = summary["claims"]
    assert claim["holds"] and claim["problem_set"] == "world" and "at random at equal cost" in claim["sentence"]


def test_tables_say_what_asking_is_worth(summary: dict[str, Any]):
    view = View(summary)
    first, second = (dict(zip(totals(view).headings, row, strict=True)) for row in totals(view).rows)
    assert (first["set"], second["set"]) == ("held-out split", "test set world")
    assert (second["small"], second["large"], second["AUROC of the margin"]) == ("50.0%", "100.0%", "1.000")
    assert second["90% of the gain for"].endswith("% of the large model's cost")
    rows = [dict(zip(curves(view).headings, row, strict=True)) for row in curves(view).rows]
    assert len(rows) == 10 and rows[0]["budget"] == "1.000" and rows[0]["escalated"] == "0.0%"


def test_the_page_draws_a_curve_for_each_set(summary: dict[str, Any]):
    page = render(summary, "")
    assert page.count("Accuracy by budget · ") >= 2 and "budget per problem" in page
    assert "A large model asked where the small one is unsure" in page and "(paired z)" in page


def test_the_end_of_a_run_shows_it(summary: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    print_results(summary, best_student=str)
    said = capsys.readouterr().out
    assert "cascade" in said and "beats asking at random at equal cost" in said and "iteration" not in said


def test_other_recipes_have_none(make_config: Any):
    plain = build_summary(make_config(), [], "running", ())
    assert "cascade" not in plain
    assert not [one for one in sections(View(plain), None) if "large" in one.title]
