"""What can be checked of data, models and contexts before anything expensive starts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.data.loaders.sources import read_table
from siked_ray.data.problems import Exclusion
from siked_ray.driver.branching import find_branch
from siked_ray.driver.demand import STUDENT
from siked_ray.driver.existing import read_rationales
from siked_ray.driver.models import WORLD, ModelFacts, inspect_model, longest_prompt_tokens
from siked_ray.driver.placement import endpoint_options
from siked_ray.driver.problem_sets import check_columns, load_problem_set, load_test_sets, overlaps, split_training
from siked_ray.errors import ConfigError, DataError, ModelError, UnreachableError
from siked_ray.generation.openai_engine import EndpointOptions, check_endpoint
from siked_ray.training.attention import check_can_be_packed
from siked_ray.training.loggers import check_loggers

#: Context of engines for a model that does not say its own.
_DEFAULT_CONTEXT = 4096
#: The longest prompt is measured on the questions with most bytes, which need not be the ones with most tokens.
_LENGTH_SLACK = 1.25


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a run is going to work on. `max_model_len` maps a role to the context its engines are opened with."""

    train: Sequence[Problem]
    validation: Sequence[Problem]
    tests: Mapping[str, Sequence[Problem]]
    excluded: Sequence[Exclusion]
    models: Mapping[str, ModelFacts]
    max_model_len: Mapping[str, int]
    notes: list[str] = field(default_factory=list)


def check(config: Config, *, offline_is_fine: bool = False) -> Checked:
    """Load the problems and look at the models. Raises a UserError that says what to set.

    With `offline_is_fine`, data and models on a Hub that cannot be reached are no error: they stay unknown.
    """
    check_loggers(config.training.loggers)
    models = _models(config, offline_is_fine)
    try:
        problems, tests = load_problem_set(config.data.train, config), load_test_sets(config)
        check_columns(config)
    except UnreachableError as error:
        if not offline_is_fine:
            raise
        _check_what_is_here(config)
        unknown = {role: config.engine_of(role).max_model_len or _DEFAULT_CONTEXT for role in models}
        return Checked(
            train=(), validation=(), tests={}, excluded=(), models=models, max_model_len=unknown, notes=[str(error)]
        )
    train, validation = split_training(problems, config)
    if not train or not validation:
        raise DataError(
            f"{config.data.train} gives {len(train)} training and {len(validation)} held-out problems; both are "
            "needed. Raise data.limit, or change data.validation_fraction."
        )
    for part in config.teacher_parts():
        if not part.source.is_sampled:
            read_rationales(part, config, train)
    _check_row_length(config, models[STUDENT], train)
    questions = [p.question for split in (train, validation, *tests.values()) for p in split]
    return Checked(
        train=train,
        validation=validation,
        tests=tests,
        excluded=[e for one in (problems, *tests.values()) for e in one.excluded],
        models=models,
        max_model_len={role: context_length(config, role, facts, questions) for role, facts in models.items()},
        notes=overlaps(train, validation, tests),
    )


def _check_what_is_here(config: Config) -> None:
    """Where one data set cannot be reached: the others, the rationales, and the run that this one branches from."""
    find_branch(config)
    for name in config.data.test:
        with suppress(UnreachableError):
            load_problem_set(name, config)
    sources = [part.source for part in config.teacher_parts() if not part.source.is_sampled]
    for path in [path for source in sources for path in (source.path, source.socratic_path) if path]:
        with suppress(UnreachableError):
            read_table(path)


def _models(config: Config, offline_is_fine: bool) -> dict[str, ModelFacts]:
    """The student's model and those of the teacher's parts that are sampled, by the part's key."""
    models = {STUDENT: inspect_model(config.student.model, STUDENT, config, offline_is_fine=offline_is_fine)}
    for part in config.teacher_parts():
        name = part.source.model
        if part.source.source == "vllm":
            assert name is not None, "settings with source vllm have a teacher.model"
            models[part.key] = inspect_model(name, part.key, config, offline_is_fine=offline_is_fine)
        elif part.source.source == "openai":
            assert name is not None, "settings with source openai have a teacher.model"
            models[part.key] = _served_model(name, endpoint_options(part.source), offline_is_fine)
    _check_student_can_be_packed(models[STUDENT], config)
    return models


def _check_student_can_be_packed(student: ModelFacts, config: Config) -> None:
    """Raises ModelError for a model that training would refuse; one with code of its own is judged there."""
    if student.known and not student.name.startswith(WORLD):
        from transformers import AutoConfig

        check_can_be_packed(AutoConfig.from_pretrained(student.name, trust_remote_code=config.trust_remote_code))


def _served_model(name: str, endpoint: EndpointOptions, offline_is_fine: bool) -> ModelFacts:
    """A model behind a server; raises ModelError when the server does not serve it."""
    problem = check_endpoint(name, endpoint)
    if problem and not offline_is_fine:
        raise ModelError(problem)
    note = f"behind {endpoint.base_url}" + (f", which is not there yet: {problem}" if problem else "")
    return ModelFacts(name=name, known=False, note=note)


def _check_row_length(config: Config, student: ModelFacts, train: Sequence[Problem]) -> None:
    """A row of training is a prompt, a tag, a rationale and an end; ConfigError where the prompts leave no room."""
    if not student.known:
        return
    shortest, _ = longest_prompt_tokens(student, STUDENT, config, [problem.question for problem in train])
    if shortest >= config.training.max_seq_len:
        raise ConfigError(
            f"training.max_seq_len is {config.training.max_seq_len} tokens, and the student's shortest prompt has "
            f"{shortest} with its tag alone, so that no row of training would fit; raise it."
        )


def context_length(config: Config, role: str, facts: ModelFacts, questions: Sequence[str]) -> int:
    """Context with which a role's engines are opened: as long as needed, at most what the model can do."""
    asked = config.engine_of(role).max_model_len
    if not facts.known:
        return asked or _DEFAULT_CONTEXT
    limit = min(facts.context or asked or _DEFAULT_CONTEXT, asked or 1 << 30)
    new_tokens = config.generation.max_new_tokens
    if role == STUDENT:
        new_tokens = max(new_tokens, config.evaluation.max_new_tokens)
    shortest, longest = longest_prompt_tokens(facts, role, config, questions)
    if shortest + new_tokens > limit:
        raise ConfigError(
            f"The {role} {facts.name} has a context of {limit} tokens, and its shortest prompt ({shortest} tokens) "
            f"with {new_tokens} new tokens does not fit. Lower generation.max_new_tokens and "
            "evaluation.max_new_tokens, shorten the prompts, or take a model with a longer context."
        )
    return min(limit, int(longest * _LENGTH_SLACK) + new_tokens)
