"""What can be checked of data, models and contexts before anything expensive starts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.data.loaders.sources import read_table
from siked_ray.data.problems import Exclusion
from siked_ray.errors import ConfigError, DataError, UnreachableError
from siked_ray.generation.model_facts import WORLD, ModelFacts, inspect_model
from siked_ray.preflight.branch import find_branch
from siked_ray.preflight.contamination_gate import pass_gate
from siked_ray.preflight.context import DEFAULT_CONTEXT, check_row_length, context_length
from siked_ray.preflight.margins import check_margins
from siked_ray.preflight.problem_sets import (
    check_columns,
    has_stored_splits,
    load_problem_set,
    load_test_sets,
    load_training_set,
    split_training,
)
from siked_ray.preflight.same_tokenizer import check_same_tokens
from siked_ray.preflight.view_checks import check_sources, check_templates
from siked_ray.settings import STUDENT, TEACHER
from siked_ray.sources import further, sampled, written
from siked_ray.sources.existing import read_rationales
from siked_ray.training.compute.attention import check_can_be_packed
from siked_ray.training.stage.loggers import check_loggers


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a run is going to work on. `max_model_len` maps a role to the context its engines are opened with;
    `contamination` is what test sets have of it (`preflight/contamination_gate.py`)."""

    train: Sequence[Problem]
    validation: Sequence[Problem]
    tests: Mapping[str, Sequence[Problem]]
    excluded: Sequence[Exclusion]
    models: Mapping[str, ModelFacts]
    max_model_len: Mapping[str, int]
    contamination: Mapping[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def check(config: Config, *, offline_is_fine: bool = False) -> Checked:
    """Load the problems and look at the models. Raises a UserError that says what to set.

    With `offline_is_fine`, data and models on a Hub that cannot be reached are no error: they stay unknown.
    """
    check_loggers(config.training.loggers)
    _check_base_precision(config)
    notes = check_templates(config)
    models = _models(config, offline_is_fine)
    check_margins(config, offline_is_fine=offline_is_fine)
    notes += check_same_tokens(config, models[STUDENT], models.get(TEACHER), offline_is_fine=offline_is_fine)
    try:
        problems, tests = load_training_set(config), load_test_sets(config)
        check_columns(config)
    except UnreachableError as error:
        if not offline_is_fine:
            raise
        _check_what_is_here(config)
        unknown = {role: config.engine_of(role).max_model_len or DEFAULT_CONTEXT for role in models}
        notes.append(str(error))
        return Checked(
            train=(), validation=(), tests={}, excluded=(), models=models, max_model_len=unknown, notes=notes
        )
    train, validation = split_training(problems, config)
    gate = pass_gate(config, train, validation, tests, is_settled=has_stored_splits(config))
    if gate.excluded:
        train, validation = split_training(gate.passed(problems), config)
    if not train or not validation:
        without = f", without {len(gate.excluded)} that are in test sets (data.contamination)" if gate.excluded else ""
        raise DataError(
            f"{config.data.train_shown} gives {len(train)} training and {len(validation)} held-out problems{without}; "
            "both are needed. Raise data.limit, or change data.validation_fraction."
        )
    check_sources(config)
    for source in written(config):
        read_rationales(source, train)
    check_row_length(config, models[STUDENT], train)
    questions = [p.question for split in (train, validation, *tests.values()) for p in split]
    return Checked(
        train=train,
        validation=validation,
        tests=tests,
        excluded=[*gate.excluded, *(e for one in (problems, *tests.values()) for e in one.excluded)],
        models=models,
        max_model_len={role: context_length(config, role, facts, questions) for role, facts in models.items()},
        contamination=gate.record,
        notes=[*notes, *gate.notes],
    )


def _check_base_precision(config: Config) -> None:
    training = config.training
    if training.base_precision is None:
        return
    if not training.gpus_per_worker:
        raise ConfigError(
            f"training.base_precision: {training.base_precision} is for GPUs, and training workers have none; set "
            "training.gpus_per_worker to 1, or leave training.base_precision out."
        )
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"training.base_precision: {training.base_precision} needs the package bitsandbytes; install "
            "siked-ray[qlora] on all nodes, or leave training.base_precision out."
        )


def _check_what_is_here(config: Config) -> None:
    """Where one data set cannot be reached: the others, the rationales, and the run that this one branches from."""
    find_branch(config)
    for name in config.data.test:
        with suppress(UnreachableError):
            load_problem_set(name, config)
    for path in [path for source in written(config) for path in source.files]:
        with suppress(UnreachableError):
            read_table(path)


def _models(config: Config, offline_is_fine: bool) -> dict[str, ModelFacts]:
    """The student's model, those of the teacher's parts that are sampled by the part's key, and further ones."""
    models = {STUDENT: inspect_model(config.student.model, STUDENT, config, offline_is_fine=offline_is_fine)}
    others = (*sampled(config), *further(config))
    models |= {source.part.key: source.check(offline_is_fine=offline_is_fine) for source in others}
    _check_student_can_be_packed(models[STUDENT], config)
    return models


def _check_student_can_be_packed(student: ModelFacts, config: Config) -> None:
    """Raises ModelError for a model that training would refuse; one with code of its own is judged there."""
    if student.known and not student.name.startswith(WORLD):
        from transformers import AutoConfig

        check_can_be_packed(AutoConfig.from_pretrained(student.folder, trust_remote_code=config.trust_remote_code))
