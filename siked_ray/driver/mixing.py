"""The mixture of an iteration, made by an embedded SQL engine over the stored rollouts.

Tables in the engine: `kept` and `mixture` {source, strategy, problem_id, request_id}, at most one row per (source,
strategy, problem). Rows stay in the engine or pass through in batches; only counts reach the decision
(`siked_ray.core.mixture`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_ray.core.mixture import (
    KeptCounts,
    MixtureRules,
    Policy,
    Selection,
    Source,
    TeacherRows,
    count_sources,
    select,
    teacher_only,
)
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response
from siked_ray.core.quotas import kl_divergence, shares
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import attach, rows, sql_engine

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH_ROWS = 50_000

#: "Any at K": per (problem, strategy) the correct rollout of the lowest sample index, whenever it finished.
_KEEP_FIRST_CORRECT = """
CREATE TEMP TABLE kept AS
SELECT source, strategy, problem_id, min_by(request_id, (sample_index, request_id)) AS request_id
FROM (SELECT 'teacher' AS source, * FROM teacher_rollouts UNION ALL SELECT 'student', * FROM student_rollouts)
WHERE verdict = 'correct' AND strategy IN (SELECT unnest(?))
GROUP BY ALL
"""

#: `quota` is null where all rows may stay; the student comes before the teacher in the alphabet too.
_SELECT = """
CREATE TEMP TABLE mixture AS
WITH marked AS (
    SELECT kept.*, source = 'teacher' AND own.problem_id IS NOT NULL AS both_have_it
    FROM kept LEFT JOIN (SELECT strategy, problem_id FROM kept WHERE source = 'student') AS own
    USING (strategy, problem_id)
), candidates AS (
    SELECT * FROM marked WHERE {candidate} {one_per_problem}
)
SELECT source, strategy, problem_id, request_id FROM candidates {within_quota}
"""
_ONE_PER_PROBLEM = """QUALIFY row_number() OVER (
    PARTITION BY problem_id ORDER BY list_position(?, strategy), source) = 1"""
_WITHIN_QUOTA = """JOIN quotas USING (source, strategy)
QUALIFY row_number() OVER (PARTITION BY source, strategy ORDER BY both_have_it, request_id) <= num_rows"""

_CANDIDATES = {
    TeacherRows.NONE: "source = 'student'",
    TeacherRows.UNSOLVED: "NOT both_have_it",
    TeacherRows.ALL: "true",
}

_TRAINING_ROWS = """
SELECT m.problem_id, m.strategy, m.source, any_value(p.question) AS question, any_value(r.completion) AS completion,
       m.request_id
FROM mixture AS m
JOIN (SELECT request_id, completion, 'teacher' AS source FROM teacher_rollouts WHERE verdict = 'correct'
      UNION ALL SELECT request_id, completion, 'student' FROM student_rollouts WHERE verdict = 'correct') AS r
USING (source, request_id)
JOIN problems AS p USING (problem_id)
GROUP BY m.problem_id, m.strategy, m.source, m.request_id
ORDER BY m.strategy, m.problem_id, m.source
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """A mixture's figures, as they stand in the summary, and why it is what it is."""

    counts: dict[str, Any]
    kl_mixture_student: float | None


