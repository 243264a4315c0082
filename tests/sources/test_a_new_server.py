"""A new kind of server is one class and what the settings say of it: everything else works with it as it is."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, get_args

import pytest

from siked_ray import sources
from siked_ray.capacity.autoscaler import stages_on
from siked_ray.capacity.bundles import engines_demand
from siked_ray.capacity.cluster_file import NodeGroup
from siked_ray.capacity.engine_specs import engine_spec, pool_size
from siked_ray.config import Config
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.figures import cost_of_servers, spent
from siked_ray.errors import ModelError
from siked_ray.generation.model_facts import ModelFacts
from siked_ray.preflight.check import check
from siked_ray.preflight.cost import server_lines
from siked_ray.preflight.forecast import first_prompts, forecast
from siked_ray.settings import TeacherPart
from siked_ray.settings.teacher import SampledSourceName, TeacherSettings, TeacherSource, WrittenSourceName
from siked_ray.sources import sampled
from siked_ray.sources.server_client import CLIENT, ServerClient
from tests.core.test_mixture_rule import rollout
from tests.driver.test_figures import record


class ParrotSettings(TeacherSettings):
    """The settings' variant."""

    source: Literal["parrot"]
    cents_per_word: int = 0

    @property
    def is_sampled(self) -> bool:
        return True


class ParrotSource:
    """The one file: a server that charges by the word, of what it says alone."""

    def __init__(self, part: TeacherPart, config: Config) -> None:
        self.part = part
        self.engines = ServerClient(open_engine=Parrot, max_concurrency=3, cluster=config.cluster)

    def check(self, *, offline_is_fine: bool) -> ModelFacts:
        if self.part.source.model == "dead":
            raise ModelError("This parrot is no more; set teacher.model to another one.")
        return ModelFacts(name=self.part.source.model, known=False, note="in its cage")

    def cost(self, num_prompt_tokens: float, num_generated_tokens: float) -> float:
        return num_generated_tokens * self.part.source.cents_per_word / 100


class Parrot:
    def __init__(self, model: str) -> None:
        self.name = f"parrot {model}"


@pytest.fixture
def make_run(make_config, monkeypatch):
    monkeypatch.setitem(sys.modules, "siked_ray.sources.parrot", SimpleNamespace(SOURCE=ParrotSource))
    config = make_config("strategies=[cot, pot]", "generation.num_samples=2", "generation.max_new_tokens=10")
    return lambda **values: config.model_copy(update={"teacher": ParrotSettings(source="parrot", **values)})


def test_it_checks_itself_before_anything_starts(make_run) -> None:
    assert check(make_run(model="polly")).models["teacher"].note == "in its cage"
    with pytest.raises(ModelError, match="is no more"):
        check(make_run(model="dead"))


def test_the_forecast_counts_its_requests_and_names_it(make_run) -> None:
    config = make_run(model="polly")
    checked = check(config)
    lines = forecast(config, checked)
    assert lines["teacher model"] == "polly (in its cage)"
    requests = 2 * len(checked.train)
    assert lines["completions, sampling"] == f"{requests * 2 * (1 + config.iterations.max):,} at most"
    assert "engines of teacher" not in lines
    assert {"teacher's prompt · cot", "teacher's prompt · pot"} <= first_prompts(config, checked).keys()


def test_it_says_what_it_needs_of_the_cluster(make_run) -> None:
    config = make_run(model="polly")
    assert engines_demand(config, "teacher").bundles == (CLIENT,)
    node = NodeGroup(name="workers", resources={"CPU": 1.0}, min_nodes=0, max_nodes=4)
    _, called = stages_on(config, [node])["teacher's sampling"]
    assert (called.nodes, called.lacking) == ({"workers": 1}, "")


def test_its_engines_are_opened_by_the_pool(make_run) -> None:
    config = make_run(model="polly")
    spec, size = engine_spec(config, "teacher", 128), pool_size(config, "teacher")
    assert spec.open_engine("polly").name == "parrot polly"
    assert (spec.samples_in_flight, size.max_engines, size.gpus_per_engine) == (6, 1, 0)


def test_what_it_costs_before_and_after(make_run, tmp_path) -> None:
    config = make_run(model="polly", cents_per_word=10)
    checked = check(config)
    most = 0.1 * 2 * len(checked.train) * 2 * 10
    assert server_lines(config, checked)["teacher's server charges"].startswith(f"{most:,.2f} at most")
    storage = Storage(str(tmp_path / "stored"))
    (said,) = table("rollouts", [rollout("1", 0)]).to_pylist()
    storage.write_parquet("a.parquet", table("rollouts", [said | {"model": "teacher", "num_tokens": 7}]))
    assert cost_of_servers(storage, ["a.parquet"], config) == pytest.approx(0.7)
    assert spent([record("rollouts_teacher", 3600)], config).gpu_hours == 0


@pytest.mark.parametrize("name", get_args(SampledSourceName) + get_args(WrittenSourceName))
def test_every_name_in_the_settings_has_its_class(name: str) -> None:
    kind = import_module(f"siked_ray.sources.{name}").SOURCE
    assert hasattr(kind, "cost") == (name in get_args(SampledSourceName))
    assert hasattr(kind, "rationales") == (name in get_args(WrittenSourceName))


def test_every_class_in_the_folder_has_its_name_in_the_settings() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in Path(sources.__file__).parent.glob("*.py")}
    names = [name for name, text in texts.items() if "\nSOURCE" in text]
    assert sorted(names) == sorted(get_args(TeacherSource.model_fields["source"].annotation))


def test_rationales_that_exist_are_not_sampled(make_config) -> None:
    assert sampled(make_config()) == ()
