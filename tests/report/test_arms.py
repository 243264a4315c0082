"""Students that no iteration made, in the summary and in the report."""

import pytest

from siked_ray.core.stage import Kind, StageId
from siked_ray.data.ledger import StageRecord
from siked_ray.report.arms import arms
from siked_ray.report.html.page import render
from siked_ray.report.summary import build_summary
from siked_ray.report.table import print_results
from siked_ray.report.view import View

FIGURES = {
    "num_problems": 10,
    "free": 0.5,
    "oracle": 0.7,
    "majority": 0.5,
    "forced": {"cot": 0.4},
    "intervals": {"free": [0.3, 0.7]},
    "strategy_histogram": {"cot": 1.0},
}
COMPARED = {"difference": -0.1, "interval": [-0.2, 0.05], "gained": 1, "lost": 2, "p_value": 1}
PAIRED = {"plain": {"iteration": None, **COMPARED}}


def record(kind: Kind, label: str, **metrics) -> StageRecord:
    return StageRecord(id=StageId(kind, label), position=0, seconds=1.0, outputs=(), metrics=metrics, made_from=None)


@pytest.fixture
def summary(make_config) -> dict:
    training = {"steps": 12, "tokens": 2400, "seconds": 10.0, "last_loss": 0.25, "losses": [1.0]}
    records = [
        record(Kind.TRAINING, "plain", **training),
        record(Kind.EVALUATION, "plain", validation=FIGURES),
        record(Kind.TRAINING, "kl", **training),
        record(Kind.EVALUATION, "kl", validation=FIGURES | {"free": 0.4, "paired": PAIRED}),
    ]
    return build_summary(make_config(), records, "finished", ())


def test_the_summary_has_a_student_for_each_label(summary: dict):
    assert [one["name"] for one in summary["arms"]] == ["plain", "kl"]
    assert summary["arms"][1]["evaluation"]["validation"]["free"] == 0.4
    assert "losses" not in summary["arms"][0]["training"] and summary["iterations"] == []


def test_the_table_compares_each_with_the_first(summary: dict, capsys):
    table = arms(View(summary))
    first, second = (dict(zip(table.headings, row, strict=True)) for row in table.rows)
    assert (first["student"], first["free"], first["difference from"]) == ("plain", "50.0%", "–")
    assert second["difference from"] == "plain: −10.0 points [−20.0, +5.0]"
    assert (second["cot forced"], second["steps"], second["tokens/s"]) == ("40.0%", "12", "240")
    assert "Students side by side" in render(summary, "")
    print_results(summary, best_student=str)
    assert "−10.0 points" in capsys.readouterr().out


def test_siked_has_none(make_config):
    assert "arms" not in build_summary(make_config(), [], "running", ())
