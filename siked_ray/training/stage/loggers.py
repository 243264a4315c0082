"""Where the figures of optimizer steps go besides the run's own files: TensorBoard, Weights & Biases, MLflow.

Project, server and credentials are what these tools read from the environment by themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from siked_ray.errors import ConfigError

_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedStage:
    """A training stage as loggers know it: a name to read, an id that no other run's stage has, a folder for files."""

    name: str
    run: str
    identity: str
    folder: Path

    @property
    def full_name(self) -> str:
        return f"{self.run}-{self.name}"


class StepLogger(Protocol):
    """A place for figures by optimizer step (1-based)."""

    def log(self, step: int, figures: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoardLogger:
    """Event files in the stage's folder; `tensorboard --logdir` shows them."""

    def __init__(self, stage: LoggedStage) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(stage.folder / stage.name), flush_secs=10)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for key, value in figures.items():
            self._writer.add_scalar(key, value, step)

    def close(self) -> None:
        self._writer.close()


class WandbLogger:
    """A run of Weights & Biases; one that is resumed goes on under the same id."""

    def __init__(self, stage: LoggedStage) -> None:
        import wandb  # type: ignore[import-not-found,unused-ignore]

        stage.folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(name=stage.full_name, id=stage.identity, resume="allow", dir=str(stage.folder))

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        self._run.finish()


class MlflowLogger:
    """A run of MLflow."""

    def __init__(self, stage: LoggedStage) -> None:
        import mlflow  # type: ignore[import-not-found,unused-ignore]

        self._mlflow: Any = mlflow
        mlflow.start_run(run_name=stage.full_name)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(figures), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


_LOGGERS: dict[str, Callable[[LoggedStage], StepLogger]] = {
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
    "mlflow": MlflowLogger,
}


def check_loggers(names: Sequence[str]) -> None:
    """ConfigError when the package of a logger is not installed."""
    for name in names:
        if find_spec(_PACKAGES[name]) is None:
            raise ConfigError(
                f"training.loggers names {name}, whose package {_PACKAGES[name]} is not installed; "
                f"pip install {_PACKAGES[name]}, or take {name} out of training.loggers."
            )


def open_loggers(names: Sequence[str], stage: LoggedStage) -> list[StepLogger]:
    """The loggers of a stage; ConfigError when the package of one is not installed."""
    check_loggers(names)
    return [_LOGGERS[name](stage) for name in names]
