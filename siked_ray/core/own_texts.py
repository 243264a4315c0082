"""All that a student wrote, right or wrong, as rows to be held against its teacher: on-policy distillation.

Texts that came to no end are left out: a row ends with the end of sequence, and they never gave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siked_ray.core.mixture import KeptCounts, count_sources
from siked_ray.core.problem import Split
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response
from siked_ray.core.rule import Selected, Sql
from siked_ray.errors import UserError

_ENDED = "NOT truncated AND strategy IN (SELECT unnest(?))"
_TAKE = f"""
CREATE TEMP TABLE own AS
SELECT strategy, problem_id, any_value(completion) AS completion, request_id, any_value(verdict) AS verdict
FROM student_rollouts WHERE {_ENDED} AND trim(completion) != '' AND (requested = strategy OR NOT ?)
GROUP BY strategy, problem_id, request_id
"""
_COUNT = "SELECT strategy, count(*) AS n, count(*) FILTER (verdict = 'correct') AS correct FROM own GROUP BY ALL"
_IDS = "SELECT request_id || ':' || strategy AS id FROM own ORDER BY id"
_ROWS = """
SELECT own.problem_id, strategy, 'student' AS source, question, completion, request_id
FROM own JOIN problems USING (problem_id) ORDER BY strategy, problem_id, request_id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnTexts:
    """Training rows {problem_id, strategy, source, prompt, response, request_id}; reads the tables `student_rollouts`
    and `problems`. Its figures are those of a mixture without a teacher, and how many of the texts are right.

    `held_out`: of the held-out problems, to be read and not learnt; of those texts alone whose strategy was forced, and
    there may be none.
    """

    strategies: tuple[str, ...]
    templates: PromptTemplates
    held_out: bool = False
    columns: tuple[str, ...] = ("problem_id", "strategy", "source", "prompt", "response", "request_id")

    @property
    def problem_set(self) -> str:
        return (Split.VALIDATION if self.held_out else Split.TRAIN).value

    @property
    def arguments(self) -> Mapping[str, Any]:
        arguments = {"rule": "own_texts", "strategies": self.strategies, "student_prompt": self.templates.student}
        return arguments | ({"held_out": True} if self.held_out else {})

    def apply(self, sql: Sql) -> Selected:
        """Raises UserError where no text came to an end."""
        sql.execute(_TAKE, [list(self.strategies), self.held_out])
        found = {row["strategy"]: row for row in sql.rows(_COUNT)}
        if not found and not self.held_out:
            raise UserError(
                "None of the student's texts has a strategy's tag and came to an end, so there is nothing to hold "
                "against the teacher; raise generation.max_new_tokens, or begin with options.start=iteration_0."
            )
        own = {name: found[name]["n"] if name in found else 0 for name in self.strategies}
        counts = KeptCounts(teacher=dict.fromkeys(self.strategies, 0), student=own)
        whole = count_sources(counts, list(self.strategies)).as_dict()
        mixture = {
            "policy": "on_policy",
            **whole,
            "by_strategy": {name: count_sources(counts, [name]).as_dict() for name in self.strategies},
            "correct": sum(row["correct"] for row in found.values()),
            "sha256": sql.sha256(_IDS),
            "reason": "all that the student wrote to an end, right or wrong",
        }
        return Selected(query=_ROWS, figures={"mixture": mixture, "kl_mixture_student": None})

    def max_rows(self, tables: Mapping[str, int]) -> int:
        return tables["student_rollouts"]

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Reads {question, completion, …} and makes {prompt, response, …} of it."""
        prompt = student_prompt(self.templates, row["question"])
        return {**row, "prompt": prompt, "response": student_response(row["strategy"], row["completion"])}
