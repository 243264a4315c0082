"""A teacher behind vLLM's own server on loopback, through the command line."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from siked_ray.generation.engines.openai_engine import EndpointOptions, OpenAIEngine
from siked_ray.generation.engines.vllm_options import CPU_ENVIRONMENT
from tests.engines.conftest import siked

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that calls a tiny random model `big` and wants a key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--model", str(tiny_student), "--served-model-name", "big", "--host", "127.0.0.1", "--port", str(port)]
    # Seeded sampling cannot follow a prompt that is prefilled in parts on CPUs.
    arguments += [
        "--no-enable-chunked-prefill",
        "--max-num-batched-tokens",
        "4096",
        "--max-model-len",
        "1024",
        "--enforce-eager",
        "--dtype",
        "float32",
        "--api-key",
        "secret",
    ]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments]
    environment = os.environ | CPU_ENVIRONMENT | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    log = tmp_path_factory.mktemp("server") / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_up(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(log.read_text()[-3000:])


@pytest.fixture
def job(server: str, tiny_student: Path, tmp_path: Path) -> list[str]:
    problems = [{"question": f"What is {i} plus {i + 1}?", "answer": str(2 * i + 1)} for i in range(12)]
    data = tmp_path / "problems.jsonl"
    data.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    file = tmp_path / "job.yaml"
    file.write_text(
        f"""
run_dir: {tmp_path}/run
data: {{train: {data}, validation_fraction: 0.3}}
teacher:
  source: openai
  model: big
  endpoint:
    base_url: {server}
    api: completions
    api_key_env: SERVER_KEY
    price_per_million_prompt_tokens: 1.0
    price_per_million_generated_tokens: 2.0
student: {{model: {tiny_student}}}
strategies: [cot, pot]
generation: {{num_samples: 2, max_new_tokens: 12}}
"""
    )
    return [str(file)]


def test_its_samples_are_verified_stored_and_paid_for(job, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "secret")
    result = siked("run", *job)
    assert "The teacher solved none of the training problems" in result.stderr, result.stderr
    rollouts = pq.read_table(tmp_path / "run" / "rollouts" / "teacher").to_pylist()
    num_problems = pq.read_table(tmp_path / "run" / "problems" / "train.parquet").num_rows
    assert len(rollouts) == num_problems * 2 * 2
    assert all(row["num_tokens"] <= 12 < row["num_prompt_tokens"] for row in rollouts)
    assert {row["engine"].split()[0] for row in rollouts} == {"openai"}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    generation = summary["iterations"][0]["generation"]
    tokens = [sum(row[name] for row in rollouts) for name in ("num_prompt_tokens", "num_tokens")]
    assert generation["cost"] == pytest.approx((tokens[0] * 1.0 + tokens[1] * 2.0) / 1e6)
    assert "secret" not in (tmp_path / "run" / "config.yaml").read_text()


def test_it_scores_texts_for_a_student_with_its_tokens(
    server: str, tiny_student: Path, job, tmp_path: Path, make_model, monkeypatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", "secret")
    options = EndpointOptions(base_url=server, api="completions", api_key_env="SERVER_KEY", max_concurrency=4)
    texts = [np.random.default_rng(size).integers(2, 320, size).tolist() for size in (9, 60)]
    model = AutoModelForCausalLM.from_pretrained(tiny_student, dtype=torch.float32)
    with closing(OpenAIEngine("big", options)) as engine:
        for text, future in [(text, engine.score(text, 5, 16)) for text in texts]:
            found = future.result()
            with torch.no_grad():
                top, ids = model(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)[4:-1].topk(16)
            assert (found.token_ids_RK == ids.numpy()).mean() > 0.99, "but for ties"
            assert np.abs(found.log_probs_RK - top.numpy()).max() < 0.01, "float16"
    scored = ("teacher.logprobs=16", "training.objective=forward_kl")
    assert siked("plan", *job, *scored).returncode == 0
    other = siked("plan", *job, *scored, f"student.model={with_two_tokens_swapped(make_model('other', context=2048))}")
    assert other.returncode == 2 and "has other tokens than the student" in other.stderr


def with_two_tokens_swapped(model: str) -> str:
    file = Path(model) / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, other = (next(token for token, number in vocabulary.items() if number == wanted) for wanted in (300, 301))
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    file.write_text(json.dumps(tokenizer))
    return model


def test_a_model_that_is_not_served_is_refused_before_anything_starts(job, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "secret")
    result = siked("run", *job, "teacher.model=other")
    assert result.returncode == 2 and "does not serve other; it serves big" in result.stderr
    monkeypatch.setenv("SERVER_KEY", "wrong")
    result = siked("run", *job)
    assert result.returncode == 2 and "api_key_env" in result.stderr
    assert not (tmp_path / "run").exists()
