"""The mixture of an iteration as a rule over stored rollouts: "any at K", then a policy (SIKeD, section 3).

Tables in the engine: `kept` and `mixture` {source, strategy, problem_id, request_id}, at most one row per (source,
strategy, problem). Rows stay in the engine; only counts reach the decision (`siked_ray.core.mixture`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from siked_ray.core.mixture import (
    ONE_ROW_EACH,
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
from siked_ray.core.problem import Split
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response
from siked_ray.core.quotas import kl_divergence, shares
from siked_ray.core.reasoning import Accept
from siked_ray.core.rule import Selected, Sql
from siked_ray.core.wrong_rows import take_wrong, with_wrong_rows
from siked_ray.errors import UserError

#: "Any at K": per (problem, strategy) the accepted rollout of the lowest sample index, whenever it finished.
_KEEP_FIRST = """
CREATE TEMP TABLE kept AS
SELECT source, strategy, problem_id, min_by(request_id, (sample_index, request_id)) AS request_id
FROM (SELECT 'teacher' AS source, * FROM teacher_rollouts UNION ALL SELECT 'student', * FROM student_rollouts)
WHERE {accepted} AND strategy IN (SELECT unnest(?))
GROUP BY ALL
"""
#: The share of the student's samples that are accepted. A view, since most policies do not ask.
_SUCCESS_RATES = """
CREATE OR REPLACE TEMP VIEW success_rates AS
SELECT 'student' AS source, strategy, problem_id,
       count(DISTINCT request_id) FILTER ({accepted}) / count(DISTINCT request_id) AS rate
FROM student_rollouts GROUP BY ALL
"""

ACCEPTED = {Accept.ANSWER: "verdict = 'correct'", Accept.SOUND: "verdict = 'correct' AND sound"}
_UNJUDGED = """
SELECT count(*) AS n FROM (SELECT verdict, sound FROM teacher_rollouts UNION ALL
                           SELECT verdict, sound FROM student_rollouts)
WHERE verdict = 'correct' AND sound IS NULL
"""

#: `quota` is null where all rows may stay; the student comes before the teacher in the alphabet too.
_SELECT = """
CREATE TEMP TABLE mixture AS
WITH marked AS (
    SELECT kept.*, source = 'teacher' AND own.problem_id IS NOT NULL AS both_have_it
    FROM kept LEFT JOIN (SELECT strategy, problem_id FROM kept WHERE source = 'student') AS own
    USING (strategy, problem_id)
), candidates AS (
    SELECT * FROM marked {rates} WHERE {candidate} {chosen}
)
SELECT source, strategy, problem_id, request_id FROM candidates {within_quota}
"""
_BEST_STRATEGIES = "QUALIFY source = 'teacher' OR rate = max(rate) OVER (PARTITION BY source, problem_id)"
_ONE_PER_PROBLEM = """QUALIFY row_number() OVER (
    PARTITION BY problem_id ORDER BY list_position(?, strategy), source) = 1"""
_WITHIN_QUOTA = """JOIN quotas USING (source, strategy)
QUALIFY row_number() OVER (PARTITION BY source, strategy ORDER BY both_have_it, request_id) <= num_rows"""

_CANDIDATES = {
    TeacherRows.NONE: "source = 'student'",
    TeacherRows.UNSOLVED: "NOT both_have_it",
    TeacherRows.UNSOLVED_PROBLEMS: "(source = 'student' OR problem_id NOT IN "
    "(SELECT problem_id FROM kept WHERE source = 'student'))",
    TeacherRows.ALL: "true",
}

TRAINING_ROWS = """
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

