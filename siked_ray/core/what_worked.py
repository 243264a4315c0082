"""Training rows of attempts: the first one's prompt, and the attempt that worked (after SMART, arXiv 2410.16128)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from siked_ray.core.attempts import Trying, figures_of_attempts
from siked_ray.core.claim import Record
from siked_ray.core.mixture import count_sources
from siked_ray.core.mixture_rule import MIXTURE_IDS, TRAINING_ROWS, count_rows, keep_first
from siked_ray.core.problem import Split
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response
from siked_ray.core.rule import Selected, Sql
from siked_ray.core.stage import Kind


class Beside(StrEnum):
    """Which of the teacher's right solutions are trained on beside what worked."""

    FILL = "fill"
    NONE = "none"
    ALL = "all"


_MIXTURE = """
CREATE TEMP TABLE mixture AS
WITH own AS (SELECT 'student' AS source, strategy, problem_id, request_id FROM attempts WHERE worked),
told AS (
    SELECT kept.*, strategies.* FROM kept JOIN strategies ON name = strategy WHERE source = 'teacher' AND {beside}
)
SELECT * FROM own UNION ALL SELECT source, strategy, problem_id, request_id FROM told {one_each}
"""
_BESIDE = {
    Beside.FILL: "problem_id NOT IN (SELECT problem_id FROM own)",
    Beside.NONE: "false",
    Beside.ALL: "true",
}
_ONE_EACH = "QUALIFY row_number() OVER (PARTITION BY problem_id ORDER BY {order}) = 1"
_ROWS = """
WITH plain AS ({training_rows})
SELECT *, NULL::VARCHAR AS failed_strategy, NULL::VARCHAR AS failed FROM plain {after_a_failure}
ORDER BY strategy, problem_id, source, failed NULLS FIRST
"""
_AFTER_A_FAILURE = """
UNION ALL SELECT plain.*, attempts.failed_strategy, attempts.failed FROM plain
JOIN attempts ON source = 'student' AND attempts.request_id = plain.request_id AND attempts.failed IS NOT NULL
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class WhatWorked:
    """Training rows {problem_id, strategy, source, prompt, response, request_id}. No attempt that failed is a response.

    With a `retry_prompt` there is one more row for each problem that took several attempts: what worked, after the
    prompt and the attempt before. Reads `problems`, `teacher_rollouts` and the tries. Of the teacher's right solutions
    `FILL` takes one of each problem that no attempt solved, by its strategy's place in the problem's order. The
    figures are those of a mixture, and of the attempts.
    """

    trying: Trying
    templates: PromptTemplates
    beside: Beside = Beside.FILL
    columns: tuple[str, ...] = ("problem_id", "strategy", "source", "prompt", "response", "request_id")

    @property
    def problem_set(self) -> str:
        return Split.TRAIN.value

    @property
    def arguments(self) -> Mapping[str, Any]:
        own = {"rule": "what_worked", "teacher_rows": self.beside.value, "student_prompt": self.templates.student}
        return {**own, "attempts": self.trying.num_attempts, **self.trying.arguments}

    def apply(self, sql: Sql) -> Selected:
        num_tries, strategies = self.trying.num_attempts, self.trying.strategies
        self.trying.lay_out(sql, num_tries)
        tries = " UNION ALL ".join(f"SELECT * FROM try_{number}" for number in range(1, num_tries + 1))
        sql.execute(f"CREATE TEMP VIEW student_rollouts AS {tries}")
        keep_first(sql, strategies, self.trying.accept)
        one_each = _ONE_EACH.format(order=self.trying.ordered_by) if self.beside is Beside.FILL else ""
        sql.execute(_MIXTURE.format(beside=_BESIDE[self.beside], one_each=one_each))
        counts = count_rows(sql, "mixture", strategies)
        figures = {
            "mixture": {
                "policy": "smart",
                **count_sources(counts, strategies).as_dict(),
                "by_strategy": {name: count_sources(counts, [name]).as_dict() for name in strategies},
                "sha256": sql.sha256(MIXTURE_IDS),
                "reason": "the attempt of each problem that worked",
            },
            "kl_mixture_student": None,
            "attempts": figures_of_attempts(sql, self.trying),
            "solved": counts.num_student,
        }
        again = _AFTER_A_FAILURE if self.trying.retry_prompt else ""
        return Selected(query=_ROWS.format(training_rows=TRAINING_ROWS, after_a_failure=again), figures=figures)

    def max_rows(self, tables: Mapping[str, int]) -> int:
        """A row for each problem, one more after a failed attempt, and as many of the teacher's as there are."""
        from_teacher = tables["teacher_rollouts"] if self.beside is Beside.ALL else 0
        return tables["problems"] * (2 if self.trying.retry_prompt else 1) + from_teacher

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Reads {question, completion, failed_strategy, failed, …}, makes {prompt, response, …} of it."""
        prompt = student_prompt(self.templates, row["question"]) + (self.trying.what_failed(row) or "")
        return {**row, "prompt": prompt, "response": student_response(row["strategy"], row["completion"])}


def said_of_attempts(records: Sequence[Record]) -> dict[str, Any]:
    """What attempts came to: {"measured": by iteration and problem set, "trained_on": by iteration}."""
    found = [(one.id.iteration, one.metrics) for one in records if one.id.kind in (Kind.TABLE, Kind.MIXTURE)]
    return {
        "measured": [{"iteration": number, **figures} for number, figures in found if "by_attempt" in figures],
        "trained_on": [
            {"iteration": number, **figures["attempts"]} for number, figures in found if "attempts" in figures
        ],
    }
