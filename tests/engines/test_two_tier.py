"""A cascade on real engines: vLLM's margins are the model's own, and a kill between the models changes nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from siked_ray.core.margin import Margin
from siked_ray.generation.engine import SamplingParameters
from siked_ray.generation.engines.vllm_engine import VllmEngine
from tests.engines.conftest import REPOSITORY, siked
from tests.engines.test_vllm_process import OPTIONS, encoded

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]


def test_margins_are_those_of_the_model(tiny_model: str):
    """At any temperature: they are of the model's own probabilities, not of what is drawn from."""
    engine = VllmEngine(tiny_model, OPTIONS)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    try:
        for temperature in (0.0, 0.7):
            prompt = encoded(tiny_model, "What is 3 plus 4?")
            wanted: dict[str, Any] = {"seed": 3, "temperature": temperature, "top_p": 1.0, "max_new_tokens": 6}
            samples = {
                margin: engine.submit(prompt, SamplingParameters(**wanted, margin=margin, with_token_ids=True))
                for margin in (Margin.MEAN, Margin.FIRST_TOKEN, None)
            }
            mean, first, plain = (future.result() for future in samples.values())
            assert mean.text == first.text == plain.text and plain.margin is None
            ids = torch.tensor([[*(prompt.token_ids or ()), *mean.token_ids]])
            with torch.no_grad():
                logits = model(input_ids=ids).logits[0, -len(mean.token_ids) - 1 : -1]
            best = logits.topk(2).values
            gaps = best[:, 0] - best[:, 1]
            assert mean.margin == pytest.approx(float(gaps.mean()), abs=1e-3)
            assert first.margin == pytest.approx(float(gaps[0]), abs=1e-3)
    finally:
        engine.close()


def arguments(folder: Path, tiny_student: Path, data: Path) -> tuple[str, ...]:
    """A cascade of a tiny model on itself: what it says is noise, and the same whenever it is asked."""
    return (
        *("run", "jobs/two_tier.yaml", f"run_dir={folder}", f"data.train={data}", "data.test=[]", "prompts=default"),
        f"student.model={tiny_student}",
        f"models.graduate.model={tiny_student}",
        *(
            "engine.num_engines=1",
            "engine.dtype=float32",
            "evaluation.max_new_tokens=24",
            "generation.max_new_tokens=24",
        ),
        *("data.validation_fraction=0.5", "options.budgets=3"),
    )


def found_by(folder: Path) -> tuple[Any, list[dict[str, Any]]]:
    rows = pq.read_table(folder / "evaluations" / "small").to_pylist()
    kept = [{name: row[name] for name in ("problem_id", "completion", "margin")} for row in rows]
    return json.loads((folder / "summary.json").read_text())["cascade"], kept


def test_a_run_that_was_killed_between_the_models_goes_on(tiny_student: Path, tmp_path: Path):
    data = tmp_path / "sums.jsonl"
    rows = [{"question": f"What is {n} plus 2?", "answer": str(n + 2)} for n in range(1, 41)]
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    whole = siked(*arguments(tmp_path / "whole", tiny_student, data))
    assert whole.returncode == 0 and "cascade" in whole.stdout, whole.stderr
    command = arguments(tmp_path / "killed", tiny_student, data)
    process = subprocess.Popen([sys.executable, "-m", "siked_ray", *command], cwd=REPOSITORY)
    first = tmp_path / "killed" / "ledger" / "answers_small.json"
    deadline = time.monotonic() + 300
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert first.exists() and not (tmp_path / "killed" / "ledger" / "decision_two_tier.json").exists()
    again = siked(*command)
    assert again.returncode == 0, again.stderr
    assert found_by(tmp_path / "killed") == found_by(tmp_path / "whole")
    _, rows = found_by(tmp_path / "killed")
    assert len(rows) == 20 and all(row["margin"] > 0 for row in rows)
