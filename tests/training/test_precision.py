"""In which precision a stage is trained: by the processors, the size of the student, and what the run was begun in."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.data import processor
from siked_ray.data.processor import bfloat16_units
from siked_ray.driver.training import precision_so_far
from siked_ray.generation.engines import vllm_options
from siked_ray.generation.engines.vllm_options import EngineOptions
from siked_ray.report.screen import machine
from siked_ray.training.compute import precision
from siked_ray.training.compute.precision import gains_by_bfloat16, num_parameters
from siked_ray.training.stage import begun
from siked_ray.training.stage.begun import begun_in, precision_of
from siked_ray.training.stage.checkpoint import Facts, read_facts

OPTIONS = EngineOptions(
    use_gpu=False,
    num_threads=1,
    max_num_seqs=8,
    max_model_len=512,
    dtype="auto",
    kv_cache_gib=0.1,
    gpu_memory_utilization=0.9,
    tensor_parallel_size=1,
    pipeline_parallel_size=1,
    batch_invariant=False,
    trust_remote_code=False,
)
CPU_INFO = "processor\t: 0\nmodel name\t: Some avx512_bf16 CPU\nflags\t\t: fpu avx512f {}\n"


@pytest.mark.parametrize(
    ("flags", "units"),
    [
        ("avx512_bf16 sse", ["avx512_bf16"]),
        ("amx_bf16 avx512_bf16", ["avx512_bf16", "amx_bf16"]),
        ("avx512_bf16x amx_tile", []),
    ],
)
def test_units_are_flags_of_the_processor(flags: str, units: list[str]):
    assert bfloat16_units(CPU_INFO.format(flags)) == units


def test_nothing_is_known_of_other_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(processor, "_CPU_INFO", tmp_path / "cpuinfo")
    assert bfloat16_units() == []
    assert "students train in float32" in machine._bfloat16().found
    (tmp_path / "cpuinfo").write_text(CPU_INFO.format("amx_bf16"))
    assert bfloat16_units() == ["amx_bf16"]
    assert machine._bfloat16().found == "amx_bf16: students of 50,000,000 parameters and more train in bfloat16"


@pytest.mark.parametrize(("units", "dtype"), [([], "float32"), (["amx_bf16"], "auto")])
def test_engines_take_float32_where_bfloat16_is_slow(monkeypatch: pytest.MonkeyPatch, units: list[str], dtype: str):
    monkeypatch.setattr(vllm_options, "bfloat16_units", lambda: units)
    arguments = {
        asked: vllm_options.engine_arguments("student", replace(OPTIONS, dtype=asked)) for asked in ("auto", "bfloat16")
    }
    assert (arguments["auto"]["dtype"], arguments["bfloat16"]["dtype"]) == (dtype, "bfloat16")
    on_gpu = vllm_options.engine_arguments("student", replace(OPTIONS, use_gpu=True))
    assert on_gpu["dtype"] == "auto"


@pytest.mark.parametrize(("units", "dtype"), [([], "float32"), (["amx_bf16"], "bfloat16")])
@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_engines_on_cpus_do_not_keep_float16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, units: list[str], dtype: str
):
    monkeypatch.setattr(vllm_options, "bfloat16_units", lambda: units)
    (tmp_path / "config.json").write_text(json.dumps({key: "float16"}))

    def taken(**changes: Any) -> str:
        return vllm_options.engine_arguments(str(tmp_path), replace(OPTIONS, **changes))["dtype"]

    assert (taken(), taken(dtype="float16"), taken(use_gpu=True)) == (dtype, "float16", "auto")


def test_small_students_stay_in_float32(tiny_model: str, monkeypatch: pytest.MonkeyPatch):
    number = num_parameters(tiny_model)
    assert number == AutoModelForCausalLM.from_pretrained(tiny_model).num_parameters()
    monkeypatch.setattr(precision, "bfloat16_units", lambda: ["avx512_bf16"])
    assert not gains_by_bfloat16(tiny_model)
    monkeypatch.setattr(precision, "MIN_PARAMETERS", number)
    assert gains_by_bfloat16(tiny_model)
    monkeypatch.setattr(precision, "bfloat16_units", list)
    assert not gains_by_bfloat16(tiny_model)


def job(asked: str = "auto", *, use_gpu: bool = False, earlier: str | None = None) -> Any:
    plan = SimpleNamespace(precision=asked, trust_remote_code=False)
    return SimpleNamespace(plan=plan, use_gpu=use_gpu, precision=earlier, start="student")


def at(precision: str | None) -> Facts:
    return Facts(step=3, num_workers=1, zero_stage=1, precision=precision)


@pytest.mark.parametrize(
    ("stage", "facts", "expected"),
    [
        (job("bfloat16"), at("float32"), "bfloat16"),
        (job("float32", use_gpu=True), None, "float32"),
        (job(), None, None),
        (job(use_gpu=True), None, "bfloat16"),
        (job(), at("bfloat16"), "bfloat16"),
        (job(), at(None), "float32"),
        (job(use_gpu=True), at(None), "bfloat16"),
        (job(earlier="float32"), None, "float32"),
        (job(earlier="bfloat16"), None, "bfloat16"),
        (job(earlier="bfloat16"), at("float32"), "float32"),
    ],
    ids=lambda value: None if not isinstance(value, str) else value,
)
def test_a_run_goes_on_in_what_it_was_begun_in(stage: Any, facts: Facts | None, expected: str | None):
    """Checkpoints and runs that do not say are from when `auto` was float32 on all CPUs."""
    assert begun_in(stage, facts) == expected


@pytest.mark.parametrize(("num_gaining", "expected"), [(2.0, "bfloat16"), (1.0, "float32"), (0.0, "float32")])
def test_all_workers_have_to_gain(num_gaining: float, expected: str, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(begun, "gains_by_bfloat16", lambda start, **_: asked.append(start) or True)
    monkeypatch.setattr(begun, "sum_over_workers", lambda values, device: [num_gaining] if values == [1.0] else [])
    assert precision_of(job(), None, 2) == expected
    assert asked == ["student"]


def test_a_checkpoint_of_before_has_no_precision(tmp_path: Path):
    (tmp_path / "facts.json").write_text(json.dumps({"step": 3, "num_workers": 2, "zero_stage": 1}))
    assert read_facts(tmp_path).precision is None


@pytest.mark.parametrize(
    ("metrics", "use_gpu", "expected"),
    [
        ([], False, None),
        ([{"precision": "bfloat16"}], False, "bfloat16"),
        ([{}], False, "float32"),
        ([{}], True, "bfloat16"),
        ([{}, {"precision": "float32"}], False, "float32"),
    ],
)
def test_the_last_training_stage_says_what_a_run_was_begun_in(metrics: list, use_gpu: bool, expected: str | None):
    trained = [
        SimpleNamespace(id=StageId.of_iteration(Kind.TRAINING, number), metrics=one)
        for number, one in enumerate(metrics)
    ]
    passed: Any = [SimpleNamespace(id=TEACHER, metrics={"precision": "of something else"}), *trained]
    assert precision_so_far(passed, use_gpu=use_gpu) == expected
