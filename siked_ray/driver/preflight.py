"""Everything that can be checked before anything expensive starts: data, models, contexts, the run directory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from siked_ray.config import Config, differing_keys, read_resolved
from siked_ray.core.problem import Problem, Split
from siked_ray.data import run_directory as names
from siked_ray.data.problems import Exclusion, ProblemSet, load_problems, split_problems
from siked_ray.data.storage import Storage
from siked_ray.driver.branching import find_branch, stored_splits
from siked_ray.driver.demand import STUDENT
from siked_ray.driver.existing import read_rationales
from siked_ray.driver.models import ModelFacts, inspect_model, longest_prompt_tokens
from siked_ray.driver.placement import endpoint_options
from siked_ray.errors import ConfigError, DataError, ModelError, UnreachableError
from siked_ray.generation.openai_engine import EndpointOptions, check_endpoint
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


def check_run_directory(config: Config, storage: Storage) -> str:
    """ "new", "started" or "finished"; raises ConfigError when the directory belongs to a run with other settings."""
    if not storage.exists(names.CONFIG):
        return "new"
    differences = differing_keys(read_resolved(storage.read_text(names.CONFIG), storage.path(names.CONFIG)), config)
    if differences:
        raise ConfigError(
            f"{storage.root} holds a run with other settings ({'; '.join(differences[:8])}). "
            "Set run_dir to another directory, or go back to its settings."
        )
    finished = storage.exists(names.SUMMARY) and storage.read_json(names.SUMMARY)["status"] == "finished"
    return "finished" if finished else "started"


def check(config: Config, *, offline_is_fine: bool = False) -> Checked:
    """Load the problems and look at the models. Raises a UserError that says what to set.

    With `offline_is_fine`, data and models on a Hub that cannot be reached are no error: they stay unknown.
    """
    check_loggers(config.training.loggers)
    models = _models(config, offline_is_fine)
    try:
        problems, tests = _load(config.data.train, config), _test_sets(config)
    except UnreachableError as error:
        if not offline_is_fine:
            raise
        unknown = {role: config.engine_of(role).max_model_len or _DEFAULT_CONTEXT for role in models}
        return Checked(
            train=(), validation=(), tests={}, excluded=(), models=models, max_model_len=unknown, notes=[str(error)]
        )
    train, validation = _split(problems, config)
    if not train or not validation:
        raise DataError(
            f"{config.data.train} gives {len(train)} training and {len(validation)} held-out problems; both are "
            "needed. Raise data.limit, or change data.validation_fraction."
        )
    for part in config.teacher_parts():
        if not part.source.is_sampled:
            read_rationales(part, config, train)
    questions = [p.question for split in (train, validation, *tests.values()) for p in split]
    return Checked(
        train=train,
        validation=validation,
        tests=tests,
        excluded=[e for one in (problems, *tests.values()) for e in one.excluded],
        models=models,
        max_model_len={role: context_length(config, role, facts, questions) for role, facts in models.items()},
        notes=_overlaps(train, tests),
    )


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
    return models


def _served_model(name: str, endpoint: EndpointOptions, offline_is_fine: bool) -> ModelFacts:
    """A model behind a server; raises ModelError when the server does not serve it."""
    problem = check_endpoint(name, endpoint)
    if problem and not offline_is_fine:
        raise ModelError(problem)
    note = f"behind {endpoint.base_url}" + (f", which is not there yet: {problem}" if problem else "")
    return ModelFacts(name=name, known=False, note=note)


def _split(problems: ProblemSet, config: Config) -> tuple[Sequence[Problem], Sequence[Problem]]:
    """Training and held-out problems; those of the run that this one branches from, whatever the seed."""
    own = Storage(config.run_dir)
    if config.start_from and own.exists(names.CONFIG):
        return stored_splits(own)
    branch = find_branch(config)
    if branch is not None:
        return stored_splits(branch.origin)
    return split_problems(problems, validation_fraction=config.data.validation_fraction, seed=config.seed)


def _load(name: str, config: Config) -> ProblemSet:
    data = config.data
    return load_problems(name, limit=data.limit, question_column=data.question_column, answer_column=data.answer_column)


def _test_sets(config: Config) -> dict[str, ProblemSet]:
    """Test sets by the name of their data set; a second one of the same name gets a number."""
    tests: dict[str, ProblemSet] = {}
    for name in config.data.test:
        problems = _load(name, config)
        same = sum(key.partition("#")[0] == problems.dataset for key in tests)
        tests[f"{problems.dataset}#{same + 1}" if same else problems.dataset] = problems
    for reserved in (Split.TRAIN.value, Split.VALIDATION.value, "excluded"):
        if reserved in tests:
            raise DataError(f"A test set is called {reserved!r}, which has another meaning here; rename its file.")
    return tests


def _overlaps(train: Sequence[Problem], tests: Mapping[str, Sequence[Problem]]) -> list[str]:
    """A sentence per test set of which questions are in the training problems."""
    known = {_folded(problem.question) for problem in train}
    counts = {name: sum(_folded(p.question) in known for p in problems) for name, problems in tests.items()}
    return [
        f"{count} of the {len(tests[name])} problems of the test set {name} are training problems too; its accuracy "
        "says nothing about new problems."
        for name, count in counts.items()
        if count
    ]


def _folded(question: str) -> str:
    return " ".join(question.casefold().split())


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
