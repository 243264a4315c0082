"""A million request rows through the real pipeline with fake engines: the driver's memory, and what it can feed.

    python benchmarks/generation_scale.py [--rows 1000000] [--engines 2] [--tokenizer MODEL]

The engines are fake: they answer at once, half of the samples right. All else is the product's: problem tables, Ray
Data, the dispatch loop, generator actors, verification, parts, compaction. The driver's processor time per row says
how many rows per second one driver can hand out; wall time here is the time of the generator actors, which share the
cores of this machine and in a cluster would each have their own.
"""

import argparse
import hashlib
import json
import resource
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

from siked_ray.core.asks import Asks, Rendered
from siked_ray.core.problem import Problem
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.inputs import problem_row
from siked_ray.generation.calls import RowsToDo
from siked_ray.generation.dispatch import Dispatch
from siked_ray.generation.durable import compact, finished_rows
from siked_ray.generation.engine import Prompt, Sample, SamplingParameters
from siked_ray.generation.pool import EnginePool, EngineSpec, PoolSize
from siked_ray.generation.rendering import Tokenising, request_blocks
from siked_ray.generation.requests import missing_requests
from siked_ray.generation.task import GenerationTask, RowSink
from siked_ray.sources.own_engines import samples_in_flight

#: What one real engine does: a 7B model on an H100 at 10,000 tokens/s, completions of 150 tokens, 2 samples a row.
_ROWS_PER_ENGINE_S = 10_000 / (150 * 2)
_NUM_ENGINES_TO_FEED = 64
_STRATEGIES = tuple(Strategy(name=name, kind=AnswerKind.TEXT, instruction="") for name in ("cot", "l2m", "pot"))
_TABLE = "problems/train.parquet"


class InstantEngine:
    """Answers at once; the seed decides whether rightly."""

    name = "fake"
    max_model_len = None
    busy_s = 0.0

    def __init__(self, model: str) -> None: ...

    def submit(self, prompt: Prompt, parameters: SamplingParameters) -> Future[Sample]:
        future: Future[Sample] = Future()
        text = f" Five and two are seven.\nThe answer is {7 if parameters.seed % 2 else 8}."
        future.set_result(Sample(text=text, num_prompt_tokens=80, num_tokens=150, finished=True))
        return future

    def forget(self, prompt: Prompt) -> None: ...

    def load_weights(self, model: str) -> None: ...

    def close(self) -> None: ...


class PlainPrompts:
    """The question alone, as a server takes it."""

    stop = ()

    def __call__(self, question: str, requested: str, context: str | None) -> Rendered:
        return Rendered(prompt=f"{question}\n[{requested}]:")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--engines", type=int, default=2)
    arguments.add_argument("--tokenizer", metavar="MODEL", help="tokenise for this model; else as for a server")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.rows, options.engines, options.tokenizer, Path(folder)), indent=2))


def measure(num_rows: int, num_engines: int, tokenizer: str | None, folder: Path) -> dict[str, Any]:
    import ray

    ray.init(address="local", num_cpus=num_engines, include_dashboard=False, log_to_driver=False)
    storage = Storage(str(folder / "run"))
    write_problems(storage, num_rows // len(_STRATEGIES))
    sink = RowSink(storage=storage, folder="rollouts", stage="rollouts")
    memory = MemoryWatch()

    started, cpu_before = time.perf_counter(), time.process_time()
    asks = Asks(problems=(_TABLE,), requested=tuple(s.name for s in _STRATEGIES), render=PlainPrompts())
    blocks, total = missing_requests(storage, asks, finished_rows(sink))
    planned = time.perf_counter() - started
    pool = EnginePool(
        "fake",
        EngineSpec(
            open_engine=InstantEngine,
            environment={},
            samples_in_flight=samples_in_flight(256),
            tokenises=tokenizer is not None,
        ),
        PoolSize(
            min_engines=num_engines,
            max_engines=num_engines,
            cpus_per_engine=1.0,
            gpus_per_engine=0.0,
            resources={},
            start_timeout_s=120.0,
        ),
        name="fake",
        log_dir=str(folder),
    )
    pool.wait_ready()
    sampling = time.perf_counter()
    tokenising = None
    if tokenizer is not None:
        tokenising = Tokenising(model=tokenizer, trust_remote_code=False, log_path=str(folder / "prompts.log"))
    requests = request_blocks(storage, asks, blocks, tokenising)
    Dispatch(pool, task(), sink, RowsToDo(requests, total)).run()
    sampled = time.perf_counter() - sampling
    driver_cpu = time.process_time() - cpu_before
    num_parts = len(storage.files("rollouts/pending"))
    pool.close()
    compacting = time.perf_counter()
    files = compact(sink)
    compacted = time.perf_counter() - compacting
    memory.stop()
    rows_per_driver_s = total / driver_cpu
    return {
        "rows": total,
        "durable rows": len(finished_rows(sink)),
        "files after compaction": len(files),
        "parts before": num_parts,
        "seconds": {"planning": round(planned, 1), "sampling": round(sampled, 1), "compaction": round(compacted, 1)},
        "rows per second here": round(total / sampled),
        "driver": {
            "peak memory MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "memory MiB by quarter of the time": memory.quarters(),
            "of it not shared with Ray's object store": memory.quarters(private=True),
            "processor ms per row": round(1000 * driver_cpu / total, 4),
            "rows per second of one core": round(rows_per_driver_s),
            f"rows per second that {_NUM_ENGINES_TO_FEED} engines want": round(
                _ROWS_PER_ENGINE_S * _NUM_ENGINES_TO_FEED
            ),
            "engines that one driver can feed": round(rows_per_driver_s / _ROWS_PER_ENGINE_S),
        },
    }


def write_problems(storage: Storage, num_problems: int) -> None:
    """Questions of a usual length, no two alike."""
    filler = "A farmer has some sheep and sells a few of them every day until the market closes in the evening. " * 2
    rows = []
    for index in range(num_problems):
        key = hashlib.sha256(str(index).encode()).hexdigest()[:16]
        problem = Problem(problem_id=key, dataset="fake", question=f"{filler} ({index})", answer="7")
        rows.append(problem_row(problem, "train"))
    storage.write_parquet(_TABLE, table("problems", rows))


def task() -> GenerationTask:
    return GenerationTask(
        label=1,
        model="fake",
        weights="fake",
        run_seed=1,
        strategies=_STRATEGIES,
        stop=(),
        plan=SamplingPlan(num_samples=2, ramp=(1, 1), keep=1, temperature=0.7, top_p=1.0, max_new_tokens=256),
        program_timeout_s=1.0,
    )


class MemoryWatch:
    """This process's memory, every second."""

    def __init__(self) -> None:
        self._values: list[tuple[int, int]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def quarters(self, *, private: bool = False) -> list[int]:
        """The greatest value in each quarter of the time, in MiB."""
        size = max(1, -(-len(self._values) // 4))
        values = [whole - shared * private for whole, shared in self._values]
        return [max(values[i : i + size]) // 2**20 for i in range(0, len(values), size)]

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._stopped.wait(1.0):
            memory = process.memory_info()
            self._values.append((memory.rss, memory.shared))


if __name__ == "__main__":
    main()
