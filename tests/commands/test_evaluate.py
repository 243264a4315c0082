"""What `siked eval` prints, and what it hands on."""

import pytest

from siked_ray.cli import main

INTERVALS = {"free": (0.4, 0.6), "oracle": (0.5, 0.7), "majority": (0.4, 0.6), "forced": {"cot": (0.3, 0.5)}}
FIGURES = {
    "num_problems": 100,
    "free": 0.5,
    "oracle": 0.6,
    "majority": 0.5,
    "forced": {"cot": 0.4},
    "strategy_histogram": {"cot": 1.0, "none": 0.0},
    "intervals": INTERVALS,
}
SAMPLES = {
    "num_samples": 4,
    "temperature": 0.9,
    "top_p": 0.95,
    "average": 0.3,
    "pass_at": {"1": 0.3, "4": 0.8},
    "majority_at": {"1": 0.3, "4": 0.45},
    "intervals": {
        "average": (0.2, 0.4),
        "pass_at": {"1": (0.2, 0.4), "4": (0.7, 0.9)},
        "majority_at": {"1": (0.2, 0.4), "4": (0.35, 0.55)},
    },
}
LEVELS = {"Level 1": {"num_problems": 60, "free": 0.7, "interval": (0.6, 0.8), "forced": {"cot": 0.6}}}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict:
    """The options that the measurement was asked with; its figures have everything."""
    asked: dict = {}

    def evaluate(*_: object, **options: object) -> dict:
        asked.update(options)
        harness = {"harness": {"strict_match": 0.0, "flexible_extract": 0.49}}
        return FIGURES | harness | {"samples": SAMPLES, "levels": LEVELS} if options["samples"] else FIGURES

    monkeypatch.setattr("siked_ray.launch.evaluate_model.evaluate_model", evaluate)
    return asked


def test_samples_levels_and_the_harness_are_printed(measured: dict, capsys: pytest.CaptureFixture[str]):
    options = ("--samples", "4", "--temperature", "0.9", "--level-column", "level")
    assert main(["eval", "m", "--data", "d", *options]) == 0
    assert measured["samples"] == {"samples": 4, "temperature": 0.9}
    assert measured["level_column"] == "level"
    shown = capsys.readouterr().out
    assert "pass@4    80.0% (95% interval 70.0% to 90.0%)" in shown
    assert "majority@4  45.0%" in shown and "avg@4" in shown and "4 samples at T = 0.9, top_p = 0.95" in shown
    assert "Level 1   70.0% (95% interval 60.0% to 80.0%) of 60 problems, forced cot 60.0%" in shown
    assert "as lm-evaluation-harness reads it: strict-match 0.0%, flexible-extract 49.0%" in shown


def test_without_samples_it_is_as_it_was(measured: dict, capsys: pytest.CaptureFixture[str]):
    assert main(["eval", "m", "--data", "d"]) == 0
    assert measured["samples"] == {}
    assert capsys.readouterr().out.count("\n") == 5


def test_a_temperature_without_samples_is_refused(measured: dict, capsys: pytest.CaptureFixture[str]):
    assert main(["eval", "m", "--data", "d", "--temperature", "0.9"]) == 2
    assert "add --samples" in capsys.readouterr().err and not measured
