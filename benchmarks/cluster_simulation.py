"""How far does one driver carry? Real driver-side code and real generator actors on logical nodes, with fake engines.

    python benchmarks/cluster_simulation.py [--nodes 16] [--engines-per-node 4] [--seconds 60] [--speed 2000] [--lose 0]

Each engine decodes `--speed` tokens/s over at most `--slots` sequences; what it answers is a function of the request.
Everything else is what a run uses: request stream, pool, dispatch, verifier, durable rows. The rows are as many as the
engines need for `--seconds`. Part of the nodes is killed half-way when `--lose` is above 0. Prints JSON:

- `busy_share`: tokens decoded of those the engines could have, between one and three quarters of the work
- `driver_cpu_share`: CPU of this process, of one core; `driver_rss_mib`: its memory at a quarter, a half and the end
- `first_row_s`: from the first request handed out to the first durable row

`--speed 0` answers at once: rows/s is then what the driver and the file system carry, the figure behind what is said of
1,000 nodes in docs/cluster.md. Needs about 150 MiB per engine and 250 MiB per node.
"""

import argparse
import functools
import hashlib
import heapq
import json
import os
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from siked_ray.config import Config, load_config
from siked_ray.core.asks import Asks, Rendered
from siked_ray.core.problem import Problem
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.inputs import problem_row
from siked_ray.generation.calls import RowsToDo
from siked_ray.generation.dispatch import Dispatch
from siked_ray.generation.durable import finished_rows
from siked_ray.generation.engine import Prompt, Sample, SamplingParameters
from siked_ray.generation.pool import EnginePool, EngineSpec, PoolSize
from siked_ray.generation.rendering import request_blocks
from siked_ray.generation.requests import missing_requests
from siked_ray.generation.task import GenerationTask, RowSink

_SHARE_CORRECT = 0.5
_TOKENS = 200
_MIB = 1 << 20


class FakeEngine:
    """Decodes `speed` tokens/s, shared by at most `slots` sequences that run at once; speed 0 answers at once."""

    name = "fake"
    max_model_len: int | None = None

    def __init__(self, model: str, speed: float, slots: int) -> None:
        self.busy_s = 0.0
        self._seconds = _TOKENS * slots / speed if speed else 0.0
        self._slots = slots
        self._waiting: list[tuple[str, int, Future[Sample]]] = []
        self._running: list[tuple[float, int, str, int, Future[Sample]]] = []
        self._count = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="fake-steps", daemon=True).start()

    def submit(self, prompt: Prompt, parameters: SamplingParameters) -> Future[Sample]:
        future: Future[Sample] = Future()
        with self._changed:
            self._waiting.append((prompt.text, parameters.seed, future))
            self._changed.notify()
        return future

    def forget(self, prompt: Prompt) -> None: ...

    def load_weights(self, model: str) -> None: ...

    def close(self) -> None: ...

    def _run(self) -> None:
        """Sequences take a slot for the time their tokens need. `busy_s` is slot seconds over slots: full use is 1."""
        while True:
            with self._changed:
                while not self._waiting and not self._running:
                    self._changed.wait()
                now = time.monotonic()
                while self._waiting and len(self._running) < self._slots:
                    self._count += 1
                    heapq.heappush(self._running, (now + self._seconds, self._count, *self._waiting.pop(0)))
                ends = self._running[0][0]
                if ends > now:
                    self._changed.wait(ends - now)
                    continue
                _, _, prompt, seed, future = heapq.heappop(self._running)
                self.busy_s += self._seconds / self._slots
            future.set_result(_answer(prompt, seed))


def _answer(prompt: str, seed: int) -> Sample:
    first, second = re.findall(r"What is (\d+) plus (\d+)", prompt)[-1]
    solved = hashlib.sha256(f"{prompt}{seed}".encode()).digest()[0] / 256 < _SHARE_CORRECT
    total = int(first) + int(second) + (0 if solved else 1)
    return Sample(text=f" It is so. The answer is {total}.", num_prompt_tokens=50, num_tokens=_TOKENS, finished=True)


@dataclass(slots=True)
class Watch:
    """What was seen of the driver and the engines, sample by sample."""

    times: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    first_row_s: float | None = None

    def between(self, low: float, high: float) -> tuple[int, int]:
        """Indices of the samples at which these shares of all rows were done."""
        wanted = [share * self.rows[-1] for share in (low, high)]
        first, last = (next(i for i, rows in enumerate(self.rows) if rows >= one) for one in wanted)
        return first, max(last, first + 1)


@contextmanager
def watched(pool: EnginePool, pending: Path) -> Iterator[Watch]:
    """Look at pool and process twice a second while the body runs."""
    watch, stopped, started = Watch(), threading.Event(), time.monotonic()

    def look() -> None:
        stats = pool.stats()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        watch.times.append(time.monotonic() - started)
        watch.rows.append(sum(stats.rows.values()))
        watch.busy_s.append(stats.busy_s)
        watch.cpu_s.append(usage.ru_utime + usage.ru_stime)
        watch.rss_mib.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / _MIB)

    def run() -> None:
        while not stopped.wait(0.5):
            if watch.first_row_s is None and any(pending.glob("*.parquet")):
                watch.first_row_s = time.monotonic() - started
            look()

    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stopped.set()
        thread.join()
        look()