MIXTURE_IDS = "SELECT source || ':' || request_id || ':' || strategy AS id FROM mixture ORDER BY id"
#: Three samples, of different strategies first.
_EXAMPLES = """
SELECT strategy, completion, verdict, reason
FROM (SELECT *, row_number() OVER (PARTITION BY strategy ORDER BY request_id) AS nth FROM teacher_rollouts)
ORDER BY nth, strategy LIMIT 3
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureRule:
    """Training rows {problem_id, strategy, source, prompt, response, request_id} of an iteration.

    Reads the tables `teacher_rollouts`, `student_rollouts` (but in iteration 0) and `problems`. `with_wrong`, rows of
    the source WRONG are the student's first wrong solution of each (problem, strategy) that came to an end.
    """

    strategies: tuple[str, ...]
    rules: MixtureRules
    iteration: int
    templates: PromptTemplates
    accept: Accept = Accept.ANSWER
    with_wrong: bool = False
    columns: tuple[str, ...] = ("problem_id", "strategy", "source", "prompt", "response", "request_id")

    @property
    def problem_set(self) -> str:
        return Split.TRAIN.value

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What makes this mixture this one, beside the rollouts."""
        accept = {} if self.accept is Accept.ANSWER else {"accept": self.accept.value}
        rules = {"rules": asdict(self.rules), "student_prompt": self.templates.student}
        wrong = {"with_wrong": True} if self.with_wrong else {}
        return {"strategies": self.strategies, **rules, **accept, **wrong}

    def apply(self, sql: Sql) -> Selected:
        """Raises UserError where the teacher solved nothing, or where the mixture is empty."""
        if self.iteration == 0:
            sql.execute("CREATE TEMP VIEW student_rollouts AS SELECT * FROM teacher_rollouts WHERE false")
        kept = keep_first(sql, self.strategies, self.accept)
        if not kept.num_teacher:
            raise UserError(_unsolved(sql))
        figures = mix(sql, kept, self.strategies, self.rules, self.iteration)
        if not figures["mixture"]["rows"]:
            raise UserError(
                f"The mixture of iteration {self.iteration} is empty: the student solved no training problem. "
                "Set mixture.policy=adaptive, or raise generation.num_samples."
            )
        if not self.with_wrong:
            return Selected(query=TRAINING_ROWS, figures=figures)
        mixture = _by_strategy(count_rows(sql, "mixture", self.strategies))
        figures["mixture"]["wrong"] = take_wrong(sql, mixture, kept.student, self.strategies)
        return Selected(query=with_wrong_rows(TRAINING_ROWS), figures=figures)

    def max_rows(self, tables: Mapping[str, int]) -> int:
        """A row for each problem and strategy, and of each source where the policy may keep both."""
        both = "student_rollouts" in tables and self.rules.policy not in ONE_ROW_EACH
        wrong = self.with_wrong and "student_rollouts" in tables
        return tables["problems"] * len(self.strategies) * (1 + both + wrong)

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Reads {question, completion, …} and makes {prompt, response, …} of it."""
        prompt = student_prompt(self.templates, row["question"])
        return {**row, "prompt": prompt, "response": student_response(row["strategy"], row["completion"])}


def keep_first(sql: Sql, strategies: Sequence[str], accept: Accept) -> KeptCounts:
    """Make the table `kept`, and count it. Raises UserError where soundness is asked for and was never judged."""
    if accept is Accept.SOUND and (num_unjudged := sql.rows(_UNJUDGED)[0]["n"]):
        raise UserError(
            f"{num_unjudged:,} correct rollouts were stored by a version that did not judge their reasoning; "
            "set generation.accept=answer, or sample them again in another run_dir without start_from."
        )
    sql.execute(_KEEP_FIRST.format(accepted=ACCEPTED[accept]), [list(strategies)])
    sql.execute(_SUCCESS_RATES.format(accepted=ACCEPTED[accept]))
    return count_rows(sql, "kept", strategies)


def mix(sql: Sql, kept: KeptCounts, strategies: Sequence[str], rules: MixtureRules, iteration: int) -> dict[str, Any]:
    """Make the table `mixture` out of `kept`; its figures {mixture, kl_mixture_student}."""
    selection, policy = decide_mixture(kept, rules, iteration)
    _take(sql, selection)
    counts, own = count_rows(sql, "mixture", strategies), shares(kept.student)
    return {
        "mixture": {
            "policy": policy.value,
            **count_sources(counts, list(strategies)).as_dict(),
            "by_strategy": {name: count_sources(counts, [name]).as_dict() for name in strategies},
            "sha256": sql.sha256(MIXTURE_IDS),
            "reason": selection.reason,
        },
        "kl_mixture_student": kl_divergence(shares(_by_strategy(counts)), own) if kept.num_student else None,
    }


def decide_mixture(kept: KeptCounts, rules: MixtureRules, iteration: int) -> tuple[Selection, Policy]:
    """The selection of an iteration, from counts alone. Iteration 0 is plain distillation, whatever the policy."""
    if iteration == 0:
        return teacher_only(kept, rules, iteration), Policy.TEACHER_ONLY
    return select(kept, rules, iteration), rules.policy


def count_rows(sql: Sql, name: str, strategies: Sequence[str]) -> KeptCounts:
    found = sql.rows(f"SELECT source, strategy, count(*) AS n FROM {name} GROUP BY ALL")
    counted = {(row["source"], row["strategy"]): row["n"] for row in found}
    return KeptCounts(
        teacher={strategy: counted.get((Source.TEACHER, strategy), 0) for strategy in strategies},
        student={strategy: counted.get((Source.STUDENT, strategy), 0) for strategy in strategies},
    )


def _take(sql: Sql, selection: Selection) -> None:
    if selection.quotas is not None:
        sql.execute("CREATE OR REPLACE TEMP TABLE quotas (source VARCHAR, strategy VARCHAR, num_rows BIGINT)")
        for source, by_strategy in selection.quotas.items():
            for name, num_rows in by_strategy.items():
                sql.execute("INSERT INTO quotas VALUES (?, ?, ?)", [source.value, name, num_rows])
    candidate = _CANDIDATES[selection.teacher] + ("" if selection.student else " AND source = 'teacher'")
    chosen = _ONE_PER_PROBLEM if selection.order else _BEST_STRATEGIES if selection.best_strategies else ""
    query = _SELECT.format(
        candidate=candidate,
        rates="LEFT JOIN success_rates USING (source, strategy, problem_id)" if selection.best_strategies else "",
        chosen=chosen,
        within_quota=_WITHIN_QUOTA if selection.quotas is not None else "",
    )
    sql.execute("DROP TABLE IF EXISTS mixture")
    sql.execute(query, [list(selection.order)] if selection.order else [])


def _by_strategy(counts: KeptCounts) -> dict[str, int]:
    return {name: number + counts.student[name] for name, number in counts.teacher.items()}


def _unsolved(sql: Sql) -> str:
    num_samples = sql.rows("SELECT count(*) AS n FROM teacher_rollouts")[0]["n"]
    examples = sql.rows(_EXAMPLES)
    shown = [
        f"\n--- {row['strategy']} · {row['verdict']}: {row['reason']}\n{row['completion'][:400]}" for row in examples
    ]
    return (
        f"The teacher solved none of the training problems ({num_samples} samples), so there is nothing to learn "
        "from. Check teacher.model, the prompts and their answer markers, and generation.max_new_tokens. "
        f"Some of its outputs:{''.join(shown)}"
    )
