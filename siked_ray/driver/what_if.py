"""Questions to a run that need no generation: what would another policy have mixed?"""

from typing import Any

from siked_ray.config import Config, read_resolved
from siked_ray.core.mixture import Policy, Source
from siked_ray.core.problem import Split
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.mixing import COLUMNS, Kept, keep_first_correct, mix
from siked_ray.driver.placement import prompt_templates
from siked_ray.errors import ConfigError, DataError


def recompute_mixture(run_dir: str, iteration: int, policy: str | None) -> dict[str, Any]:
    """Counts, α and sha256 of the mixture that a policy (default: the run's) makes of the stored rollouts."""
    storage = Storage(run_dir)
    config = read_config(storage)
    student_folder = names.student_rollouts(iteration)
    if iteration and not storage.files(student_folder, ".parquet"):
        raise DataError(f"{storage.root} has no rollouts of iteration {iteration}; choose one that was sampled.")
    problems = storage.read_parquet(names.problems(Split.TRAIN.value)).to_pylist()
    mixed = mix(
        _policy(policy, config),
        _kept(storage, names.TEACHER_ROLLOUTS, Source.TEACHER),
        _kept(storage, student_folder, Source.STUDENT) if iteration else None,
        {row["problem_id"]: row["question"] for row in problems},
        config.strategies,
        prompt_templates(config),
    )
    return {"iteration": iteration, **mixed.counts, "kl_mixture_student": mixed.kl_mixture_student}


def read_config(storage: Storage) -> Config:
    """The resolved settings of a run; raises DataError when the directory holds no run."""
    if not storage.exists(names.CONFIG):
        raise DataError(f"{storage.root} is no run directory, it has no {names.CONFIG}.")
    return read_resolved(storage.read_text(names.CONFIG), storage.path(names.CONFIG))


def _policy(name: str | None, config: Config) -> Policy:
    if name is None:
        return config.mixture.policy
    try:
        return Policy(name)
    except ValueError:
        known = ", ".join(policy.value for policy in Policy)
        raise ConfigError(f"There is no mixture policy {name!r}; choose one of {known}.") from None


def _kept(storage: Storage, folder: str, source: Source) -> Kept:
    parts = storage.files(folder, ".parquet")
    if not parts:
        raise DataError(f"{storage.root} has no rollouts in {folder}.")
    return keep_first_correct(storage.read_parquet(parts, COLUMNS).to_pylist(), source)
