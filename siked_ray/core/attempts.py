"""Attempts at a problem until one is right (after SMART, arXiv 2410.16128), as rules over rollouts.

The first attempt is free. Each later one is forced to the next strategy, in an order of the problem's own, that the
first one did not use. Rollouts of the attempts are the tables `try_1`, `try_2`, …; where these answer more than that,
only the rows of the attempt are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siked_ray.core.mixture_rule import ACCEPTED
from siked_ray.core.problem import Split
from siked_ray.core.prompts import student_response
from siked_ray.core.reasoning import Accept
from siked_ray.core.rollout import FREE
from siked_ray.core.rule import Selected, Sql
from siked_ray.errors import ConfigError

_COLUMNS = "problem_id, requested, strategy, sample_index, request_id, completion, verdict, sound"
_FIRSTS = f"""
CREATE TEMP TABLE firsts AS
SELECT {_COLUMNS} FROM try_1 WHERE requested = '{FREE}'
QUALIFY row_number() OVER (PARTITION BY problem_id ORDER BY sample_index, request_id) = 1
"""
#: `attempt` is the one in which a strategy has its turn.
_UNTRIED = """
CREATE TEMP TABLE untried AS
SELECT problem_id, name, 1 + row_number() OVER (PARTITION BY problem_id ORDER BY {order}) AS attempt
FROM firsts, strategies WHERE name != firsts.strategy
"""
_LATER = f"""
SELECT {_COLUMNS}, attempt FROM try_{{number}} JOIN untried USING (problem_id)
WHERE attempt = {{number}} AND name = requested
"""
#: Attempts up to the first that worked, each with the one before it.
_ATTEMPTS = """
CREATE TEMP TABLE attempts AS
WITH made AS (
    SELECT attempt, problem_id, strategy, request_id, completion, {accepted} AS worked FROM ({tries})
    QUALIFY row_number() OVER (PARTITION BY problem_id, attempt ORDER BY sample_index, request_id) = 1
), ended AS (SELECT problem_id, min(attempt) AS last_attempt FROM made WHERE worked GROUP BY problem_id)
SELECT made.*, lag(strategy) OVER earlier AS failed_strategy, lag(completion) OVER earlier AS failed
FROM made LEFT JOIN ended USING (problem_id) WHERE last_attempt IS NULL OR attempt <= last_attempt
WINDOW earlier AS (PARTITION BY problem_id ORDER BY attempt)
"""
_NEXT = """
WITH latest AS (
    SELECT problem_id, max_by(strategy, attempt) AS failed_strategy, max_by(completion, attempt) AS failed
    FROM attempts GROUP BY problem_id HAVING NOT bool_or(worked)
)
SELECT problem_id, name AS requested, failed_strategy, failed FROM untried JOIN latest USING (problem_id)
WHERE attempt = {attempt} ORDER BY problem_id
"""
_OUTCOMES = """
SELECT problem_id, firsts.strategy AS first, max(attempts.strategy) FILTER (worked) AS worked,
       max(attempt)::VARCHAR AS attempts
