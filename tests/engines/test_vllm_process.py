"""vLLM in a process of its own: what it answers, and that neither side is left behind when the other ends."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from siked_ray.data.encoding import encode_prompt, load_tokenizer
from siked_ray.generation.engine import EngineFailure, Prompt, RequestRejected, SamplingParameters
from siked_ray.generation.engines.vllm_engine import VllmEngine
from siked_ray.generation.engines.vllm_options import EngineOptions

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(300)]
OPTIONS = EngineOptions(
    use_gpu=False,
    num_threads=1,
    max_num_seqs=8,
    max_model_len=256,
    dtype="float32",
    kv_cache_gib=0.1,
    gpu_memory_utilization=0.0,
    tensor_parallel_size=1,
    pipeline_parallel_size=1,
    batch_invariant=False,
    trust_remote_code=False,
)
#: Opens an engine, says so, and waits.
HOLDER = """
import sys, time
from tests.engines.test_vllm_process import OPTIONS, VllmEngine
engine = VllmEngine(sys.argv[1], OPTIONS)
print("up", flush=True)
time.sleep(600)
"""


def processes_of(pid: int) -> list[psutil.Process]:
    """vLLM's processes among the children of a process."""
    return [child for child in psutil.Process(pid).children() if "engine_loop" in " ".join(child.cmdline())]


@pytest.fixture
def engine(tiny_model: str) -> Iterator[VllmEngine]:
    engine = VllmEngine(tiny_model, OPTIONS)
    yield engine
    engine.close()


def encoded(model: str, text: str) -> Prompt:
    return Prompt(text=text, token_ids=encode_prompt(load_tokenizer(model), text))


def parameters(seed: int = 0, max_new_tokens: int = 16) -> SamplingParameters:
    return SamplingParameters(seed=seed, temperature=1.0, top_p=1.0, max_new_tokens=max_new_tokens)


def test_it_samples_by_seed_and_refuses_what_does_not_fit_and_says_when_its_process_is_killed(
    engine: VllmEngine, tiny_model: str
):
    prompt = encoded(tiny_model, "What is 3 plus 4?")
    first, other, again = (engine.submit(prompt, parameters(seed)) for seed in (1, 2, 1))
    assert first.result().text == again.result().text != other.result().text
    assert first.result().num_tokens <= 16 and first.result().num_prompt_tokens == len(prompt.token_ids)
    assert engine.busy_s > 0

    engine.forget(prompt)
    assert engine.submit(prompt, parameters(1)).result().text == first.result().text, "it is sent once more"
    too_long = engine.submit(encoded(tiny_model, "7 " * 400), parameters())
    with pytest.raises(RequestRejected, match="vLLM refuses"):
        too_long.result()

    in_flight = [engine.submit(prompt, parameters(seed, max_new_tokens=200)) for seed in range(40)]
    processes_of(os.getpid())[0].kill()
    with pytest.raises(EngineFailure, match="exit code -9"):
        in_flight[-1].result(timeout=30)
    with pytest.raises(EngineFailure, match="has stopped"):
        engine.submit(prompt, parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tied", [True, False])
def test_weights_that_are_replaced_are_those_of_an_engine_that_opens_with_them(make_model, tied: bool, dtype: str):
    """All of them, the head too: vLLM's CPU build keeps a packed copy of it."""
    first, second = (make_model(name, tie_word_embeddings=tied) for name in ("first", "second"))
    model = AutoModelForCausalLM.from_pretrained(second)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(second)
    text, options = list(range(2, 60)), replace(OPTIONS, dtype=dtype, top_k=4)
    found = {}
    for name, weights in {"opened": [second], "replaced": [first, second]}.items():
        engine = VllmEngine(weights[0], options)
        try:
            for other in weights[1:]:
                before = engine.score(text, 1, 4).result()
                engine.load_weights(other)
            found[name] = engine.score(text, 1, 4).result()
        finally:
            engine.close()
    assert (found["opened"].log_probs_RK == found["replaced"].log_probs_RK).all()
    assert (found["opened"].token_ids_RK == found["replaced"].token_ids_RK).all()
    assert not (before.log_probs_RK == found["opened"].log_probs_RK).all(), "the first weights say something else"


def test_weights_that_cannot_be_loaded_are_named(engine: VllmEngine):
    with pytest.raises(EngineFailure, match="/no/such/weights"):
        engine.load_weights("/no/such/weights")


def test_a_model_that_cannot_be_opened_is_said_with_vllms_reason():
    with pytest.raises(EngineFailure, match="no/such/model"):
        VllmEngine("/no/such/model", OPTIONS)


def test_the_process_ends_with_the_one_that_opened_it(tiny_model: str):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tiny_model], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert any(line == "up\n" for line in holder.stdout), "it opened"
    (process,) = processes_of(holder.pid)
    holder.kill()
    holder.wait()
    deadline = time.monotonic() + 20
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the engine's process is left behind"
        time.sleep(0.1)


def test_a_process_that_is_killed_while_it_opens_is_started_again(tiny_model: str):
    killed = []

    def kill_the_first() -> None:
        while not killed:
            for process in processes_of(os.getpid()):
                process.kill()
                killed.append(process.pid)
            time.sleep(0.1)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    engine = VllmEngine(tiny_model, OPTIONS)
    killer.join()
    assert engine.submit(encoded(tiny_model, "1 + 1"), parameters()).result().text
    assert [process.pid for process in processes_of(os.getpid())] != killed
    engine.close()
    assert not processes_of(os.getpid())
