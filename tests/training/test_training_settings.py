"""Settings of training and the plain values that come of them."""

import pytest

from siked_ray.driver.placement import training_plan, worker_group
from siked_ray.errors import ConfigError
from siked_ray.settings import TRAINING_PRESETS, TrainingSettings


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


def test_a_range_of_workers(make_config):
    config = make_config("training.num_workers=[2, 4]", "training.micro_batch_size=1")
    group, plan = worker_group(config), training_plan(config, seed=1)
    assert (group.min_workers, group.num_workers) == (2, 4)
    assert plan.rows_per_step == 16, "of the largest group, whatever is there"
    assert [plan.num_micro_steps(workers) for workers in (4, 3, 2)] == [4, 6, 8]


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
