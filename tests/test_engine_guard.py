"""What a test without the marker `engines` cannot start."""

import subprocess
import sys

import pytest

from siked_ray.generation.engines.vllm_engine import VllmEngine
from tests.engines.test_vllm_process import OPTIONS
from tests.training.deepspeed_runs import run_all


def refused() -> pytest.RaisesExc:
    return pytest.raises(pytest.fail.Exception, match="needs the marker `engines`")


def test_no_ray() -> None:
    import ray

    with refused():
        ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR")


def test_no_engine() -> None:
    with refused():
        VllmEngine("model", OPTIONS)


def test_no_training_process(tmp_path) -> None:
    with refused():
        run_all(tmp_path, 1)


def test_no_ray_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-c", "import ray; ray.init(logging_level='ERROR')"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert answer.returncode != 0 and "Invalid address format: the test is not marked" in answer.stderr


@pytest.mark.engines
def test_marked_tests_are_let_through() -> None:
    code = "import os; print(os.environ.get('RAY_ADDRESS')) # gcs_server"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "marked" not in answer.stdout
