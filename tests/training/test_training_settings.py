"""Settings of training and the plain values that come of them."""

import pytest

from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError
from siked_ray.settings import TRAINING_PRESETS, TrainingSettings
from siked_ray.training.stage.trainer import no_place, run_config


@pytest.mark.parametrize("preset", TRAINING_PRESETS)
def test_presets_are_the_published_settings(preset: str):
    settings = TrainingSettings.model_validate({"preset": preset})
    published = {"gemma": (2e-4, "linear"), "smollm": (2e-4, "linear"), "qwen2": (3e-4, "cosine")}
    assert (settings.learning_rate, settings.schedule) == published[preset]
    assert (settings.epochs, settings.micro_batch_size, settings.gradient_accumulation) == (3, 2, 4)
    assert (settings.warmup_steps, settings.weight_decay, settings.max_seq_len) == (5, 0.01, 1024)
    assert (settings.lora.rank, settings.lora.alpha, settings.lora.dropout) == (16, 32, 0.0)


def test_what_is_set_counts_more_than_the_preset():
    settings = TrainingSettings.model_validate({"preset": "qwen2", "learning_rate": 1e-3})
    assert (settings.learning_rate, settings.schedule) == (1e-3, "cosine")
    assert TrainingSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [(["training.lora.rank=0"], "set lora.rank to 1"), (["training.zero_stage=3"], "set zero_stage to 0, 1 or 2")],
)
def test_a_base_in_4_bits_is_under_an_adapter_and_whole(make_config, changes: list[str], words: str):
    assert make_config("training.base_precision=nf4").training.plan(seed=1).base_precision == "nf4"
    with pytest.raises(ConfigError, match=words):
        make_config("training.base_precision=nf4", *changes)


def test_a_range_of_workers(make_config):
    config = make_config("training.num_workers=[2, 4]", "training.micro_batch_size=1")
    group, plan = config.training.worker_group(config.cluster), config.training.plan(seed=1)
    assert (group.min_workers, group.num_workers) == (2, 4)
    assert plan.rows_per_step == 16, "of the largest group, whatever is there"
    assert [plan.num_micro_steps(workers) for workers in (4, 3, 2)] == [4, 6, 8]


@pytest.mark.parametrize(("start_timeout_s", "num_attempts"), [(None, 5), ("7", 40)])
def test_workers_are_not_waited_for_longer_than_stages_are(start_timeout_s, num_attempts, make_config, monkeypatch):
    """Ray Train's own default is to try again for ever."""
    monkeypatch.delenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", raising=False)
    if start_timeout_s:
        monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", start_timeout_s)
    config = make_config("cluster.placement_timeout_s=275", "training.max_failures=1")
    group = config.training.worker_group(config.cluster)
    failures = run_config("training", group, Storage("/run")).failure_config
    assert (failures.controller_failure_limit, failures.max_failures) == (num_attempts, 1)


@pytest.mark.parametrize(("cpus", "threads"), [("0.5", "1"), ("4", "4")])
def test_a_worker_on_cpus_has_a_thread_for_each(cpus: str, threads: str, make_config):
    config = make_config(f"training.cpus_per_worker={cpus}")
    group = config.training.worker_group(config.cluster)
    environment = run_config("training", group, Storage("/run")).worker_runtime_env
    assert environment["env_vars"]["OMP_NUM_THREADS"] == threads


def test_what_is_said_when_there_is_no_place(make_config):
    changes = ("num_workers=4", "gpus_per_worker=1")
    config = make_config("cluster.placement_timeout_s=60", *(f"training.{one}" for one in changes))
    group = config.training.worker_group(config.cluster)
    sentence = no_place("training", group, {"CPU": 7.0, "GPU": 3.0, "memory": 1e9})
    assert "no place for 4 training workers of 1 CPU + 1 GPU each, after attempts of more than 60 s" in sentence
    assert "free on the whole cluster are 7 CPU, 3 GPU. Give the same command" in sentence


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.num_workers=[4, 2]", r"num_workers is \[min, max\], and 4 is more than 2"),
        ("training.offload.parameters=true", "set zero_stage to 3"),
        ("training.preset=llama", "gemma"),
        ("training.loggers=[comet]", "tensorboard"),
    ],
)
def test_impossible_settings_say_what_to_set(override: str, message: str, make_config):
    with pytest.raises(ConfigError, match=message):
        make_config(override)


def test_offloading_the_optimizer_needs_its_state_in_parts(make_config):
    with pytest.raises(ConfigError, match="set zero_stage to 1, 2 or 3"):
        make_config("training.offload.optimizer=true", "training.zero_stage=0")
