"""The scoring stages: a model's engines read rows, and what they know of each token is stored.

Engines of a stage are actors of its own: their calls are long, few, and the same whenever they are repeated, so that
Ray's restarts and retries are all that a loss needs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from siked_ray.capacity.await_capacity import Placement
from siked_ray.config import Config
from siked_ray.core.objective import bytes_per_token
from siked_ray.core.prompts import StudentPrompts, TeacherPrompts
from siked_ray.core.reporting import Reporter
from siked_ray.core.stage import StageId
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.engines import EnginePools
from siked_ray.driver.titles import title_of
from siked_ray.errors import StageError
from siked_ray.generation.engine import OpenEngine
from siked_ray.generation.pooled_engine import EngineSpec, PoolSize
from siked_ray.generation.scorer import Scored, Scorer, ScoringTask
from siked_ray.generation.scoring_calls import ScoringCall, calls_of, compacted, scored_ids
from siked_ray.ray_internals import raised_by_task
from siked_ray.recipes.verbs import Model, Scores, Table
from siked_ray.settings import STUDENT
from siked_ray.settings.teacher import TeacherSource
from siked_ray.sources import engines_of

_CALLS_PER_ENGINE = 2
_MAX_RESTARTS = 30
_WAIT_S = 1.0


class Scoring:
    """Scoring for the lab; `tokenizer` cuts texts for a server, `open_engine` replaces vLLM in tests."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        engines: EnginePools,
        board: Reporter,
        placement: Placement,
        *,
        tokenizer: str,
        max_model_len: Mapping[str, int],
        log_dir: str,
        open_engine: OpenEngine | None = None,
    ) -> None:
        self._config = config
        self._storage = storage
        self._engines = engines
        self._board = board
        self._placement = placement
        self._tokenizer = tokenizer
        self._max_model_len = max_model_len
        self._log_dir = log_dir
        self._open_engine = open_engine

    def stage(
        self, stage: StageId, model: Model, rows: Table, top_k: int, known: Sequence[Scores]
    ) -> Mapping[str, Any]:
        """Score the rows that have no scores among the `known`; the metrics of the stage."""
        folder = names.place_of(stage)
        pending = f"{folder}/pending"
        task = self._task(model, rows, pending, top_k)
        self._engines.close()
        self._placement.before_sampling(model.engines)
        scored_before = frozenset().union(*(scored_ids(self._storage, one.folder, "") for one in known))
        calls, title, started = calls_of(self._storage, rows.file), title_of(stage), time.monotonic()
        self._board.begin(title, "calls", len(calls))
        total = Scored()
        for done, one in enumerate(self._run(model, task, calls, scored_before), start=1):
            total += one
            per_s = total.read_tokens / (time.monotonic() - started)
            self._board.advance(title, done, {"tokens": f"{total.tokens:,}", "tokens/s": f"{per_s:,.0f}"})
        num_rows = compacted(self._storage, pending, f"{folder}/{stage.name}-00000.parquet")
        self._board.end(title)
        return {"rows": num_rows, "top_k": top_k, "rejected": total.rejected, **_sizes(total, top_k)}

    def discard(self, folder: str) -> None:
        """Remove the parts of a committed stage."""
        self._storage.delete_folder(f"{folder}/pending")

    def _task(self, model: Model, rows: Table, folder: str, top_k: int) -> ScoringTask:
        config, is_student = self._config, model.engines == STUDENT
        prompts = StudentPrompts if is_student else TeacherPrompts
        return ScoringTask(
            storage=self._storage,
            rows=rows.file,
            problems=names.problems(rows.problem_set),
            folder=folder,
            render=prompts(templates=config.prompts.templates(), strategies=config.strategy_records()),
            top_k=top_k,
            chat=config.chat_of(model.engines),
            trust_remote_code=config.trust_remote_code,
            plain_prompts=not is_student and _continues(config.teacher_parts()[0].source),
            own_texts=is_student,
        )

    def _run(
        self, model: Model, task: ScoringTask, calls: Sequence[ScoringCall], known: frozenset[str]
    ) -> Iterator[Scored]:
        """What calls come back with, as they do."""
        import ray

        engines = engines_of(self._config, model.engines)
        spec, size = engines.scoring(self._max_model_len[model.engines], task.top_k), engines.size()
        actors = [self._actor(model.weights, spec, size, number) for number in range(min(size.max_engines, len(calls)))]
        shared = (ray.put(task), ray.put(known))
        waiting, in_flight = list(reversed(calls)), {}
        try:
            for _ in range(_CALLS_PER_ENGINE):
                for actor in actors:
                    if waiting:
                        in_flight[actor.score.remote(shared[0], waiting.pop(), shared[1])] = actor
            while in_flight:
                done, _ = ray.wait([*in_flight], timeout=_WAIT_S)
                for reference in done:
                    actor = in_flight.pop(reference)
                    if waiting:
                        in_flight[actor.score.remote(shared[0], waiting.pop(), shared[1])] = actor
                    yield _result(reference)
        finally:
            for actor in actors:
                ray.kill(actor)

    def _actor(self, model: str, spec: EngineSpec, size: PoolSize, number: int) -> Any:
        import ray

        actor_class: Any = ray.remote(Scorer).options(
            num_cpus=size.cpus_per_engine,
            num_gpus=size.gpus_per_engine,
            resources=dict(size.resources),
            max_restarts=_MAX_RESTARTS,
            max_task_retries=_MAX_RESTARTS,
            runtime_env={"env_vars": dict(spec.environment)},
        )
        return actor_class.remote(
            self._open_engine or spec.open_engine,
            model,
            f"{self._log_dir}/scoring_{number:02d}.log",
            None if spec.tokenises else self._tokenizer,
        )


def _continues(source: TeacherSource) -> bool:
    """Whether prompts are continued as they are, without a chat template."""
    return source.source == "openai" and source.endpoint.api == "completions"


def _sizes(total: Scored, top_k: int) -> dict[str, Any]:
    """Tokens are those of this session only, when the stage was continued."""
    return {
        "tokens": total.tokens,
        "read_tokens": total.read_tokens,
        "known_share": total.known_tokens / total.tokens if total.tokens else None,
        "bytes_per_token": bytes_per_token(top_k),
    }


def _result(reference: Any) -> Scored:
    import ray

    try:
        scored: Scored = ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = " ".join(str(raised_by_task(error)).split())[:300]
        raise StageError(f"The teacher could not score the rows: {reason}") from error
    return scored
