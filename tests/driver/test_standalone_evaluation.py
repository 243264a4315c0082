"""Which weights `siked eval` opens engines with."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from siked_ray.driver import standalone_evaluation
from siked_ray.driver.standalone_evaluation import evaluate_model


class Opened(Exception):
    """Raised in place of sampling, with the weights."""


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def sampling(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(evaluation=open_engines)

    def open_engines(weights: str, *_: object) -> None:
        raise Opened(weights)

    for name in ("connected", "_shown_board"):
        monkeypatch.setattr(standalone_evaluation, name, lambda *_: nullcontext())
    monkeypatch.setattr(standalone_evaluation, "Sampling", sampling)


def opened(model: str) -> str:
    options: dict[str, Any] = {"limit": 3, "max_new_tokens": 20, "num_gpus": 0.0, "show": print}
    with pytest.raises(Opened) as raised:
        evaluate_model(model, "world:test", prompts="world", **options)
    return str(raised.value)


def test_a_model_of_the_world_is_made_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(models: dict[str, str], *_: object, **__: object) -> dict[str, str]:
        return {role: f"/made/{name}" for role, name in models.items()}

    monkeypatch.setattr(standalone_evaluation, "resolve_models", made)
    assert opened("world:student") == "/made/world:student"


def test_a_model_below_the_home_directory(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _, name = tiny_model.rpartition("/")
    monkeypatch.setenv("HOME", home)
    assert opened(f"~/{name}") == tiny_model
