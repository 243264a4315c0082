"""Evaluation of any student directory on any problems, outside a run."""

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from siked_ray.capacity.await_capacity import Anywhere
from siked_ray.capacity.engine_specs import engine_spec, pool_size
from siked_ray.config import Config, load_values
from siked_ray.core.stage import Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.data.model_folder import local_model
from siked_ray.data.problems import load_problems
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.board import ProgressBoard
from siked_ray.driver.board_client import Board
from siked_ray.driver.engines import EnginePools
from siked_ray.driver.inputs import problem_row
from siked_ray.driver.measuring import dataset_figures, free_completions, read_outcomes, sampled_figures
from siked_ray.driver.sampling import Sampling
from siked_ray.driver.world_models import resolve_models
from siked_ray.errors import UserError
from siked_ray.evaluation.harness import harness_figures
from siked_ray.generation.model_facts import inspect_model
from siked_ray.launch.session import Show, connected
from siked_ray.preflight.context import context_length
from siked_ray.report.what_if import read_config
from siked_ray.settings import STUDENT

_REFRESH_S = 0.5
_MAX_NEW_TOKENS = 1024


def evaluate_model(
    model: str,
    data: str,
    *,
    prompts: str | None,
    limit: int | None,
    max_new_tokens: int | None,
    num_gpus: float,
    trust_remote_code: bool = False,
    samples: Mapping[str, Any] | None = None,
    level_column: str | None = None,
    show: Show,
) -> dict[str, Any]:
    """The metrics of `siked_ray.evaluation.DatasetMetrics` as a mapping, with "levels" and "samples" where there are
    some, and "harness" where golds are numbers; UserError for what cannot be used. `samples` are the settings
    `evaluation.samples` and their like.

    Prompts, strategies and the like are those of the run in which the student lies, unless `prompts` names others.
    """
    model = os.path.expanduser(model)
    with tempfile.TemporaryDirectory(prefix="siked-eval-") as folder:
        config = evaluation_settings(
            model,
            max_new_tokens,
            samples or {},
            run_dir=folder,
            data={"train": data},
            trust_remote_code=trust_remote_code,
            engine=engines_on(num_gpus),
            **({"prompts": prompts} if prompts else {}),
        )
        problems = load_problems(data, limit=limit, level_column=level_column)
        model = local_model(model)
        facts = inspect_model(model, "student", config)
        max_model_len = context_length(config, "student", facts, [problem.question for problem in problems])
        storage = Storage(folder)
        storage.write_parquet(
            names.problems("evaluation"), table("problems", [problem_row(p, "test") for p in problems])
        )
        log_dir = f"{folder}/logs"
        with connected(config, f"{folder}/client.log"), shown_board(show) as board:
            weights = resolve_models({STUDENT: model}, config, board=board, log_dir=log_dir)[STUDENT]
            generating = EnginePools(
                board,
                specs={STUDENT: engine_spec(config, STUDENT, max_model_len)},
                sizes={STUDENT: pool_size(config, STUDENT)},
                log_dir=log_dir,
                keep_engines_while_training=False,
            )
            sampling = Sampling(config, storage, generating, board, models={}, placement=Anywhere())
            stage = StageId.of_iteration(Kind.ANSWERS, 0)
            try:
                sampling.answers(stage, weights, ["evaluation"], f"evaluation on {data}")
            finally:
                generating.close()
        outcomes, drawn = (read_outcomes(storage, names.place_of(one)) for one in (stage, stage.of_samples()))
        completions = free_completions(storage, names.place_of(stage))
    levels = {problem.problem_id: problem.level for problem in problems}
    figures = dataset_figures(levels, outcomes, config.strategies)
    figures |= harness_figures(completions, {problem.problem_id: problem.answer for problem in problems})
    return figures | (sampled_figures(list(levels), drawn, config.evaluation) if samples else {})


def evaluation_settings(model: str, max_new_tokens: int | None, samples: Mapping[str, Any], **values: Any) -> Config:
    """Settings for an evaluation alone: `values`, then those of the run that the model lies in, else the defaults.

    Whether code of the model may run is no matter of the folder in which it is found.
    """
    own = _config_of_run(model)
    num_tokens = max_new_tokens or (own.evaluation.max_new_tokens if own else _MAX_NEW_TOKENS)
    values |= {
        "teacher": values.get("teacher", {"source": "annotations"}),
        "student": (own.student.model_dump() if own else {}) | {"model": model},
        "generation": {"max_new_tokens": num_tokens},
        "evaluation": {"max_new_tokens": num_tokens, **samples},
    }
    if own:
        values = {"prompts": own.prompts.model_dump(), "strategies": own.strategies} | values
        values["generation"]["program_timeout_s"] = own.generation.program_timeout_s
        values["engine"] = {"dtype": own.engine.dtype} | values["engine"]
    return load_values(values, base=Path(), shown="these settings")


def _config_of_run(model: str) -> Config | None:
    """The settings of the run in whose `students` a model lies."""
    if "://" in model:
        run = Storage(model.rstrip("/").rpartition("/")[0].rpartition("/")[0])
    elif Path(model).is_dir():
        run = Storage(str(Path(model).resolve().parent.parent))
    else:
        return None
    return read_config(run) if run.exists(names.CONFIG) else None


def engines_on(num_gpus: float) -> dict[str, Any]:
    if num_gpus <= 1:
        return {"gpus_per_engine": num_gpus}
    if not num_gpus.is_integer():
        raise UserError(f"--gpus {num_gpus:g}: give a whole number of GPUs, for an engine each, or a share of one.")
    return {"gpus_per_engine": 1.0, "num_engines": int(num_gpus)}


@contextmanager
def shown_board(show: Show) -> Iterator[Board]:
    """A progress board that is shown while the body runs."""
    import ray

    actor: Any = ray.remote(ProgressBoard)
    board = Board(actor.options(num_cpus=0).remote())
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(_REFRESH_S):
            show(board.snapshot())

    thread = threading.Thread(target=watch, name="show-progress", daemon=True)
    thread.start()
    try:
        yield board
    finally:
        stopped.set()
        thread.join()
        show(board.snapshot())
