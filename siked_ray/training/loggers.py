"""Where the figures of optimizer steps go besides the run's own files: TensorBoard, Weights & Biases, MLflow.

Project, server and credentials are what these tools read from the environment by themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from siked_ray.errors import ConfigError

_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}


class StepLogger(Protocol):
    """A place for figures by optimizer step (1-based)."""

    def log(self, step: int, figures: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoardLogger:
    """Event files in `folder`; `tensorboard --logdir` shows them."""

    def __init__(self, folder: Path, name: str) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / name), flush_secs=10)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for key, value in figures.items():
            self._writer.add_scalar(key, value, step)

    def close(self) -> None:
        self._writer.close()


class WandbLogger:
    """A run of Weights & Biases; one that is resumed goes on under the same id."""

    def __init__(self, folder: Path, name: str) -> None:
        import wandb  # type: ignore[import-not-found,unused-ignore]

        folder.mkdir(parents=True, exist_ok=True)
        run_id = f"{folder.parent.parent.name}-{name}"
        self._run: Any = wandb.init(name=run_id, id=run_id, resume="allow", dir=str(folder))

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        self._run.finish()


class MlflowLogger:
    """A run of MLflow."""

    def __init__(self, folder: Path, name: str) -> None:
        import mlflow  # type: ignore[import-not-found,unused-ignore]

        self._mlflow: Any = mlflow
        mlflow.start_run(run_name=f"{folder.parent.parent.name}-{name}")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(figures), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


_LOGGERS: dict[str, Callable[[Path, str], StepLogger]] = {
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


def open_loggers(names: Sequence[str], folder: Path, name: str) -> list[StepLogger]:
    """The loggers of a stage `name`; those that write files do so in `folder`."""
    check_loggers(names)
    return [_LOGGERS[each](folder, name) for each in names]
