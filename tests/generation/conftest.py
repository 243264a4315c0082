"""A fake engine whose answers are functions of (prompt, seed), inside real generator actors on a real, small Ray."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from siked_ray.core.asks import Asks, Rendered
from siked_ray.core.problem import Problem
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.inputs import problem_row
from siked_ray.generation.engine import EngineFailure, Prompt, Sample, SamplingParameters
from siked_ray.generation.pool import EngineSpec, PoolSize
from siked_ray.generation.task import GenerationTask, RowSink

STRATEGIES = tuple(Strategy(name=name, kind=AnswerKind.TEXT, instruction=f"Use {name}.") for name in ("cot", "pot"))
SHARE_CORRECT = 0.3


class FunctionEngine:
    """Solves a request with a probability that its prompt and seed decide. Prompts with `kill` end the process (at
    most `kills` times, counted in files), prompts with `break` break the engine likewise. A sample takes `seconds`,
    and none once the folder has a file `hurry`; none comes before `num_engines` were opened in the folder."""

    name = "fake 1"
    max_model_len: int | None = None

    def __init__(self, model: str, folder: str, kills: int = 0, seconds: float = 0.002, num_engines: int = 1) -> None:
        self.busy_s = 0.0
        self._folder = Path(folder)
        self._kills = kills
        self._seconds = seconds
        self._num_engines = num_engines
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(4)
        with (self._folder / "opened").open("a") as log:
            log.write(f"{model} {os.getpid()}\n")

    def submit(self, prompt: Prompt, parameters: SamplingParameters) -> Future[Sample]:
        return self._workers.submit(self._sample, prompt.text, parameters.seed)

    def forget(self, prompt: Prompt) -> None: ...

    def load_weights(self, model: str) -> None:
        with (self._folder / "opened").open("a") as log:
            log.write(f"reloaded {model}\n")

    def close(self) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _sample(self, prompt: str, seed: int) -> Sample:
        while len((self._folder / "opened").read_text().splitlines()) < self._num_engines:
            time.sleep(0.05)
        if not (self._folder / "hurry").exists():
            time.sleep(self._seconds)
        with self._lock:
            self.busy_s += self._seconds
        if "kill" in prompt and self._may("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "break" in prompt and self._may("break"):
            raise EngineFailure("out of memory")
        solved = hashlib.sha256(f"{prompt}{seed}".encode()).digest()[0] / 256 < SHARE_CORRECT
        return Sample(text=f" The answer is {1 if solved else 2}.", num_prompt_tokens=7, num_tokens=5, finished=True)

    def _may(self, what: str) -> bool:
        with self._lock:
            marks = self._folder / what
            count = len(marks.read_text()) if marks.exists() else 0
            marks.write_text("x" * (count + 1))
            return count < self._kills


class PlainPrompts:
    """Prompts as a server takes them: nothing is forced."""

    stop = ()

    def __call__(self, question: str, requested: str, context: str | None) -> Rendered:
        return Rendered(prompt=f"Q {question}\n[{requested}]:{context or ''}")


@pytest.fixture(scope="module")
def small_ray() -> Iterator[None]:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def problems(questions: list[str]) -> list[Problem]:
    return [Problem(problem_id=f"p{i:04d}", dataset="d", question=q, answer="1") for i, q in enumerate(questions)]


def write_problems(storage: Storage, name: str, questions: list[str]) -> str:
    rows = [problem_row(problem, "train") for problem in problems(questions)]
    storage.write_parquet(f"problems/{name}.parquet", table("problems", rows))
    return f"problems/{name}.parquet"


def make_task(weights: str = "model", num_samples: int = 4, keep: int | None = 1) -> GenerationTask:
    return GenerationTask(
        label=1,
        model="student",
        weights=weights,
        run_seed=42,
        strategies=STRATEGIES,
        stop=(),
        plan=SamplingPlan(
            num_samples=num_samples, ramp=(1, 1, 2), keep=keep, temperature=0.7, top_p=1.0, max_new_tokens=8
        ),
        program_timeout_s=1.0,
    )


def make_asks(*tables: str, requested: tuple[str, ...] = ("cot", "pot"), table: str | None = None) -> Asks:
    return Asks(problems=tables, requested=requested, render=PlainPrompts(), table=table)


def make_sink(storage: Storage) -> RowSink:
    return RowSink(storage=storage, folder="rollouts/iteration_01", stage="rollouts_01")


def make_size(least: int = 1, most: int = 1) -> PoolSize:
    return PoolSize(
        min_engines=least,
        max_engines=most,
        cpus_per_engine=1.0,
        gpus_per_engine=0.0,
        resources={},
        start_timeout_s=60.0,
    )


def make_spec(open_engine, samples_in_flight: int = 32) -> EngineSpec:
    return EngineSpec(open_engine=open_engine, environment={}, samples_in_flight=samples_in_flight, tokenises=False)
