"""Which weights `siked eval` opens engines with."""

from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from siked_ray.errors import UserError
from siked_ray.launch import evaluate_model as standalone_evaluation
from siked_ray.launch.evaluate_model import evaluate_model
from siked_ray.settings import EngineSettings


class Opened(Exception):
    """Raised in place of sampling, with the weights."""


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def sampling(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(answers=open_engines)

    def open_engines(stage: object, weights: str, *_: object) -> None:
        raise Opened(weights)

    for name in ("connected", "shown_board"):
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


def test_what_the_run_of_a_student_says_holds_for_it(tiny_model: str, tmp_path, monkeypatch, make_config) -> None:
    """Also where the run is on an object store; not that its model's code may run."""
    from siked_ray.config import dump_config
    from siked_ray.data import run_directory as names
    from siked_ray.data.storage import Storage

    run = Storage(str(tmp_path / "run"))
    config = make_config("strategies=[pot]", "evaluation.max_new_tokens=77", "trust_remote_code=true")
    run.write_text(names.CONFIG, dump_config(config))
    student = run.path("students/iteration_00")
    for model in (student, f"file://{student}"):
        (tmp_path / "run/students").mkdir(exist_ok=True)
        (tmp_path / "run/students/iteration_00").mkdir(exist_ok=True)
        made = partial(standalone_evaluation.evaluation_settings, run_dir="r", data={"train": "d"}, engine={})
        found = made(model, None, {})
        assert (found.strategies, found.evaluation.max_new_tokens) == (["pot"], 77)
        assert not found.trust_remote_code
        given = made(model, 5, {"samples": 4})
        assert given.generation.max_new_tokens == 5
        assert (given.evaluation.samples, found.evaluation.samples) == (4, None)


@pytest.mark.parametrize(("num_gpus", "engines"), [(0.0, (1, 0.0)), (0.5, (1, 0.5)), (1.0, (1, 1.0)), (3.0, (3, 1.0))])
def test_gpus_are_engines(num_gpus: float, engines: tuple[int, float]) -> None:
    settings = EngineSettings(**standalone_evaluation.engines_on(num_gpus))
    assert (settings.num_engines, settings.gpus_per_engine) == engines


def test_gpus_and_a_half_are_none() -> None:
    with pytest.raises(UserError, match="whole number"):
        standalone_evaluation.engines_on(1.5)
