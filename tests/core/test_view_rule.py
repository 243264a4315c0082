"""Rows of views: which rationales are trained on, and what changes none of them."""

from collections.abc import Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.reasoning import Accept
from siked_ray.core.rollout import Rollout
from siked_ray.core.verdict import Verdict
from siked_ray.core.view_rule import ViewRule
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.errors import UserError
from tests.core.test_mixture_rule import rollout

SUFFIXES = {"cot": "Step by step.", "pot": "By a program.", "formula": "By a formula."}
TEMPLATES = PromptTemplates(
    teacher="",
    demonstration="",
    student="Q: {question}\nA:",
    of_strategy={name: f"Q: {{question}}\n{suffix}\nA:" for name, suffix in SUFFIXES.items()},
)
PROBLEMS = [
    {"problem_id": i, "dataset": "svamp" if i == "3" else "gsm8k", "split": "", "question": f"Q{i}", "answer": ""}
    for i in "123"
]


def rule(*views: str, **more: Any) -> ViewRule:
    return ViewRule(views=views, templates=TEMPLATES, **more)


def rows_of(made: ViewRule, rollouts: Sequence[Rollout]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    with TemporaryDirectory() as folder, sql_engine() as connection:
        storage = Storage(folder)
        storage.write_parquet("teacher.parquet", table("rollouts", rollouts))
        storage.write_parquet("problems.parquet", table("problems", PROBLEMS))
        sql = SqlTables(connection, storage)
        sql.attach("rollouts", teacher_rollouts=["teacher.parquet"])
        sql.attach("problems", problems=["problems.parquet"])
        selected = made.apply(sql)
        sql.write("rows.parquet", selected.query, made.columns, made.finish)
        return dict(selected.figures), storage.read_parquet("rows.parquet").to_pylist()


WRITTEN = [
    rollout("1"),
    rollout("1", strategy="pot"),
    rollout("2", verdict=Verdict.WRONG),
    rollout("3"),
    rollout("1", verdict=Verdict.UNPARSED, strategy="formula"),
    rollout("2", verdict=Verdict.WRONG, strategy="formula"),
    rollout("3", strategy="formula"),
]


def test_the_same_question_with_two_suffixes_differs_only_after_the_question():
    _, rows = rows_of(rule("cot", "pot"), WRITTEN)
    cot, pot = (
        next(row for row in rows if (row["problem_id"], row["strategy"]) == ("1", name))
        for name in SUFFIXES
        if name != "formula"
    )
    assert cot["prompt"] == "Q: Q1\nStep by step.\nA:" and pot["prompt"] == "Q: Q1\nBy a program.\nA:"
    assert cot["response"] == "[cot]: t 1 cot 0" and pot["response"] == "[pot]: t 1 pot 0"


def test_a_wrong_row_is_left_out_and_one_of_a_noisy_view_is_trained_on_and_flagged():
    figures, rows = rows_of(rule("cot", "formula", noisy=("formula",)), WRITTEN)
    assert [(row["strategy"], row["problem_id"], row["noisy"], row["verdict"]) for row in rows] == [
        ("cot", "1", "", "correct"),
        ("cot", "3", "", "correct"),
        ("formula", "1", "noisy", "unparsed"),
        ("formula", "2", "noisy", "wrong"),
        ("formula", "3", "", "correct"),
    ]
    assert (figures["rows"], figures["noisy"]) == (5, 2)
    of_gsm8k = {"rationales": 2, "right": 1, "wrong": 1, "unchecked": 0, "rows": 1, "noisy": 0}
    of_svamp = {"rationales": 1, "right": 1, "wrong": 0, "unchecked": 0, "rows": 1, "noisy": 0}
    assert figures["views"] == {
        "cot": {"gsm8k": of_gsm8k, "svamp": of_svamp},
        "formula": {"gsm8k": {**of_gsm8k, "right": 0, "unchecked": 1, "rows": 2, "noisy": 2}, "svamp": of_svamp},
    }


def test_a_problem_counts_once_in_each_view():
    both = [rollout("1", 0, by="a"), rollout("1", 1, by="b"), rollout("1", 2, Verdict.WRONG, by="c")]
    figures, rows = rows_of(rule("cot"), both)
    assert figures["rows"] == 1 and [row["problem_id"] for row in rows] == ["1"]


def test_what_was_cut_off_or_is_empty_is_no_row_of_a_noisy_view():
    cut = replace(rollout("1", verdict=Verdict.WRONG), truncated=True)
    empty = replace(rollout("2", verdict=Verdict.UNPARSED), completion="  ")
    _, rows = rows_of(rule("cot", noisy=("cot",)), [cut, empty, rollout("3")])
    assert [row["problem_id"] for row in rows] == ["3"]


def test_only_sound_rows_where_that_is_asked_for():
    written = [replace(rollout("1"), sound=True), replace(rollout("2"), sound=False), rollout("3")]
    figures, rows = rows_of(rule("cot", accept=Accept.SOUND), written)
    assert [row["problem_id"] for row in rows] == ["1"]
    assert figures["views"]["cot"]["gsm8k"]["wrong"] == 1


def test_a_view_without_a_row_is_named():
    with pytest.raises(UserError, match=r"The view formula has no row .* none of its 1 rationales .* options\.noisy"):
        rows_of(rule("cot", "formula"), [rollout("1"), rollout("2", verdict=Verdict.WRONG, strategy="formula")])


_ROLLOUTS = st.lists(
    st.builds(
        rollout,
        st.sampled_from("123"),
        st.integers(0, 2),
        st.sampled_from([Verdict.CORRECT, Verdict.WRONG, Verdict.UNPARSED]),
        st.sampled_from([*SUFFIXES]),
        st.sampled_from("ab"),
    ),
    max_size=12,
    unique_by=lambda one: one.request_id,
)


@settings(max_examples=40)
@given(_ROLLOUTS, st.sets(st.sampled_from([*SUFFIXES])))
def test_adding_a_view_changes_no_row_of_another(drawn: list[Rollout], noisy: set[str]):
    written = [*drawn, *(rollout("1", 9, strategy=name, by="z") for name in SUFFIXES)]
    options = {"noisy": tuple(sorted(noisy))}
    alone = {name: rows_of(rule(name, **options), written)[1] for name in SUFFIXES}
    for views in (("cot", "pot"), ("formula", "pot", "cot")):
        _, rows = rows_of(rule(*views, **options), written)
        assert {name: [row for row in rows if row["strategy"] == name] for name in views} == {
            name: alone[name] for name in views
        }, "byte for byte, in their order"


@settings(max_examples=40)
@given(_ROLLOUTS, st.randoms(use_true_random=False))
def test_the_union_does_not_depend_on_the_order_of_what_was_written(drawn: list[Rollout], random: Any):
    written = [*drawn, *(rollout("1", 9, strategy=name, by="z") for name in SUFFIXES)]
    shuffled = [*written]
    random.shuffle(shuffled)
    made = rule(*SUFFIXES, noisy=("formula",))
    assert rows_of(made, written) == rows_of(made, shuffled)


def test_what_makes_a_rule_this_one():
    assert rule("cot").arguments == rule("cot", noisy=("pot",)).arguments, "of another view"
    assert rule("cot").arguments != rule("cot", noisy=("cot",)).arguments
    other = replace(TEMPLATES, of_strategy={**TEMPLATES.of_strategy, "cot": "Q: {question} now\nA:"})
    assert rule("cot").arguments != replace(rule("cot"), templates=other).arguments
    assert rule("pot").arguments == replace(rule("pot"), templates=other).arguments
    assert rule("cot", "pot").max_rows({"problems": 5, "teacher_rollouts": 99}) == 10
