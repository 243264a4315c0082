"""`siked eval --cascade`: what it is asked, what it refuses, what it prints."""

import json
from contextlib import nullcontext
from typing import Any

import pytest

from siked_ray.cli import main
from siked_ray.core.cascade import CascadeRule
from siked_ray.core.cascade_curve import curve, sweep
from siked_ray.launch import evaluate_cascade as launched
from tests.core.test_cascade import COSTS
from tests.core.test_cascade_curve import PROBLEMS

EVAL = ("eval", "world:student", "--data", "world:test", "--prompts", "world", "--max-new-tokens", "80")
CASCADE = (*EVAL, "--cascade", "world:large-student")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The settings of cascades, in place of their figures."""
    found: list[Any] = []

    def figures(config: Any, storage: Any, board: Any, models: Any, lengths: Any) -> dict[str, Any]:
        found.append((config, models, lengths))
        return curve(PROBLEMS, COSTS, sweep(PROBLEMS, COSTS, [2], CascadeRule.OURS, num_orders=5, seed=1))

    monkeypatch.setattr(launched, "_figures", figures)
    for name in ("connected", "shown_board"):
        monkeypatch.setattr(launched, name, lambda *_: nullcontext())
    return found


def test_two_models_and_a_budget(asked: list[Any], capsys: pytest.CaptureFixture[str]):
    assert main([*CASCADE, "--budget", "2", "--costs", "1", "5", "--margin", "tag", "--rule", "published"]) == 0
    ((config, models, lengths),) = asked
    assert models == {"student": "world:student", "large": "world:large-student"} and lengths.keys() == models.keys()
    assert config.options["budget"] == 2 and config.options["costs"] == [1, 5]
    assert (config.options["margin"], config.options["rule"], config.options["large"]) == ("tag", "published", "large")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "problems 200"
    assert said[1].startswith("small     50.0%") and said[1].endswith("for 1 a problem")
    assert said[3].startswith("cascade ") and "of 2, " in said[3] and said[3].endswith("escalated")
    assert said[4].startswith("random ") and said[4].endswith("at equal cost")


def test_figures_for_machines(asked: list[Any], capsys: pytest.CaptureFixture[str]):
    prices = ("--prices", "1", "2", "3", "4")
    assert main([*CASCADE, "--few-shot", "cot", "--budget", "2", *prices, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["curve"][0]["budget"] == 2 and found["costs"] == [1, 5] and "against_random" in found
    ((config, models, _),) = asked
    assert models == {"student": "world:student", "teacher": "world:large-student"}
    assert (config.options["large"], config.options["strategy"]) == ("teacher", "cot")
    assert config.options["prices"] == {"small": [1, 2], "large": [3, 4]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "0.5", "--costs", "1", "5"], "a budget of 0.5 a problem does not pay for the small model"),
        (["--budget", "2", "--costs", "5", "5"], "it has to be less"),
        (["--costs", "1", "5"], "--cascade needs --budget"),
        (["--budget", "2"], "a cascade needs costs [small, large] of a problem, or prices of tokens"),
        (["--budget", "2", "--costs", "1", "5", "--margin", "entropy"], "options: margin: "),
        (["--budget", "2", "--costs", "1", "5", "--rule", "best"], "options: rule: "),
        (["--budget", "2", "--costs", "1", "5", "--few-shot", "poetry"], "'poetry' is none of the strategies"),
    ],
)
def test_what_is_no_cascade_is_refused_before_anything_starts(
    asked: list[Any], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
):
    assert main([*CASCADE, *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not asked


def test_options_of_a_cascade_without_one(capsys: pytest.CaptureFixture[str]):
    assert main([*EVAL, "--budget", "2"]) == 2
    assert "go with --cascade LARGE" in capsys.readouterr().err


def test_a_server_has_a_name_and_an_address():
    assert launched._source("gpt@https://host/v1", "chat") == {
        "source": "openai",
        "model": "gpt",
        "endpoint": {"base_url": "https://host/v1", "api": "chat"},
    }
    assert launched._source("/models/a@b", "chat") == {"source": "vllm", "model": "/models/a@b"}
