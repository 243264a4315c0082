"""The student's own wrong solutions as rows of a mixture: not to be learnt, but to be corrected on by the teacher.

Reads the tables of `siked_ray.core.mixture_rule`; the table `wrong` {strategy, problem_id, request_id} has the first
wrong solution of each (problem, strategy) that came to an end.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from siked_ray.core.objective import WRONG
from siked_ray.core.quotas import kl_divergence, shares
from siked_ray.core.rule import Sql

_TAKE = """
CREATE TEMP TABLE wrong AS
SELECT strategy, problem_id, min_by(request_id, (sample_index, request_id)) AS request_id
FROM student_rollouts WHERE verdict = 'wrong' AND NOT truncated AND strategy IN (SELECT unnest(?))
GROUP BY ALL
"""
_TOGETHER = """
SELECT * FROM ({right})
UNION ALL
SELECT w.problem_id, w.strategy, '{source}', any_value(p.question), any_value(r.completion), w.request_id
FROM wrong AS w
JOIN (SELECT request_id, completion FROM student_rollouts WHERE verdict = 'wrong') AS r USING (request_id)
JOIN problems AS p ON p.problem_id = w.problem_id
GROUP BY w.problem_id, w.strategy, w.request_id
ORDER BY 2, 1, 3
"""


def with_wrong_rows(right: str) -> str:
    """The query `right` {problem_id, strategy, source, question, completion, request_id}, and the wrong rows."""
    return _TOGETHER.format(right=right, source=WRONG)


def take_wrong(
    sql: Sql, mixture: Mapping[str, int], own: Mapping[str, int], strategies: Sequence[str]
) -> dict[str, Any]:
    """Make the table `wrong`; its rows, their share of all rows, and KL(P ‖ P_student) over strategies with them.
    `mixture` and the student's `own` kept rows are numbers by strategy."""
    sql.execute(_TAKE, [list(strategies)])
    found = {row["strategy"]: row["n"] for row in sql.rows("SELECT strategy, count(*) AS n FROM wrong GROUP BY ALL")}
    by_strategy = {name: found.get(name, 0) for name in strategies}
    together = {name: mixture[name] + by_strategy[name] for name in strategies}
    num_wrong, num_rows = sum(by_strategy.values()), sum(together.values())
    return {
        "rows": num_wrong,
        "by_strategy": by_strategy,
        "share": num_wrong / num_rows if num_rows else 0.0,
        "kl_with_wrong": kl_divergence(shares(together), shares(own)) if sum(own.values()) else None,
    }
