"""What a run works on, written into its directory before its driver starts: settings and problems.

After this the driver needs nothing but the directory and a few names. So it can be started again on another node when
the process that submitted the run, and its node, are long gone.
"""

from dataclasses import dataclass

from siked_ray.config import Config, dump_config
from siked_ray.core.problem import Problem, Split
from siked_ray.data import run_directory as names
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.preflight.branch import find_branch, take_over
from siked_ray.preflight.check import Checked


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInputs:
    """Names of what was checked: models by role, the context each role's engines are opened with, and test sets.

    Small on purpose: Ray keeps it with the driver's definition, for when the driver has to be started again.
    """

    models: dict[str, str]
    max_model_len: dict[str, int]
    test_sets: tuple[str, ...]


def write_inputs(config: Config, checked: Checked, storage: Storage) -> RunInputs:
    """Resolved settings and problems; first what is needed to continue, last the settings that claim the run."""
    inputs = RunInputs(
        models={role: facts.name for role, facts in checked.models.items()},
        max_model_len=dict(checked.max_model_len),
        test_sets=tuple(checked.tests),
    )
    if storage.exists(names.CONFIG):
        return inputs
    splits = {Split.TRAIN.value: checked.train, Split.VALIDATION.value: checked.validation, **checked.tests}
    for name, problems in splits.items():
        split = name if name in (Split.TRAIN, Split.VALIDATION) else Split.TEST.value
        rows = [problem_row(problem, split) for problem in problems]
        storage.write_parquet(names.problems(name), table("problems", rows))
    storage.write_parquet(names.EXCLUDED, table("excluded", checked.excluded))
    if checked.contamination is not None:
        storage.write_json(names.CONTAMINATION, checked.contamination)
    branch = find_branch(config)
    if branch is not None:
        take_over(branch, storage, config)
    storage.write_text(names.CONFIG, dump_config(config))
    return inputs


def problem_row(problem: Problem, split: str) -> dict[str, str | None]:
    """A problem as a row of a problem table."""
    return {
        "problem_id": problem.problem_id,
        "dataset": problem.dataset,
        "split": split,
        "question": problem.question,
        "answer": problem.answer,
        "level": problem.level,
    }
