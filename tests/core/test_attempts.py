"""Attempts out of rollouts that are not as they should be: twice there, missing, unsound."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siked_ray.core.attempts import AttemptsMeasured, NextAttempt, Trying
from siked_ray.core.prompts import StudentPrompts
from siked_ray.core.reasoning import Accept
from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.core.verdict import Verdict
from siked_ray.core.what_worked import Beside, WhatWorked
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.errors import UserError
from tests.core.test_mixture_rule import TEMPLATES, rollout

TRYING = Trying(strategies=("cot", "l2m", "pot"), num_attempts=3, seed=42, order=("pot", "l2m", "cot"))


def attempt(problem: str, strategy: str, *, right: bool = False, free: bool = False, sound: bool = True) -> Rollout:
    made = rollout(problem, 0, Verdict.CORRECT if right else Verdict.WRONG, strategy, by="free" if free else "s")
    return replace(made, requested=FREE if free else strategy, sound=sound)


def applied(folder: Path, rule: Any, *tries: list[Rollout], problems: str = "123") -> tuple[dict, list[dict]]:
    """Figures and rows of a rule; the teacher solved each problem by each strategy."""
    storage = Storage(str(folder))
    taught = [replace(rollout(one, strategy=name), sound=True) for one in problems for name in TRYING.strategies]
    tables = {f"try_{number}": made for number, made in enumerate(tries, 1)} | {"teacher_rollouts": taught}
    rows = [{"problem_id": one, "dataset": "", "split": "", "question": one, "answer": ""} for one in problems]
    storage.write_parquet("problems.parquet", table("problems", rows))
    with sql_engine() as connection:
        sql = SqlTables(connection, storage)
        sql.attach("problems", problems=["problems.parquet"])
        for name, made in tables.items():
            storage.write_parquet(f"{name}.parquet", table("rollouts", made))
            sql.attach("rollouts", **{name: [f"{name}.parquet"]})
        selected = rule.apply(sql)
        sql.write("rows.parquet", selected.query, rule.columns, rule.finish)
    return dict(selected.figures), storage.read_parquet("rows.parquet").to_pylist()


def test_rollouts_that_are_there_twice_count_once(tmp_path: Path):
    """As after a loss, when a row was sampled again."""
    first, second = attempt("1", "cot", free=True), attempt("1", "pot", right=True)
    rule = WhatWorked(trying=replace(TRYING, num_attempts=2), templates=TEMPLATES)
    figures, rows = applied(tmp_path, rule, [first, first], [second, second], problems="1")
    assert len(rows) == 1 and figures["solved"] == 1
    assert figures["attempts"] == {
        "num_problems": 1,
        "by_attempt": [0.0, 1.0],
        "mean_attempts": 2.0,
        "switched": {"cot": {"pot": 1}},
    }


def test_an_attempt_that_could_not_be_sampled_is_passed_over(tmp_path: Path):
    """In quarantine: the next one has its own turn, and no strategy comes again."""
    tries = [attempt("1", "pot", free=True)], []
    figures, rows = applied(tmp_path, NextAttempt(trying=TRYING, attempt=3), *tries)
    assert [(row["problem_id"], row["requested"], row["context"]) for row in rows] == [("1", "cot", None)]
    assert figures == {"rows": 1, "by_strategy": {"cot": 1, "l2m": 0, "pot": 0}}


def test_a_problem_without_a_first_attempt_is_unsolved_and_not_tried(tmp_path: Path):
    tries = [attempt("1", "pot", free=True, right=True)], [], []
    figures, rows = applied(tmp_path, AttemptsMeasured(trying=TRYING, problem_set="validation"), *tries)
    assert figures["by_attempt"] == pytest.approx([1 / 3] * 3) and figures["mean_attempts"] == 1.0
    assert rows == [{"problem_id": "1", "first": "pot", "worked": "pot", "attempts": "1"}]
    _, asks = applied(tmp_path, NextAttempt(trying=TRYING, attempt=2), tries[0])
    assert asks == []


def test_answers_to_all_strategies_are_read_as_attempts(tmp_path: Path):
    """Of an evaluation's answers only the attempts count that would have been made."""
    answers = [attempt("1", "cot", free=True), *(attempt("1", name, right=True) for name in ("cot", "l2m", "pot"))]
    rule = AttemptsMeasured(trying=TRYING, problem_set="validation")
    figures, (row,) = applied(tmp_path, rule, answers, answers, answers, problems="1")
    assert (row["worked"], row["attempts"]) == ("pot", "2")
    assert figures["by_attempt"] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("accept", "asked", "trained"), [(Accept.ANSWER, 0, "cot"), (Accept.SOUND, 1, "pot")])
def test_what_is_right_by_chance_worked_or_not(tmp_path: Path, accept: Accept, asked: int, trained: str):
    trying = replace(TRYING, accept=accept, num_attempts=2)
    lucky = [attempt("1", "cot", free=True, right=True, sound=False)]
    _, asks = applied(tmp_path, NextAttempt(trying=trying, attempt=2), lucky, problems="1")
    assert len(asks) == asked
    rule = WhatWorked(trying=trying, templates=TEMPLATES, beside=Beside.NONE)
    _, (row,) = applied(tmp_path, rule, lucky, [attempt("1", "pot", right=True)], problems="1")
    assert row["strategy"] == trained


def test_soundness_that_was_never_judged_is_said(tmp_path: Path):
    rule = WhatWorked(trying=replace(TRYING, accept=Accept.SOUND, num_attempts=1), templates=TEMPLATES)
    with pytest.raises(UserError, match="did not judge their reasoning"):
        applied(tmp_path, rule, [replace(attempt("1", "cot", free=True, right=True), sound=None)])


def test_nothing_tried_is_no_error(tmp_path: Path):
    figures, rows = applied(tmp_path, AttemptsMeasured(trying=TRYING, problem_set="train"), [], [], [])
    assert rows == [] and figures["by_attempt"] == [0.0] * 3 and figures["mean_attempts"] is None


def test_a_context_follows_the_students_prompt():
    strategies = (Strategy(name="pot", kind=AnswerKind.PROGRAM, instruction=""),)
    render = StudentPrompts(templates=TEMPLATES, strategies=strategies)
    plain, after = render("Q", "pot", None), render("Q", "pot", "that failed")
    assert after.prompt == plain.prompt + "that failed" and after.forced == plain.forced == "[pot]:"
