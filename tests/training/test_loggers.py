import sys
from types import SimpleNamespace

import pytest

from siked_ray.errors import ConfigError
from siked_ray.training import loggers
from siked_ray.training.loggers import check_loggers, open_loggers


def test_tensorboard_writes_event_files_that_hold_the_figures(tmp_path):
    (logger,) = open_loggers(["tensorboard"], tmp_path, "training_00")
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
    folder = tmp_path / "my-run" / "logs" / "tensorboard"
    opened = open_loggers(["wandb", "mlflow"], folder, "training_01")
    for logger in opened:
        logger.log(7, {"loss": 0.5})
        logger.close()
    assert calls[0]["id"] == calls[1] == "my-run-training_01" and calls[0]["resume"] == "allow"
    assert calls[2:] == [("wandb", 7, {"loss": 0.5}), ("mlflow", 7, {"loss": 0.5})]
