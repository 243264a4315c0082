"""Evaluation of a cascade of any two models on any problems, outside a run."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siked_ray.capacity.await_capacity import Anywhere
from siked_ray.capacity.engine_specs import engine_spec, pool_size
from siked_ray.config import Config
from siked_ray.data import run_directory as names
from siked_ray.data.model_folder import local_model
from siked_ray.data.problems import load_problems
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.board_client import Board
from siked_ray.driver.engines import EnginePools
from siked_ray.driver.inputs import problem_row
from siked_ray.driver.lab import RayLab
from siked_ray.driver.world_models import resolve_models
from siked_ray.generation.model_facts import ModelFacts, inspect_model
from siked_ray.launch.evaluate_model import engines_on, evaluation_settings, shown_board
from siked_ray.launch.session import Show, connected
from siked_ray.preflight.context import context_length
from siked_ray.preflight.margins import check_margins
from siked_ray.recipes import two_tier
from siked_ray.settings import STUDENT
from siked_ray.sources import further, sampled

_SET = "evaluation"
#: Between the name of a model and the address of its server.
_SERVER = "@http"


@dataclass(frozen=True, kw_only=True, slots=True)
class CascadeOptions:
    """What is asked of whom. A model is a directory, a Hub name, `world:…`, or `NAME@URL` for one behind a server with
    OpenAI's interface `api`. With `few_shot`, a strategy, the large one is asked with its few-shot prompt, as a run's
    teacher is, and else as the student is. `options` are the recipe's (`siked_ray.recipes.two_tier.Settings`)."""

    large: str
    few_shot: str | None
    api: str
    options: Mapping[str, Any]


def evaluate_cascade(
    model: str,
    data: str,
    cascade: CascadeOptions,
    *,
    prompts: str | None,
    limit: int | None,
    max_new_tokens: int | None,
    num_gpus: float,
    trust_remote_code: bool = False,
    show: Show,
) -> dict[str, Any]:
    """The figures of `siked_ray.core.cascade_curve.curve`; UserError for what cannot be used."""
    with tempfile.TemporaryDirectory(prefix="siked-eval-") as folder:
        config = evaluation_settings(
            os.path.expanduser(model.partition(_SERVER)[0]),
            max_new_tokens,
            {},
            run_dir=folder,
            recipe="two_tier",
            data={"train": data},
            trust_remote_code=trust_remote_code,
            engine=engines_on(num_gpus),
            **_models(model, cascade),
            **({"prompts": prompts} if prompts else {}),
        )
        check_margins(config)
        problems = load_problems(data, limit=limit)
        facts = _facts(config)
        questions = [problem.question for problem in problems]
        lengths = {role: context_length(config, role, one, questions) for role, one in facts.items()}
        storage = Storage(folder)
        storage.write_parquet(names.problems(_SET), table("problems", [problem_row(one, "test") for one in problems]))
        with connected(config, f"{folder}/client.log"), shown_board(show) as board:
            return _figures(config, storage, board, {role: one.name for role, one in facts.items()}, lengths)


def _figures(
    config: Config, storage: Storage, board: Board, models: Mapping[str, str], lengths: Mapping[str, int]
) -> dict[str, Any]:
    log_dir = storage.path("logs")
    weights = resolve_models(models, config, board=board, log_dir=log_dir)
    pools = EnginePools(
        board,
        specs={role: engine_spec(config, role, lengths[role]) for role in models},
        sizes={role: pool_size(config, role) for role in models},
        log_dir=log_dir,
        keep_engines_while_training=False,
    )
    lab = RayLab(
        config,
        storage,
        pools,
        board,
        models=weights,
        test_sets=(_SET,),
        log_dir=log_dir,
        placement=Anywhere(),
        max_model_len=lengths,
        on_commit=lambda _: None,
    )
    try:
        answers = two_tier.answered(lab, config, (_SET,))[_SET]
        return dict(two_tier.curve(lab, config, _SET, answers))
    finally:
        lab.close()


def _models(model: str, cascade: CascadeOptions) -> dict[str, Any]:
    """Sections of the settings: the large model is the teacher where it is asked as one."""
    options, further_models = dict(cascade.options), {}
    if _SERVER in model:
        further_models["small"], options["small"] = _source(model, cascade.api), "small"
    large = _source(cascade.large, cascade.api)
    if cascade.few_shot:
        return {"models": further_models, "teacher": large, "options": options | {"strategy": cascade.few_shot}}
    return {"models": further_models | {"large": large}, "options": options | {"large": "large"}}


def _source(model: str, api: str) -> dict[str, Any]:
    name, at, rest = model.partition(_SERVER)
    if at:
        return {"source": "openai", "model": name, "endpoint": {"base_url": f"{at[1:]}{rest}", "api": api}}
    return {"source": "vllm", "model": local_model(os.path.expanduser(model))}


def _facts(config: Config) -> dict[str, ModelFacts]:
    """Of the models that are asked."""
    facts = {source.part.key: source.check(offline_is_fine=False) for source in (*sampled(config), *further(config))}
    if "small" in config.models:
        return facts
    return {STUDENT: inspect_model(local_model(config.student.model), STUDENT, config), **facts}
