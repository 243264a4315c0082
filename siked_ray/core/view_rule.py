"""Views of one set of problems as rows: each problem with every way in which it is solved (MinT, arXiv 2307.07951).

A view is a strategy that the student is asked for by a prompt of its own. What a view's rows are depends on that view
alone: another one more, or the data sets in another order, changes none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siked_ray.core.problem import Split
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response
from siked_ray.core.reasoning import Accept
from siked_ray.core.rule import Selected, Sql
from siked_ray.errors import UserError

_RIGHT = {Accept.ANSWER: "verdict = 'correct'", Accept.SOUND: "verdict = 'correct' AND coalesce(sound, false)"}
#: One rationale of each (problem, view): a right one, of several the first by its hash. Of a noisy view whichever comes
#: first by its hash, right or not.
_FIND = """
CREATE TEMP TABLE views AS
SELECT problem_id, dataset, question, strategy, first.*, first."right" OR strategy IN (SELECT unnest(?)) AS taken
FROM (
    SELECT problem_id, any_value(dataset) AS dataset, any_value(question) AS question, strategy,
           min_by({{'completion': completion, 'request_id': request_id, 'verdict': verdict, 'right': {right}}},
                  (NOT ({right} OR strategy IN (SELECT unnest(?))), md5(completion), request_id)) AS first
    FROM teacher_rollouts JOIN problems USING (problem_id)
    WHERE strategy IN (SELECT unnest(?)) AND NOT truncated AND trim(completion) != ''
    GROUP BY problem_id, strategy
)
"""
_COUNT = """
SELECT strategy, dataset, count(*) AS rationales, count(*) FILTER ("right") AS "right",
       count(*) FILTER (NOT "right" AND verdict IN ('correct', 'wrong')) AS wrong,
       count(*) FILTER (verdict NOT IN ('correct', 'wrong')) AS unchecked,
       count(*) FILTER (taken) AS rows, count(*) FILTER (taken AND NOT "right") AS noisy
FROM views GROUP BY ALL ORDER BY ALL
"""
_ROWS = """
SELECT problem_id, dataset, strategy, 'teacher' AS source, question, completion, request_id, verdict,
       CASE WHEN "right" THEN '' ELSE 'noisy' END AS noisy
FROM views WHERE taken ORDER BY strategy, question, problem_id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewRule:
    """Training rows {problem_id, dataset, strategy, source, prompt, response, request_id, verdict, noisy} out of the
    tables `teacher_rollouts` and `problems`. Rows of a view in `noisy` need not be right; those that are not are
    flagged in the column `noisy`.

    Figures: rows, noisy, and `views` {view: {data set: {rationales, right, wrong, unchecked, rows, noisy}}}, where
    `unchecked` had no answer that could be checked.
    """

    views: tuple[str, ...]
    templates: PromptTemplates
    noisy: tuple[str, ...] = ()
    accept: Accept = Accept.ANSWER
    columns: tuple[str, ...] = (
        *("problem_id", "dataset", "strategy", "source", "prompt", "response", "request_id", "verdict", "noisy"),
    )

    @property
    def problem_set(self) -> str:
        return Split.TRAIN.value

    @property
    def arguments(self) -> Mapping[str, Any]:
        prompts = {name: student_prompt(self.templates, "{question}", name) for name in self.views}
        noisy = [name for name in self.noisy if name in self.views]
        return {"rule": "views", "prompts": prompts, "noisy": noisy, "accept": self.accept.value}

    def apply(self, sql: Sql) -> Selected:
        """Raises UserError for a view of which no row is left."""
        noisy = [name for name in self.noisy if name in self.views]
        sql.execute(_FIND.format(right=_RIGHT[self.accept]), [noisy, noisy, list(self.views)])
        counts: dict[str, dict[str, dict[str, int]]] = {name: {} for name in self.views}
        for row in sql.rows(_COUNT):
            counts[row.pop("strategy")][row.pop("dataset")] = row
        totals = {name: sum(one["rows"] for one in found.values()) for name, found in counts.items()}
        if empty := [name for name, total in totals.items() if not total]:
            num_written = sum(one["rationales"] for one in counts[empty[0]].values())
            raise UserError(
                f"The view {empty[0]} has no row to train on: none of its {num_written:,} rationales gives its "
                "problem's answer. Take it out of strategies, or name it in options.noisy."
            )
        num_noisy = sum(one["noisy"] for found in counts.values() for one in found.values())
        return Selected(query=_ROWS, figures={"rows": sum(totals.values()), "noisy": num_noisy, "views": counts})

    def max_rows(self, tables: Mapping[str, int]) -> int:
        """A row for each problem and view."""
        return tables["problems"] * len(self.views)

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Reads {question, completion, …} and makes {prompt, response, …} of it."""
        prompt = student_prompt(self.templates, row["question"], row["strategy"])
        return {**row, "prompt": prompt, "response": student_response(row["strategy"], row["completion"])}