FROM firsts JOIN attempts USING (problem_id) {of_set} GROUP BY ALL
"""
_OF_SET = "SEMI JOIN problems USING (problem_id)"
_BY_ATTEMPT = """
SELECT attempts::INTEGER AS attempt, count(*) AS ended, count(worked) AS worked FROM ({outcomes}) GROUP BY ALL
"""
_SWITCHED = """
SELECT first, worked, count(*) AS n FROM ({outcomes}) WHERE worked IS NOT NULL AND first != worked
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trying:
    """How attempts follow each other: at most `num_attempts`. `order` names all strategies, or none: then it is drawn
    for each problem, by a hash that is the same on every machine.

    `retry_prompt`, with a place for the {attempt} that failed, follows the student's prompt in later attempts; without
    it they see the prompt alone.
    """

    strategies: tuple[str, ...]
    num_attempts: int
    seed: int
    order: tuple[str, ...] = ()
    retry_prompt: str | None = None
    accept: Accept = Accept.ANSWER

    @property
    def arguments(self) -> Mapping[str, Any]:
        """For the record of a rule."""
        return {
            "strategies": self.strategies,
            "order": self.order or f"drawn by {self.seed}",
            **({"retry_prompt": self.retry_prompt} if self.retry_prompt else {}),
            **({} if self.accept is Accept.ANSWER else {"accept": self.accept.value}),
        }

    @property
    def ordered_by(self) -> str:
        """The place of strategy `name` among those of `problem_id`, in SQL; drawn, it is
        `core.ids.content_hash("smart", seed, problem_id, name)`."""
        if self.order:
            return "position"
        return f"left(sha256(concat_ws(chr(31), 'smart', '{self.seed}', problem_id, name)), 16)"

    def check(self) -> None:
        """ConfigError where strategies cannot be tried so."""
        num, most = len(self.strategies), len(self.strategies) + 1
        if num < 2:
            raise ConfigError(
                f"strategies {list(self.strategies)}: there is nothing to choose between; name two or more."
            )
        if self.num_attempts > most:  # a first attempt without a known tag uses up no strategy
            raise ConfigError(f"options.attempts is {self.num_attempts}, and {num} strategies allow {most} at most.")
        if self.order and sorted(self.order) != sorted(self.strategies):
            raise ConfigError(
                f"options.order {list(self.order)} has to name each of {list(self.strategies)} once, or nothing."
            )

    def lay_out(self, sql: Sql, num_tries: int) -> None:
        """Make the tables `strategies`, `firsts`, `untried` and `attempts` out of the rollouts of so many attempts."""
        sql.execute("CREATE TEMP TABLE strategies (name VARCHAR, position INTEGER)")
        for position, name in enumerate(self.order or self.strategies):
            sql.execute("INSERT INTO strategies VALUES (?, ?)", [name, position])
        sql.execute(_FIRSTS)
        sql.execute(_UNTRIED.format(order=self.ordered_by))
        later = [_LATER.format(number=number) for number in range(2, num_tries + 1)]
        tries = " UNION ALL ".join([f"SELECT {_COLUMNS}, 1 AS attempt FROM firsts", *later])
        sql.execute(_ATTEMPTS.format(accepted=f"({ACCEPTED[self.accept]}) IS TRUE", tries=tries))

    def what_failed(self, row: Mapping[str, Any]) -> str | None:
        """What follows the prompt where a row {failed_strategy, failed} says that an attempt went before."""
        if self.retry_prompt is None or row["failed"] is None:
            return None
        named = row["failed_strategy"] in self.strategies
        return self.retry_prompt.format(
            attempt=student_response(row["failed_strategy"], row["failed"]) if named else row["failed"]
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NextAttempt:
    """Asks {problem_id, requested, context}: of each problem that no earlier attempt solved, the next strategy.
    `try_1` has asked each problem `asked_each` times."""

    trying: Trying
    attempt: int
    asked_each: int = 1
    columns: tuple[str, ...] = ("problem_id", "requested", "context")

    @property
    def problem_set(self) -> str:
        """Not read: asks are of whatever problems `try_1` has."""
        return Split.TRAIN.value

    @property
    def arguments(self) -> Mapping[str, Any]:
        return {"rule": "next_attempt", "attempt": self.attempt, **self.trying.arguments}

    def apply(self, sql: Sql) -> Selected:
        self.trying.lay_out(sql, self.attempt - 1)
        query = _NEXT.format(attempt=self.attempt)
        found = sql.rows(f"SELECT requested, count(*) AS n FROM ({query}) GROUP BY ALL")
        asked = {row["requested"]: row["n"] for row in found}
        by_strategy = {name: asked.get(name, 0) for name in self.trying.strategies}
        return Selected(query=query, figures={"rows": sum(asked.values()), "by_strategy": by_strategy})

    def max_rows(self, tables: Mapping[str, int]) -> int:
        return tables["try_1"] // self.asked_each

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Reads {problem_id, requested, failed_strategy, failed}, adds {context}."""
        return {**row, "context": self.trying.what_failed(row)}


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptsMeasured:
    """Rows {problem_id, first, worked, attempts} of a problem set: strategies of the first attempt and of the one that
    worked (none: null), and how many there were. Its figures are those of `attempt_figures`."""

    trying: Trying
    problem_set: str
    columns: tuple[str, ...] = ("problem_id", "first", "worked", "attempts")

    @property
    def arguments(self) -> Mapping[str, Any]:
        own = {"rule": "attempts_measured", "problem_set": self.problem_set, "attempts": self.trying.num_attempts}
        return {**own, **self.trying.arguments}

    def apply(self, sql: Sql) -> Selected:
        self.trying.lay_out(sql, self.trying.num_attempts)
        query = _OUTCOMES.format(of_set=_OF_SET)
        num_problems = sql.rows("SELECT count(*) AS n FROM problems")[0]["n"]
        figures = {"problem_set": self.problem_set, **attempt_figures(sql, query, self.trying, num_problems)}
        return Selected(query=f"{query} ORDER BY problem_id", figures=figures)

    def max_rows(self, tables: Mapping[str, int]) -> int:
        return tables["problems"]

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row


def figures_of_attempts(sql: Sql, trying: Trying) -> dict[str, Any]:
    """`attempt_figures` of all problems that were tried."""
    num_problems = sql.rows("SELECT count(*) AS n FROM firsts")[0]["n"]
    return attempt_figures(sql, _OUTCOMES.format(of_set=""), trying, num_problems)


def attempt_figures(sql: Sql, outcomes: str, trying: Trying, num_problems: int) -> dict[str, Any]:
    """Of `num_problems`: the share that is solved after 1, 2, … attempts, attempts per problem that was tried, and in
    how many problems, by strategy chosen first, another one worked."""
    ended = {row["attempt"]: row for row in sql.rows(_BY_ATTEMPT.format(outcomes=outcomes))}
    solved, by_attempt = 0, []
    for attempt in range(1, trying.num_attempts + 1):
        solved += ended[attempt]["worked"] if attempt in ended else 0
        by_attempt.append(solved / num_problems if num_problems else 0.0)
    num_tried = sum(one["ended"] for one in ended.values())
    num_attempts = sum(attempt * one["ended"] for attempt, one in ended.items())
    switched: dict[str, dict[str, int]] = {}
    for row in sql.rows(_SWITCHED.format(outcomes=outcomes)):
        switched.setdefault(row["first"], {})[row["worked"]] = row["n"]
    return {
        "num_problems": num_problems,
        "by_attempt": by_attempt,
        "mean_attempts": num_attempts / num_tried if num_tried else None,
        "switched": switched,
    }
