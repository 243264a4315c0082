"""Problems that the best student solves and plain distillation did not, with the strategy that did it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from siked_ray.core.rollout import FREE
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.data.tables import attach, rows, sql_engine
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import VALIDATION, View, title_of

_EXAMPLES_PER_STRATEGY = 2

_CHANGES = f"""
CREATE TEMP TABLE changes AS
SELECT p.question, p.answer, a.request_id, a.verdict = 'correct' AS gained,
       b.strategy AS strategy_before, b.completion AS completion_before, b.verdict AS verdict_before,
       a.strategy AS strategy_after, a.completion AS completion_after, a.verdict AS verdict_after
FROM problems AS p JOIN before AS b USING (problem_id) JOIN after AS a USING (problem_id)
WHERE b.requested = '{FREE}' AND a.requested = '{FREE}' AND (a.verdict = 'correct') <> (b.verdict = 'correct')
"""
_COUNTS = """
SELECT strategy_after AS strategy, count(*) FILTER (gained) AS gained, count(*) FILTER (NOT gained) AS lost
FROM changes GROUP BY ALL ORDER BY ALL
"""
_EXAMPLES = f"""
SELECT * EXCLUDE (request_id, gained) FROM changes WHERE gained
QUALIFY row_number() OVER (PARTITION BY strategy_after ORDER BY request_id) <= {_EXAMPLES_PER_STRATEGY}
ORDER BY strategy_after, request_id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Free completions of the best student against those of iteration 0 on one data set. `counts` has the problems
    gained and lost by the strategy that the best student chose; `examples` are some of those gained."""

    dataset: str
    best: int
    counts: Sequence[Mapping[str, Any]]
    examples: Sequence[Mapping[str, str]]

    def table(self) -> SummaryTable:
        """The counts, to show."""
        shown = [[row["strategy"], f"{row['gained']:,}", f"{row['lost']:,}"] for row in self.counts]
        title = f"From iteration 0 to {self.best} · {title_of(self.dataset)}"
        headings = ["strategy chosen in the end", "wrong → right", "right → wrong"]
        return SummaryTable(title=title, headings=headings, rows=shown)


def find_changes(storage: Storage, summary: Mapping[str, Any]) -> Changes | None:
    """Changes on the last test set, else on the held-out split; None while plain distillation is the best."""
    view = View(summary)
    best = view.best
    if not best:
        return None
    evaluated = [view.entry(iteration).get("evaluation") or {} for iteration in (0, best)]
    common = [name for name in view.datasets if all(name in one for one in evaluated)]
    dataset = next((name for name in reversed(common) if name != VALIDATION), VALIDATION)
    before, after = (_answers(storage, iteration) for iteration in (0, best))
    if dataset not in common or not before or not after or not storage.exists(names.problems(dataset)):
        return None
    with sql_engine() as connection:
        attach(connection, storage, "rollouts", {"before": before, "after": after})
        attach(connection, storage, "problems", {"problems": [names.problems(dataset)]})
        connection.execute(_CHANGES)
        return Changes(
            dataset=dataset, best=best, counts=rows(connection, _COUNTS), examples=rows(connection, _EXAMPLES)
        )


def _answers(storage: Storage, iteration: int) -> list[str]:
    folders = (names.evaluation_rollouts(iteration), names.test_rollouts(iteration))
    return [file for folder in folders for file in storage.files(folder, ".parquet")]
