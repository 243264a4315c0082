"""Ray Train's `TorchTrainer` without what nobody asks for here, as each of it is seconds before the first step.

Imports Ray Train, as a trainer has to be one of its own classes.
"""

from typing import Any

from siked_ray.ray_internals import DataParallelTrainer, DatasetsCallback


class LeanTrainer(DataParallelTrainer):
    """What `TorchTrainer` is, for a `backend_config` that needs no torch where the stage is started (`ProcessGroup`).

    Its workers cannot ask for a dataset's shard: the manager of datasets, a process of its own, gives out shards that
    begin with the first row; workers here open theirs at the step at which they go on.
    """

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if not isinstance(callback, DatasetsCallback)]
