"""Heavy libraries load inside the functions that need them: the command line answers at once."""

import json
import subprocess
import sys

import pytest

HEAVY = ["ray", "torch", "vllm", "transformers", "sympy", "datasets", "deepspeed", "peft"]
LIGHT = ["siked_ray.cli", "siked_ray.recipes.siked", "siked_ray.core", "siked_ray.data", "siked_ray.verification"]


def loaded_by(code: str) -> set[str]:
    program = f"{code}\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_the_light_part_of_the_package_loads_no_heavy_library():
    assert loaded_by(f"import {', '.join(LIGHT)}") == set()


def test_building_the_command_line_loads_no_heavy_library():
    assert loaded_by("from siked_ray.cli import _parser; _parser()") == set()


def test_reading_settings_and_results_loads_no_heavy_library():
    code = "import siked_ray.config, siked_ray.report.summary, siked_ray.report.table, siked_ray.core.mixture_rule"
    assert (
        loaded_by(f"{code}, siked_ray.evaluation, siked_ray.data.ledger, siked_ray.generation.batch_sampler") == set()
    )


def test_the_check_itself_finds_what_is_loaded():
    pytest.importorskip("sympy")
    assert loaded_by("import sympy") == {"sympy"}
