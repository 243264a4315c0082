"""What vLLM is asked for; the engine itself is tested where it runs (tests marked `engines`)."""

import pytest

from siked_ray.capacity.engine_specs import engine_spec
from siked_ray.generation.engines.vllm_options import engine_arguments


def test_the_cache_on_cpus_can_be_a_fraction_of_a_gib(make_config):
    spec = engine_spec(make_config("engine.kv_cache_gib=0.5"), "student", 128)
    arguments = engine_arguments("model", spec.open_engine.keywords["options"])
    assert arguments["kv_cache_memory_bytes"] == 2**29
    assert "VLLM_CPU_KVCACHE_SPACE" not in spec.environment, "vLLM reads it as an integer"


@pytest.mark.parametrize(("cpus", "threads"), [("0.5", "1"), ("1", "1"), ("4", "4")])
def test_an_engine_on_cpus_has_a_thread_for_each(cpus: str, threads: str, make_config) -> None:
    spec = engine_spec(make_config(f"engine.cpus_per_engine={cpus}"), "student", 128)
    assert spec.environment["OMP_NUM_THREADS"] == threads
    on_gpu = engine_spec(make_config(f"engine.cpus_per_engine={cpus}", "engine.gpus_per_engine=1"), "student", 128)
    assert "OMP_NUM_THREADS" not in on_gpu.environment