def simulate(options: argparse.Namespace, nodes: Any, folder: str) -> dict[str, Any]:
    """One stage on the cluster; `nodes` can lose some of its workers."""
    num_engines = options.nodes * options.engines_per_node
    per_row = _TOKENS / _SHARE_CORRECT
    num_rows = int(options.seconds * num_engines * options.speed / per_row) if options.speed else options.rows
    storage = Storage(folder)
    config = load_config(Path(__file__).parents[1] / "jobs" / "smoke.yaml")
    storage.write_parquet("problems.parquet", table("problems", [_problem(index) for index in range(num_rows)]))
    sink = RowSink(storage=storage, folder="rollouts", stage="rollouts_01")
    spec = EngineSpec(
        open_engine=functools.partial(FakeEngine, speed=options.speed, slots=options.slots),
        environment={},
        samples_in_flight=2 * options.slots,
        tokenises=False,
    )
    size = PoolSize(
        min_engines=num_engines,
        max_engines=num_engines,
        cpus_per_engine=1.0,
        gpus_per_engine=0.0,
        resources={},
        start_timeout_s=600.0,
    )
    pool = EnginePool("model", spec, size, name="fake", log_dir=f"{folder}/logs")
    _wait_for_all(pool, num_engines)
    asks = Asks(problems=("problems.parquet",), requested=("cot",), render=PlainPrompts())
    blocks, _ = missing_requests(storage, asks, set())
    task = _task(config)
    dispatch = Dispatch(pool, task, sink, RowsToDo(request_blocks(storage, asks, blocks, None), num_rows))
    started = time.monotonic()
    with watched(pool, Path(folder) / "rollouts" / "pending") as watch:
        thread = threading.Thread(target=dispatch.run, name="dispatch")
        thread.start()
        lost = _lose(nodes, options, thread)
        thread.join()
    seconds = time.monotonic() - started
    num_durable = len(finished_rows(sink))
    pool.close()
    assert num_durable == num_rows, f"{num_durable} of {num_rows} rows are durable"
    return {
        "engines": num_engines,
        "rows": num_rows,
        "nodes_lost": lost,
        "engines_lost": dispatch.num_losses,
    } | _figures(watch, num_engines, num_rows, seconds)


def _figures(watch: Watch, num_engines: int, num_rows: int, seconds: float) -> dict[str, Any]:
    first, last = watch.between(0.25, 0.75)
    span = watch.times[last] - watch.times[first]
    quarter, half = (watch.between(share, 1.0)[0] for share in (0.25, 0.5))
    return {
        "seconds": round(seconds, 1),
        "rows_per_s": round(num_rows / seconds, 1),
        "busy_share": round((watch.busy_s[last] - watch.busy_s[first]) / (span * num_engines), 3),
        "driver_cpu_share": round((watch.cpu_s[last] - watch.cpu_s[first]) / span, 3),
        "driver_rss_mib": [round(watch.rss_mib[i]) for i in (quarter, half, -1)],
        "first_row_s": watch.first_row_s and round(watch.first_row_s, 1),
    }


def _wait_for_all(pool: EnginePool, num_engines: int) -> None:
    started = time.monotonic()
    pool.wait_ready()
    while pool.opening:
        pool.tend(0)
        time.sleep(0.2)
    print(f"{num_engines} engines up after {time.monotonic() - started:.0f} s", file=sys.stderr)


def _lose(nodes: Any, options: argparse.Namespace, thread: threading.Thread) -> int:
    """Kill a share of the nodes half-way; from the main thread, as Ray's test cluster asks for."""
    num_lost = round(options.lose * options.nodes)
    thread.join(timeout=options.seconds / 2)
    for _ in range(num_lost):
        nodes.kill(nodes.workers[-1])
    return num_lost


def _problem(index: int) -> dict[str, str]:
    question, answer = f"What is {index} plus {index + 1}?", str(2 * index + 1)
    return problem_row(Problem(problem_id=f"p{index:07d}", dataset="sums", question=question, answer=answer), "train")


class PlainPrompts:
    """The question alone, as a server takes it."""

    stop = ()

    def __call__(self, question: str, requested: str, context: str | None) -> Rendered:
        return Rendered(prompt=f"{question}\n[{requested}]:")


def _task(config: Config) -> GenerationTask:
    return GenerationTask(
        label=1,
        model="student",
        weights="model",
        run_seed=42,
        strategies=tuple(one for one in config.strategy_records() if one.name == "cot"),
        stop=(),
        plan=SamplingPlan(
            num_samples=10, ramp=(1, 1, 2, 3, 3), keep=1, temperature=0.7, top_p=0.95, max_new_tokens=512
        ),
        program_timeout_s=1.0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--engines-per-node", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=2000.0, help="tokens/s of an engine; 0: at once")
    parser.add_argument("--slots", type=int, default=16, help="sequences that an engine decodes at once")
    parser.add_argument("--rows", type=int, default=50_000, help="rows with --speed 0")
    parser.add_argument("--lose", type=float, default=0.0, help="share of the nodes that is killed half-way")
    options = parser.parse_args()
    os.environ.pop("RAY_ADDRESS", None)
    import ray

    from tests.cluster.conftest import started_cluster

    with (
        tempfile.TemporaryDirectory(prefix="siked-sim-") as folder,
        started_cluster(options.nodes, num_cpus=options.engines_per_node) as nodes,
    ):
        ray.init(log_to_driver=False, logging_level="ERROR")
        print(json.dumps(simulate(options, nodes, folder)))


if __name__ == "__main__":
    main()
