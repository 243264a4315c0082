"""Every name of Ray's and DeepSpeed's own insides that is used, in one place: what to look at before either is updated.

A name is imported when it is first asked for (`from siked_ray.ray_internals import ControllerCallback`), so that
importing this module costs nothing, and asking for one of Ray's does not import torch unless Ray's own module does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepspeed.checkpoint import ds_to_universal as ds_to_universal
    from deepspeed.runtime.fp16.unfused_optimizer import FP16_UnfusedOptimizer as FP16_UnfusedOptimizer
    from ray.autoscaler._private.commands import debug_status as debug_status
    from ray.train._internal.utils import get_address_and_port as get_address_and_port
    from ray.train.v2._internal.callbacks.datasets import DatasetsCallback as DatasetsCallback
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError as WorkerGroupStartupTimeoutError
    from ray.train.v2._internal.execution.callback import ControllerCallback as ControllerCallback
    from ray.train.v2._internal.execution.controller.state import InitializingState as InitializingState
    from ray.train.v2._internal.execution.controller.state import ReschedulingState as ReschedulingState
    from ray.train.v2._internal.execution.controller.state import RestartingState as RestartingState
    from ray.train.v2._internal.execution.controller.state import TrainControllerState as TrainControllerState
    from ray.train.v2._internal.util import TrainingFramework as TrainingFramework
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer as DataParallelTrainer
    from ray.train.v2.api.report_config import CheckpointUploadMode as CheckpointUploadMode

_CONTROLLER_STATE = "ray.train.v2._internal.execution.controller.state"
#: Our name → module, and what of it is used: an attribute, or the module itself (None).
NAMES: dict[str, tuple[str, str | None]] = {
    "CheckpointUploadMode": ("ray.train.v2.api.report_config", "CheckpointUploadMode"),
    "ControllerCallback": ("ray.train.v2._internal.execution.callback", "ControllerCallback"),
    "DataParallelTrainer": ("ray.train.v2.api.data_parallel_trainer", "DataParallelTrainer"),
    "DatasetsCallback": ("ray.train.v2._internal.callbacks.datasets", "DatasetsCallback"),
    "FP16_UnfusedOptimizer": ("deepspeed.runtime.fp16.unfused_optimizer", "FP16_UnfusedOptimizer"),
    "InitializingState": (_CONTROLLER_STATE, "InitializingState"),
    "ReschedulingState": (_CONTROLLER_STATE, "ReschedulingState"),
    "RestartingState": (_CONTROLLER_STATE, "RestartingState"),
    "TrainControllerState": (_CONTROLLER_STATE, "TrainControllerState"),
    "TrainingFramework": ("ray.train.v2._internal.util", "TrainingFramework"),
    "WorkerGroupStartupTimeoutError": ("ray.train.v2._internal.exceptions", "WorkerGroupStartupTimeoutError"),
    "compatible_ops": ("deepspeed.ops", "__compatible_ops__"),
    "debug_status": ("ray.autoscaler._private.commands", "debug_status"),
    "deepspeed_compiler": ("deepspeed.runtime.compiler", None),
    "ds_to_universal": ("deepspeed.checkpoint.ds_to_universal", None),
    "get_address_and_port": ("ray.train._internal.utils", "get_address_and_port"),
    "internal_kv_get": ("ray.experimental.internal_kv", "_internal_kv_get"),
    "ray_state": ("ray._private.state", None),
    "torch_config": ("ray.train.torch.config", None),
}


def __getattr__(name: str) -> Any:
    """The name, imported now; AttributeError for one that is not in `NAMES`, ImportError where a module has moved."""
    if name not in NAMES:
        raise AttributeError(f"{name} is not in siked_ray.ray_internals.NAMES")
    module, attribute = NAMES[name]
    found = import_module(module)
    return found if attribute is None else getattr(found, attribute)


#: What Ray Data 2.60 writes under the message of an error that a task raised.
_RAY_DATA_ADVICE = "Failed to apply UDF transform after"


def raised_by_task(error: BaseException) -> BaseException:
    """The error as the task's own code raised it: without Ray's wrapper, and without Ray Data's advice on retries."""
    return without_advice(getattr(error, "cause", None) or error)


def without_advice(error: BaseException) -> BaseException:
    """The same error, its message as it was before Ray Data wrote under it."""
    if error.args and _RAY_DATA_ADVICE in str(error.args[-1]):
        own = error.args[-1].partition(_RAY_DATA_ADVICE)[0].rstrip()
        error.args = (*error.args[:-1], *([own] if own else []))
    return error
