"""The same weights, prompts and extraction: lm-evaluation-harness, on transformers, finds what our engine found."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from siked_ray.config import read_resolved
from siked_ray.core.prompts import student_prompt
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.measuring import free_completions
from siked_ray.evaluation.harness import flexible_extract, harness_figures, strict_match
from tests.engines.conftest import FinishedRun

_NOT_THERE = find_spec("lm_eval") is None
pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(900),
    pytest.mark.skipif(_NOT_THERE, reason="lm_eval is not installed (pip install lm_eval, for this test alone)"),
]

_ITERATION, _SET, _MAX_NEW_TOKENS = 0, "svamp", 32


def test_filtered_answers_and_accuracies_are_the_same(
    gsm8k_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both decode in float32: bfloat16 rounds otherwise in every implementation, and near ties go either way."""
    assert gsm8k_run.output.returncode == 0, gsm8k_run.output.stderr[-2000:]
    for name, value in {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    import lm_eval

    run = Storage(str(gsm8k_run.folder))
    problems = run.read_parquet(names.problems(_SET)).to_pylist()
    templates = read_resolved(run.read_text(names.CONFIG), names.CONFIG).prompts.templates()
    rows = [
        {
            "id": one["problem_id"],
            "prompt": student_prompt(templates, one["question"]),
            "target": f"#### {one['answer']}",
        }
        for one in problems
    ]
    said = free_completions(run, names.evaluation_rollouts(_ITERATION))
    found = _by_harness(lm_eval, run.path(names.student(_ITERATION)), rows, tmp_path)
    for one in found["samples"]["ours"]:
        read = strict_match if one["filter"] == "strict-match" else flexible_extract
        assert one["filtered_resps"][0] == read(said[one["doc"]["id"]]), one["resps"]
    figures = harness_figures(said, {one["problem_id"]: one["answer"] for one in problems})["harness"]
    assert len(rows) > 30
    assert found["results"]["ours"]["exact_match,strict-match"] == figures["strict_match"]
    assert found["results"]["ours"]["exact_match,flexible-extract"] == figures["flexible_extract"]


def _by_harness(harness: Any, student: str, rows: list[dict[str, str]], folder: Path) -> dict[str, Any]:
    """Its task gsm8k with our prompts, and nothing before them."""
    file = folder / "problems.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = yaml.safe_load((Path(harness.__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml").read_text())
    for key in ("tag", "dataset_name", "training_split", "fewshot_split"):
        task.pop(key, None)
    task |= {"task": "ours", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}}}
    task |= {"doc_to_text": "{{prompt}}", "doc_to_target": "{{target}}", "num_fewshot": 0}
    task["generation_kwargs"] |= {"until": ["</s>"], "max_gen_toks": _MAX_NEW_TOKENS}
    model = {"pretrained": student, "dtype": "float32", "add_bos_token": False}
    return harness.simple_evaluate(
        model="hf", model_args=model, tasks=[task], device="cpu", batch_size=1, log_samples=True, bootstrap_iters=0
    )
