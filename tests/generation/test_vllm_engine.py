"""What vLLM is asked for; the engine itself is tested where it runs (tests marked `engines`)."""

from siked_ray.driver.placement import engine_spec
from siked_ray.generation.vllm_engine import engine_arguments


def test_the_cache_on_cpus_can_be_a_fraction_of_a_gib(make_config):
    spec = engine_spec(make_config("engine.kv_cache_gib=0.5"), "student", 128)
    arguments = engine_arguments("model", spec.open_engine.keywords["options"])
    assert arguments["kv_cache_memory_bytes"] == 2**29
    assert "VLLM_CPU_KVCACHE_SPACE" not in spec.environment, "vLLM reads it as an integer"
