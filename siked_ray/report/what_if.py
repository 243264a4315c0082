"""Questions to a run that need no generation: what would another policy have mixed?"""

from collections.abc import Sequence
from typing import Any

from siked_ray.config import Config, overridden, read_resolved
from siked_ray.core.mixture_rule import keep_first, mix
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.errors import ConfigError, DataError

_DIFFERENCE = """
SELECT side, source, strategy, count(*) AS n FROM (
    SELECT 'added' AS side, source, strategy, request_id FROM mixture
    ANTI JOIN trained USING (source, strategy, request_id)
    UNION ALL
    SELECT 'removed', source, strategy, request_id FROM trained
    ANTI JOIN mixture USING (source, strategy, request_id)
) GROUP BY ALL ORDER BY ALL
"""


def recompute_mixture(run_dir: str, iteration: int, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Figures of the mixture that other settings of the mixture make of the stored rollouts (default: the run's own).

    "difference" compares it with what was trained on, row by row: rows added and removed, in all and by source and
    strategy; None where the iteration has not been trained. Raises ConfigError and DataError.
    """
    storage = Storage(run_dir)
    config = with_mixture_settings(_of_siked(storage), overrides)
    teacher = storage.files(names.TEACHER_ROLLOUTS, ".parquet")
    student = storage.files(names.student_rollouts(iteration), ".parquet") if iteration else []
    if not teacher:
        raise DataError(f"{storage.root} has no rollouts in {names.TEACHER_ROLLOUTS}.")
    if iteration and not student:
        raise DataError(f"{storage.root} has no rollouts of iteration {iteration}; choose one that was sampled.")
    with sql_engine() as connection:
        sql = SqlTables(connection, storage)
        sql.attach("rollouts", teacher_rollouts=teacher, student_rollouts=student)
        kept = keep_first(sql, config.strategies, config.generation.accept)
        mixed = mix(sql, kept, config.strategies, config.mixture.rules(), iteration)
        difference = _difference(sql, storage, iteration)
    return {
        "iteration": iteration,
        **mixed["mixture"],
        "kl_mixture_student": mixed["kl_mixture_student"],
        "difference": difference,
    }


def sampled_iterations(run_dir: str) -> list[int]:
    """Iterations of a run whose mixture can be recomputed; DataError when the directory holds no run."""
    storage = Storage(run_dir)
    last = _of_siked(storage).iterations.max
    return [i for i in range(last + 1) if i == 0 or storage.files(names.student_rollouts(i), ".parquet")]


def read_config(storage: Storage) -> Config:
    """The resolved settings of a run; raises DataError when the directory holds no run."""
    if not storage.exists(names.CONFIG):
        raise DataError(f"{storage.root} is no run directory, it has no {names.CONFIG}.")
    return read_resolved(storage.read_text(names.CONFIG), storage.path(names.CONFIG))


def _of_siked(storage: Storage) -> Config:
    """Its settings; ConfigError for a run whose rows are no mixture of a teacher's and a student's."""
    config = read_config(storage)
    if config.recipe != "siked":
        raise ConfigError(
            f"{storage.root} was made by recipe {config.recipe}, whose training rows are no mixture of teacher and "
            "student; siked mix recomputes those of recipe siked."
        )
    return config


def with_mixture_settings(config: Config, overrides: Sequence[str]) -> Config:
    """The settings with other values below `mixture`, or of `generation.accept`; ConfigError for any other key, which
    rollouts depend on."""
    for override in overrides:
        if not override.startswith(("mixture.", "generation.accept=")):
            raise ConfigError(
                f"{override!r} is no setting of the mixture; rollouts are stored, so only mixture.… and "
                "generation.accept can change."
            )
    return overridden(config, overrides)


def _difference(sql: SqlTables, storage: Storage, iteration: int) -> dict[str, Any] | None:
    if not storage.exists(names.mixture(iteration)):
        return None
    sql.attach("mixture", trained=[names.mixture(iteration)])
    found = sql.rows(_DIFFERENCE)
    by_side = {side: [row for row in found if row["side"] == side] for side in ("added", "removed")}
    return {
        **{side: sum(row["n"] for row in changed) for side, changed in by_side.items()},
        **{
            f"{side}_by_source": [{"source": r["source"], "strategy": r["strategy"], "rows": r["n"]} for r in changed]
            for side, changed in by_side.items()
        },
    }
