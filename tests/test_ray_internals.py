"""What is used of Ray's and DeepSpeed's insides still exists in the pinned versions, and is named in one place."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from siked_ray import ray_internals

ROOT = Path(ray_internals.__file__).parent
#: What is used of the names beyond the names themselves.
MEMBERS = {
    "ControllerCallback": ["after_controller_state_update"],
    "DataParallelTrainer": ["_create_default_callbacks"],
    "FP16_UnfusedOptimizer": ["refresh_fp32_params"],
    "TrainingFramework": ["TORCH"],
    "CheckpointUploadMode": ["ASYNC"],
    "deepspeed_compiler": ["compile"],
    "ds_to_universal": ["main"],
    "torch_config": [
        "_set_torch_distributed_env_vars",
        "_setup_torch_process_group",
        "_shutdown_torch",
        "TorchConfigContextManager",
    ],
}
_PRIVATE = re.compile(
    r"^\s*(?:from|import) (?:ray\.(?:[\w.]*\._|_private|train\.v2|train\._internal|experimental)|deepspeed\.)", re.M
)


@pytest.mark.parametrize("name", ray_internals.NAMES)
def test_the_name_exists(name: str) -> None:
    found: Any = getattr(ray_internals, name)
    assert [member for member in MEMBERS.get(name, []) if not hasattr(found, member)] == []


def test_ray_knows_of_nodes_that_are_drained() -> None:
    assert hasattr(ray_internals.ray_state.state, "get_draining_nodes")


def test_deepspeeds_table_of_kernels_has_the_one_that_is_left_out() -> None:
    assert "deepspeed_shm_comm" in ray_internals.compatible_ops


def test_no_other_file_names_them() -> None:
    files = [path for path in ROOT.rglob("*.py") if path.name != "ray_internals.py"]
    assert [str(path) for path in files if _PRIVATE.search(path.read_text(encoding="utf-8"))] == []


def test_the_pattern_finds_what_it_is_for() -> None:
    names = [f"from {module} import x" for module, _ in ray_internals.NAMES.values() if ".torch.config" not in module]
    assert [line for line in names if not _PRIVATE.search(line)] == []


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="NAMES"):
        _ = ray_internals.NoSuchThing


def test_asking_for_nothing_imports_nothing() -> None:
    script = "import sys, siked_ray.ray_internals; sys.exit(bool({'ray', 'torch', 'deepspeed'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
