"""Ray Train without its manager of datasets: a process of its own, started with the workers, that nobody asks here.

It gives out shards that begin with the first row; workers here open theirs at the step at which they go on. Imports
Ray Train, as its trainer has to be one of its own classes.
"""

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback


class TrainerWithoutDatasets(TorchTrainer):
    """A `TorchTrainer` whose workers cannot ask for a dataset's shard."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()  # type: ignore[misc]  # typed as its first version
        return [callback for callback in callbacks if not isinstance(callback, DatasetsCallback)]
