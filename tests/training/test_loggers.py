import sys
from dataclasses import fields
from types import SimpleNamespace

import pytest

from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError
from siked_ray.training.stage import loggers
from siked_ray.training.stage.job import Job
from siked_ray.training.stage.loggers import LoggedStage, check_loggers, open_loggers


def test_tensorboard_writes_event_files_that_hold_the_figures(tmp_path):
    stage = LoggedStage(name="training_00", run="my-run", identity="x", folder=tmp_path)
    (logger,) = open_loggers(["tensorboard"], stage)
    logger.log(1, {"loss": 2.5})
    logger.log(2, {"loss": 1.5})
    logger.close()
    (file,) = (tmp_path / "training_00").iterdir()
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(file.parent)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 2.5), (2, 1.5)]


def test_a_logger_without_its_package_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"training\.loggers names mlflow.*pip install mlflow"):
        check_loggers(["tensorboard", "mlflow"])


def test_wandb_and_mlflow_get_the_same_figures(tmp_path, monkeypatch: pytest.MonkeyPatch):
    calls = []
    run = SimpleNamespace(log=lambda figures, step: calls.append(("wandb", step, figures)), finish=lambda: None)
    fakes = {
        "wandb": SimpleNamespace(init=lambda **options: calls.append(options) or run),
        "mlflow": SimpleNamespace(
            start_run=lambda run_name: calls.append(run_name),
            log_metrics=lambda figures, step: calls.append(("mlflow", step, figures)),
            end_run=lambda: None,
        ),
    }
    monkeypatch.setattr(loggers, "find_spec", lambda name: name)
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
    stage = LoggedStage(name="training_01", run="my-run", identity="0123", folder=tmp_path / "tensorboard")
    opened = open_loggers(["wandb", "mlflow"], stage)
    for logger in opened:
        logger.log(7, {"loss": 0.5})
        logger.close()
    assert calls[0]["name"] == calls[1] == "my-run-training_01"
    assert (calls[0]["id"], calls[0]["resume"]) == ("0123", "allow")
    assert calls[2:] == [("wandb", 7, {"loss": 0.5}), ("mlflow", 7, {"loss": 0.5})]


def logged(root: str, work: str = "checkpoints/iteration_00-0123") -> LoggedStage:
    unused = dict.fromkeys((field.name for field in fields(Job)), None)
    values = {"storage": Storage(root), "work": work, "log_prefix": "/tmp/siked-me-0123/training_00"}
    return Job(**(unused | values)).as_logged()


def test_stages_are_named_after_their_run_and_no_two_are_taken_for_one():
    """Logs of runs on object stores are written to a folder of the machine that says nothing of the run."""
    assert logged("s3://bucket/runs/gsm8k?region=eu").full_name == "gsm8k-training_00"
    assert logged("/data/demo/").folder.parts[-1] == "tensorboard"
    places = [("s3://a/run",), ("s3://b/run",), ("/data/run",), ("s3://a/run", "checkpoints/iteration_01-0123")]
    assert len({logged(*place).identity for place in places}) == len(places)
    assert logged("s3://a/run") == logged("s3://a/run"), "a stage that is resumed goes on in its own"
