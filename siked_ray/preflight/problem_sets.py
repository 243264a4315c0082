"""The problems of a run: what is learnt from, what is held out, what is tested on."""

from collections.abc import Sequence, Set

from siked_ray.config import Config
from siked_ray.core.problem import Problem, Split
from siked_ray.data import run_directory as names
from siked_ray.data.golds import ExclusionReason
from siked_ray.data.loaders.sources import read_table
from siked_ray.data.problems import ProblemSet, excluded_as, load_problems, split_problems
from siked_ray.data.storage import Storage
from siked_ray.errors import DataError
from siked_ray.generation.model_facts import WORLD
from siked_ray.preflight.branch import find_branch, stored_splits


def load_problem_set(name: str, config: Config) -> ProblemSet:
    """Problems of a data set. The columns that the settings name apply where it has them; else it is recognised."""
    data = config.data
    columns = (data.question_column, data.answer_column) if _has_named_columns(name, config) else (None, None)
    level = data.level_column if _has(name, {data.level_column}) else None
    return load_problems(
        name, limit=data.limit, question_column=columns[0], answer_column=columns[1], level_column=level
    )


def load_training_set(config: Config) -> ProblemSet:
    """The problems of all data sets that are learnt from. A question that an earlier one has is left out."""
    sets = [load_problem_set(name, config) for name in config.data.train_names]
    known: set[str] = set()
    problems: list[Problem] = []
    excluded = [one for problem_set in sets for one in problem_set.excluded]
    for problem in (problem for problem_set in sets for problem in problem_set):
        if _folded(problem.question) in known:
            excluded.append(excluded_as(problem, ExclusionReason.DUPLICATE))
        else:
            problems.append(problem)
        known.add(_folded(problem.question))
    names = dict.fromkeys(problem_set.dataset for problem_set in sets)
    return ProblemSet(dataset=" + ".join(names), problems=tuple(problems), excluded=tuple(excluded))


def load_test_sets(config: Config) -> dict[str, ProblemSet]:
    """Test sets by the name of their data set; a second one of the same name gets a number."""
    tests: dict[str, ProblemSet] = {}
    for name in config.data.test:
        problems = load_problem_set(name, config)
        same = sum(key.partition("#")[0] == problems.dataset for key in tests)
        tests[f"{problems.dataset}#{same + 1}" if same else problems.dataset] = problems
    for reserved in (Split.TRAIN.value, Split.VALIDATION.value, "excluded"):
        if reserved in tests:
            raise DataError(f"A test set is called {reserved!r}, which has another meaning here; rename its file.")
    return tests


def check_columns(config: Config) -> None:
    """Raises DataError, which lists those of data.train, when no data set has the columns that the settings name."""
    data = config.data
    every = (*data.train_names, *data.test)
    if _named_columns(config) and not any(_has_named_columns(name, config) for name in every):
        load_problems(data.train_names[0], question_column=data.question_column, answer_column=data.answer_column)
    if data.level_column and not any(_has(name, {data.level_column}) for name in every):
        raise DataError(
            f"data.level_column: no data set has a column '{data.level_column}'; set it to one that they have, or "
            "leave it out."
        )


def _named_columns(config: Config) -> set[str]:
    return {column for column in (config.data.question_column, config.data.answer_column) if column}


def _has_named_columns(name: str, config: Config) -> bool:
    return _has(name, _named_columns(config))


def _has(name: str, columns: Set[str | None]) -> bool:
    """Whether a data set has these columns; false where none is named."""
    named = columns - {None}
    return bool(named) and not name.startswith(WORLD) and named <= set(read_table(name).columns())


def split_training(problems: ProblemSet, config: Config) -> tuple[Sequence[Problem], Sequence[Problem]]:
    """Training and held-out problems; those of a run that has begun, or that this one branches from, as it stored them,
    whatever the seed."""
    begun = _where_they_are_stored(config)
    if begun is not None:
        return stored_splits(begun)
    return split_problems(problems, validation_fraction=config.data.validation_fraction, seed=config.seed)


def has_stored_splits(config: Config) -> bool:
    """Whether the problems of a run are settled: by itself, or by the run that it branches from."""
    return _where_they_are_stored(config) is not None


def _where_they_are_stored(config: Config) -> Storage | None:
    own = Storage(config.run_dir)
    if own.exists(names.CONFIG):
        return own
    branch = find_branch(config)
    return None if branch is None else branch.origin


def _folded(question: str) -> str:
    return " ".join(question.casefold().split())
