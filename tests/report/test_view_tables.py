"""MinT's views in the summary and in the report."""

import pytest

from siked_ray.core.stage import Kind
from siked_ray.report.arms import arms
from siked_ray.report.html.page import render
from siked_ray.report.summary import build_summary
from siked_ray.report.table import print_results
from siked_ray.report.view import View
from siked_ray.report.view_tables import asked_for_views, views
from tests.report.test_arms import COMPARED, FIGURES, record

COUNTS = {"rationales": 12, "right": 9, "wrong": 2, "unchecked": 1, "rows": 12, "noisy": 3}


@pytest.fixture
def summary(make_config) -> dict:
    training = {"steps": 12, "tokens": 2400, "seconds": 10.0, "last_loss": 0.25, "losses": [1.0]}
    of_all = FIGURES | {"paired": {"only_cot": {"iteration": None, "requested": "cot", "num_problems": 10, **COMPARED}}}
    alone = FIGURES | {"forced": {"cot": 0.5}, "paired": {"all": {"iteration": None, **COMPARED}}}
    records = [
        record(Kind.TABLE, "all", rows=12, noisy=3, views={"cot": {"gsm8k": COUNTS}}),
        record(Kind.TRAINING, "all", **training),
        record(Kind.TRAINING, "only_cot", **training),
        record(Kind.EVALUATION, "all", more=of_all),
        record(Kind.EVALUATION, "only_cot", more=alone),
    ]
    config = make_config("recipe=mint", "prompts=views", "strategies=[cot, pot]")
    return build_summary(config, records, "finished", ())


def test_views_by_data_set(summary: dict):
    assert summary["views"] == {"cot": {"gsm8k": COUNTS}}
    table = views(View(summary))
    assert table.rows == [["cot", "gsm8k", "12", "9", "2", "1", "12", "3"]]
    assert table.headings[-2:] == ["trained on", "of these noisy"]


def test_all_views_against_each_alone(summary: dict):
    table = asked_for_views(View(summary))
    assert table.rows == [["cot", "test set more", "40.0%", "50.0%", "−10.0 points [−20.0, +5.0]", "1.000"]]


def test_the_students_table_compares_free_answers_alone(summary: dict):
    table = arms(View(summary))
    column = table.headings.index("difference from")
    assert [(row[0], row[column]) for row in table.rows] == [
        ("all", "–"),
        ("only_cot", "all: −10.0 points [−20.0, +5.0]"),
    ]


def test_the_report_has_them(summary: dict, capsys):
    page = render(summary, "")
    assert "All views against each alone" in page and "cannot be checked" in page
    assert "all, asked for cot, and cot alone cannot be told apart" in page
    print_results(summary, best_student=str)
    assert "only_cot" in capsys.readouterr().out


def test_other_recipes_have_none(make_config):
    summary = build_summary(make_config(), [], "running", ())
    assert "views" not in summary and "Views" not in render(summary, "")
