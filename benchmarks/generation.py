"""Sampling side by side with its alternatives: medians of repetitions taken in turns, in one run of this script.

    python benchmarks/generation.py STUDENT [--problems N] [--repetitions N] [--only PART …] [--job FILE] [KEY=VALUE …]

STUDENT is a student of the demo (RUN/students/iteration_NN), or one that fits the job's problems and prompts. Both
sides use one engine of the same settings.

1. `keep: all` through Ray, verified and written, against bare `vllm.LLM.generate` of the same prompts and seeds.
2. First-correct sampling against all K samples: the kept rows have to be the same; generated tokens side by side.
3. First-correct sampling against the published scripts' way, each prompt in ten copies and four of them at a time:
   accepted rationales per second.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from siked_ray.capacity.engine_specs import engine_spec, pool_size
from siked_ray.config import Config, load_config
from siked_ray.core.asks import Asks
from siked_ray.core.prompts import StudentPrompts
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.verdict import Verdict
from siked_ray.data.problems import load_problems
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.inputs import problem_row
from siked_ray.generation.batch_sampler import BatchSampler
from siked_ray.generation.calls import RowsToDo
from siked_ray.generation.dispatch import Dispatch
from siked_ray.generation.durable import compact
from siked_ray.generation.engine import Prompt, Sample, SamplingParameters
from siked_ray.generation.engines.vllm_options import engine_arguments
from siked_ray.generation.pool import EnginePool
from siked_ray.generation.rendering import Tokenising, render_rows, request_blocks
from siked_ray.generation.requests import lay_out, missing_requests
from siked_ray.generation.task import GenerationTask, RowSink
from siked_ray.settings import STUDENT
from siked_ray.verification import Verifier

_TABLE = "problems/train.parquet"
_PARTS = ("keep_all", "first_correct", "reference")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("student")
    arguments.add_argument("--problems", type=int, default=128)
    arguments.add_argument("--repetitions", type=int, default=3)
    arguments.add_argument("--only", nargs="+", default=_PARTS, choices=_PARTS)
    arguments.add_argument("--job", default="jobs/demo.yaml")
    arguments.add_argument("--context", type=int, default=256, metavar="TOKENS", help="of the engines")
    options, overrides = arguments.parse_known_args()
    config = load_config(options.job, ["engine.num_engines=1", "generation.num_samples=10", *overrides])
    with tempfile.TemporaryDirectory() as folder:
        benchmark = Benchmark(
            config, options.student, options.problems, options.repetitions, options.context, Path(folder)
        )
        results = benchmark.run(options.only)
    print(json.dumps(results, indent=2))


class Benchmark:
    """One warm engine in a generator actor, one bare engine in this process."""

    def __init__(
        self, config: Config, student: str, num_problems: int, repetitions: int, context: int, folder: Path
    ) -> None:
        self.config, self.student, self.repetitions, self.folder = config, student, repetitions, folder
        self.problems = list(load_problems(config.data.train, limit=num_problems))
        self.spec = engine_spec(config, STUDENT, context)
        self.num_runs = 0
        self.prompts = StudentPrompts(templates=config.prompts.templates(), strategies=config.strategy_records())

    def run(self, parts: Sequence[str]) -> dict[str, Any]:
        import ray

        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        self.bare = self._bare_engine()
        self.pool = EnginePool(
            self.student, self.spec, pool_size(self.config, STUDENT), name="student", log_dir=str(self.folder)
        )
        self.pool.wait_ready()
        self.verifier = Verifier(self.config.strategy_records())
        self._ours(keep=1)  # both warm
        self._generate(self._requests()[:64])
        measures = {"keep_all": self._keep_all, "first_correct": self._first_correct, "reference": self._reference}
        results = {part: measures[part]() for part in parts}
        self.pool.close()
        return results

    def _keep_all(self) -> dict[str, Any]:
        rates = in_turns(self.repetitions, ours=lambda: self._ours(keep=None), bare=self._bare_keep_all)
        return rates | {"ratio": ratio(rates["ours"], rates["bare"])}

    def _first_correct(self) -> dict[str, Any]:
        figures = {}
        for name, keep in (("all", None), ("first", 1)):
            started = time.perf_counter()
            self._ours(keep=keep)
            seconds = time.perf_counter() - started
            rollouts = self.storage.read_parquet(self.files).to_pylist()
            figures[name] = {
                "kept": first_correct(rollouts),
                "tokens": sum(one["num_tokens"] for one in rollouts),
                "seconds": round(seconds, 1),
            }
        everything, first = figures["all"], figures["first"]
        rows = len(self.problems) * len(self.config.strategies)
        return {
            "rows": rows,
            "solved": len(everything["kept"]) / rows,
            "same kept rows": first.pop("kept") == everything.pop("kept"),
            "all": everything,
            "first": first,
            "token ratio": first["tokens"] / everything["tokens"],
        }

    def _reference(self) -> dict[str, Any]:
        rates = in_turns(self.repetitions, ours=self._ours_accepted, reference=self._reference_accepted)
        return rates | {"ratio": ratio(rates["ours"], rates["reference"])}

    # Each of these returns a rate: tokens per second, or accepted rationales per second.

    def _ours(self, keep: int | None) -> float:
        rollouts, seconds = self._sample(keep)
        return sum(one["num_tokens"] for one in rollouts) / seconds

    def _ours_accepted(self) -> float:
        rollouts, seconds = self._sample(1)
        return len(first_correct(rollouts)) / seconds

    def _bare_keep_all(self) -> float:
        started = time.perf_counter()
        outputs = self._generate(self._requests())
        return sum(len(one.outputs[0].token_ids) for one in outputs) / (time.perf_counter() - started)

    def _reference_accepted(self) -> float:
        """Each prompt in ten copies, four of them at a time; an eighth of the rows is enough to know the rate."""
        requests = self._requests()
        num_samples = self.config.generation.num_samples
        requests = requests[: len(requests) // 8 // num_samples * num_samples]
        accepted: set[tuple[str, str]] = set()
        started = time.perf_counter()
        for first in range(0, len(requests), 4):
            batch = requests[first : first + 4]
            for request, output in zip(batch, self._generate(batch), strict=True):
                judgement = self.verifier.judge(request["requested"], output.outputs[0].text, request["answer"])
                if judgement.verdict is Verdict.CORRECT and output.outputs[0].finish_reason != "length":
                    accepted.add((request["problem_id"], request["requested"]))
        return len(accepted) / (time.perf_counter() - started)

    def _sample(self, keep: int | None) -> tuple[list[dict[str, Any]], float]:
        """One stage in a folder of its own; the seconds are those of sampling, verifying and writing."""
        self.num_runs += 1
        self.storage = Storage(str(self.folder / str(self.num_runs)))
        self.storage.write_parquet(_TABLE, table("problems", [problem_row(one, "train") for one in self.problems]))
        sink = RowSink(storage=self.storage, folder="rollouts", stage="rollouts")
        asks = Asks(problems=(_TABLE,), requested=tuple(self.config.strategies), render=self.prompts)
        blocks, num_rows = missing_requests(self.storage, asks, set())
        task = self._task(replace(self.config.generation.plan(), keep=keep))
        started = time.perf_counter()
        log_path = str(self.folder / "prompts.log")
        tokenising = Tokenising(model=self.student, trust_remote_code=False, log_path=log_path)
        requests = request_blocks(self.storage, asks, blocks, tokenising)
        Dispatch(self.pool, task, sink, RowsToDo(requests, num_rows)).run()
        seconds = time.perf_counter() - started
        self.files = compact(sink)
        return self.storage.read_parquet(self.files).to_pylist(), seconds

    def _task(self, plan: SamplingPlan) -> GenerationTask:
        return GenerationTask(
            label=1,
            model="student",
            weights=self.student,
            run_seed=self.config.seed,
            strategies=self.config.strategy_records(),
            stop=(),
            plan=plan,
            program_timeout_s=1.0,
        )

    def _bare_engine(self) -> Any:
        os.environ.update(self.spec.environment)
        from vllm import LLM

        options = self.spec.open_engine.keywords["options"]  # type: ignore[attr-defined]
        return LLM(**engine_arguments(self.student, options))

    def _requests(self) -> list[dict[str, Any]]:
        """The prompts and seeds of all samples, as our own sampler makes them."""
        recorder, tokenizer = Recorder(), self.bare.get_tokenizer()
        plan = replace(self.config.generation.plan(), keep=None)
        sampler = BatchSampler(self._task(plan), recorder, self.verifier, ThreadPoolExecutor(1))
        asks = Asks(problems=(_TABLE,), requested=tuple(self.config.strategies), render=self.prompts)
        blocks, _ = missing_requests(self.storage, asks, set())
        for block in blocks:
            for row in render_rows(lay_out(self.storage, asks, block), self.prompts, tokenizer).to_pylist():
                recorder.row = row
                list(sampler.run([row]))
        return recorder.requests

    def _generate(self, requests: list[dict[str, Any]]) -> list[Any]:
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                temperature=one["temperature"],
                top_p=one["top_p"],
                seed=one["seed"],
                max_tokens=one["max_new_tokens"],
                stop_token_ids=[self.bare.get_tokenizer().eos_token_id],
            )
            for one in requests
        ]
        prompts = [{"prompt_token_ids": one["token_ids"]} for one in requests]
        return self.bare.generate(prompts, parameters, use_tqdm=False)


class Recorder:
    """Stands where an engine and a verifier stand and writes down what the engine is asked for."""

    name, max_model_len, busy_s = "", None, 0.0

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.row: dict[str, Any] = {}

    def forget(self, prompt: Prompt) -> None: ...

    def submit(self, prompt: Prompt, parameters: SamplingParameters) -> Future[Sample]:
        self.requests.append(self.row | asdict(parameters))
        future: Future[Sample] = Future()
        future.set_result(Sample(text="", num_prompt_tokens=0, num_tokens=0, finished=False))
        return future


def first_correct(rollouts: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """What the method keeps: per (problem, strategy) the correct sample of the lowest index."""
    ordered = sorted(rollouts, key=lambda one: one["sample_index"], reverse=True)
    return {
        (one["problem_id"], one["strategy"]): one["request_id"] for one in ordered if one["verdict"] == Verdict.CORRECT
    }


def in_turns(repetitions: int, **measures: Callable[[], float]) -> dict[str, Any]:
    """Each measure in turn, repeated: all values of each."""
    values: dict[str, Any] = {name: [] for name in measures}
    for _ in range(repetitions):
        for name, measure in measures.items():
            values[name].append(round(measure(), 2))
    return values


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median, least and greatest of the pairs' ratios."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"median": round(statistics.median(pairs), 3), "min": round(min(pairs), 3), "max": round(max(pairs), 3)}


if __name__ == "__main__":
    main()