class Mixture:
    """Kept rows and mixture of one iteration in an engine that lives as long as the context of `mixed`."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", strategies: Sequence[str]) -> None:
        self.connection = connection
        self._strategies = list(strategies)
        connection.execute(_KEEP_FIRST_CORRECT, [self._strategies])
        self.kept = self._count("kept")

    def apply(self, selection: Selection, policy: Policy) -> Mixed:
        """Take the rows of a selection; afterwards they are in the table `mixture`."""
        _select(self.connection, selection)
        counts = self._count("mixture")
        own = shares(self.kept.student)
        return Mixed(
            counts={
                "policy": policy.value,
                **count_sources(counts, self._strategies).as_dict(),
                "by_strategy": {name: count_sources(counts, [name]).as_dict() for name in self._strategies},
                "sha256": _sha256(self.connection),
                "reason": selection.reason,
            },
            kl_mixture_student=kl_divergence(shares(_by_strategy(counts)), own) if self.kept.num_student else None,
        )

    def write(self, storage: Storage, name: str, problems: str, templates: PromptTemplates) -> None:
        """Write the training rows {problem_id, strategy, source, prompt, response, request_id} as one Parquet file."""
        import pyarrow as pa

        attach(self.connection, storage, "problems", {"problems": [problems]})
        reader = self.connection.sql(_TRAINING_ROWS).to_arrow_reader(_BATCH_ROWS)
        schema = table("mixture", []).schema
        batches = (_rendered(batch, templates) for batch in reader if batch.num_rows)
        storage.write_parquet_batches(name, pa.RecordBatchReader.from_batches(schema, batches))

    def _count(self, name: str) -> KeptCounts:
        found = rows(self.connection, f"SELECT source, strategy, count(*) AS n FROM {name} GROUP BY ALL")
        counted = {(row["source"], row["strategy"]): row["n"] for row in found}
        return KeptCounts(
            teacher={strategy: counted.get((Source.TEACHER, strategy), 0) for strategy in self._strategies},
            student={strategy: counted.get((Source.STUDENT, strategy), 0) for strategy in self._strategies},
        )


@contextmanager
def kept_rows(
    storage: Storage, strategies: Sequence[str], *, teacher: Sequence[str], student: Sequence[str]
) -> Iterator[Mixture]:
    """What is kept of the rollouts in these Parquet files: the first correct one per (problem, strategy)."""
    with sql_engine() as connection:
        attach(connection, storage, "rollouts", {"teacher_rollouts": teacher, "student_rollouts": student})
        yield Mixture(connection, strategies)


def decide_mixture(kept: KeptCounts, rules: MixtureRules, iteration: int) -> tuple[Selection, Policy]:
    """The selection of an iteration, from counts alone. Iteration 0 is plain distillation, whatever the policy."""
    if iteration == 0:
        return teacher_only(kept, rules, iteration), Policy.TEACHER_ONLY
    return select(kept, rules, iteration), rules.policy


def _select(connection: "duckdb.DuckDBPyConnection", selection: Selection) -> None:
    if selection.quotas is not None:
        connection.execute("CREATE OR REPLACE TEMP TABLE quotas (source VARCHAR, strategy VARCHAR, num_rows BIGINT)")
        quotas = [(s.value, name, n) for s, by_name in selection.quotas.items() for name, n in by_name.items()]
        connection.executemany("INSERT INTO quotas VALUES (?, ?, ?)", quotas)
    candidate = _CANDIDATES[selection.teacher] + ("" if selection.student else " AND source = 'teacher'")
    query = _SELECT.format(
        candidate=candidate,
        one_per_problem=_ONE_PER_PROBLEM if selection.order else "",
        within_quota=_WITHIN_QUOTA if selection.quotas is not None else "",
    )
    connection.execute("DROP TABLE IF EXISTS mixture")
    connection.execute(query, [list(selection.order)] if selection.order else None)


def _sha256(connection: "duckdb.DuckDBPyConnection") -> str:
    """SHA-256 of the sorted row ids: two mixtures with this hash train on the same rows."""
    query = "SELECT source || ':' || request_id || ':' || strategy AS id FROM mixture ORDER BY id"
    digest, separator = hashlib.sha256(), b""
    for batch in connection.sql(query).to_arrow_reader(_BATCH_ROWS):
        if batch.num_rows:
            digest.update(separator + _joined(batch.column(0)))
            separator = b"\x1f"
    return digest.hexdigest()


def _joined(texts: "pa.Array") -> bytes:
    """All texts of an array one after the other, separated as in `siked_ray.core.ids.content_hash`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    return pc.binary_join(lists, "\x1f")[0].as_buffer().to_pybytes()


def _rendered(batch: "pa.RecordBatch", templates: PromptTemplates) -> "pa.RecordBatch":
    """Reads {question, completion, …} and makes {prompt, response, …} of it."""
    return table(
        "mixture",
        [
            row
            | {
                "prompt": student_prompt(templates, row["question"]),
                "response": student_response(row["strategy"], row["completion"]),
            }
            for row in batch.to_pylist()
        ],
    ).to_batches()[0]


def _by_strategy(counts: KeptCounts) -> dict[str, int]:
    return {name: number + counts.student[name] for name, number in counts.teacher.items()}
