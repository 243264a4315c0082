"""torch's process group over the workers, set up by Ray Train's own functions, but on the workers only.

Ray Train's `TorchConfig` does the same and imports torch in its controller and in the process that starts the stage
too; the controller's import is on the way to every stage's first step. Imports Ray Train, as a backend has to be one
of its own classes.
"""

import os
from dataclasses import asdict, dataclass
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig

from siked_ray.ray_internals import TrainingFramework, get_address_and_port

#: Seconds that the workers' processes have to leave the group at the end, as Ray Train has it.
_LEAVING_S = 30


@dataclass(frozen=True, slots=True)
class ProcessGroup(BackendConfig):
    """`backend` is torch's name: "nccl" for workers with GPUs, "gloo" for others."""

    backend: str

    @property
    def backend_cls(self) -> type[Backend]:
        return _OnWorkers

    @property
    def train_func_context(self) -> Any:
        """Entered around what a worker runs: its GPU is torch's current device."""
        return _on_its_device

    @property
    def framework(self) -> TrainingFramework:
        return TrainingFramework.TORCH

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class _OnWorkers(Backend):
    """Called by Ray Train's controller."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        address, port = worker_group.execute_single(0, get_address_and_port)
        worker_group.execute(_join, backend_config.backend, address, port)

    def on_shutdown(self, worker_group: Any, backend_config: Any) -> None:
        leaving = worker_group.execute_async(_leave, len(worker_group) > 1)
        ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVING_S)


def _join(backend: str, address: str, port: int) -> None:
    import ray.train

    from siked_ray.ray_internals import torch_config

    os.environ.update(MASTER_ADDR=address, MASTER_PORT=str(port))
    torch_config._set_torch_distributed_env_vars()
    context = ray.train.get_context()
    torch_config._setup_torch_process_group(backend, context.get_world_rank(), context.get_world_size(), "env://")


def _leave(destroy: bool) -> None:
    from siked_ray.ray_internals import torch_config

    torch_config._shutdown_torch(destroy_process_group=destroy)


def _on_its_device() -> Any:
    from siked_ray.ray_internals import torch_config

    return torch_config.TorchConfigContextManager()
