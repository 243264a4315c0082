"""Policies on tables, by the SQL engine, against the golden sets and against a plain reading of the definitions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_ray.core.ids import content_hash
from siked_ray.core.mixture import ONE_ROW_EACH, MixtureRules, Policy
from siked_ray.core.mixture_rule import TRAINING_ROWS, MixtureRule, keep_first, mix
from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.reasoning import Accept
from siked_ray.core.rollout import Rollout
from siked_ray.core.verdict import Verdict
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.errors import ConfigError, UserError
from tests.plain_rollout import PLAIN

TEMPLATES = PromptTemplates(teacher="", demonstration="", student="Solve {question}\n")
STRATEGIES = ["cot", "l2m", "pot"]


def rollout(
    problem: str, index: int = 0, verdict: Verdict = Verdict.CORRECT, strategy: str = "cot", by: str = "t"
) -> Rollout:
    return replace(
        PLAIN,
        request_id=f"{by}-{problem}-{strategy}-{index}",
        problem_id=problem,
        requested=strategy,
        ask_id=strategy,
        strategy=strategy,
        sample_index=index,
        completion=f"{by} {problem} {strategy} {index}",
        verdict=verdict,
    )


class Made:
    """A mixture's figures and its training rows."""

    def __init__(self, figures: dict[str, Any], rows: list[dict[str, str]]) -> None:
        self.counts, self.kl, self.rows = figures["mixture"], figures["kl_mixture_student"], rows

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        return [(row["strategy"], row["problem_id"], row["source"]) for row in self.rows]


Make = Callable[..., Made]


def make_in(storage: Storage) -> Make:
    def make(
        teacher: list[Rollout],
        student: list[Rollout],
        policy: Policy = Policy.ADAPTIVE,
        *,
        iteration: int = 1,
        strategies: list[str] = STRATEGIES,
        accept: Accept = Accept.ANSWER,
        **rules,
    ) -> Made:
        parts = {"teacher": ["teacher/1.parquet", "teacher/2.parquet"], "student": ["student/1.parquet"]}
        half = len(teacher) // 2
        for name, rollouts in zip(
            [*parts["teacher"], *parts["student"]], (teacher[:half], teacher[half:], student), strict=True
        ):
            storage.write_parquet(name, table("rollouts", rollouts))
        ids = sorted({one.problem_id for one in (*teacher, *student)})
        problems = [
            {"problem_id": i, "dataset": "", "split": "", "question": f"question {i}", "answer": ""} for i in ids
        ]
        storage.write_parquet("problems.parquet", table("problems", problems))
        rule = MixtureRule(
            strategies=tuple(strategies),
            rules=MixtureRules(policy=policy, **rules),
            iteration=iteration,
            templates=TEMPLATES,
            accept=accept,
        )
        with sql_engine() as connection:
            sql = SqlTables(connection, storage)
            sql.attach("rollouts", teacher_rollouts=parts["teacher"], student_rollouts=parts["student"])
            sql.attach("problems", problems=["problems.parquet"])
            figures = mix(sql, keep_first(sql, strategies, rule.accept), strategies, rule.rules, iteration)
            sql.write("mixture.parquet", TRAINING_ROWS, rule.columns, rule.finish)
        return Made(figures, storage.read_parquet("mixture.parquet").to_pylist())

    return make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return make_in(Storage(str(tmp_path)))


def test_the_lowest_correct_sample_is_kept_whenever_it_arrived(make: Make):
    rollouts = [rollout("1", 7), rollout("1", 0, Verdict.WRONG), rollout("1", 3), rollout("1", 5)]
    for order in (rollouts, rollouts[::-1]):
        assert [row["request_id"] for row in make(order, []).rows] == ["t-1-cot-3"]


def test_only_what_is_correct_is_kept(make: Make):
    rollouts = [rollout(verdict.value, 0, verdict) for verdict in Verdict]
    assert [row["problem_id"] for row in make(rollouts, []).rows] == ["correct"]


def test_a_sample_that_was_stored_twice_counts_once(make: Make):
    made = make([rollout("1"), rollout("1"), rollout("2"), rollout("1")], [])
    assert made.counts["rows"] == len(made.rows) == 2


def test_a_strategy_that_is_not_in_use_is_left_out(make: Make):
    made = make(
        [rollout("1"), rollout("1", strategy="pot")], [rollout("2", strategy="l2m", by="s")], strategies=["pot"]
    )
    assert made.keys == [("pot", "1", "teacher")]


TEACHER = [rollout(problem) for problem in "234"]
STUDENT = [rollout(problem, by="s") for problem in "12"]


@pytest.mark.parametrize(
    ("policy", "rows", "alpha"),
    [(Policy.ADAPTIVE, 4, 0.5), (Policy.ALL, 5, 0.6), (Policy.SELF_ONLY, 2, 0.0), (Policy.TEACHER_ONLY, 3, 1.0)],
)
def test_golden_mixtures(make: Make, policy: Policy, rows: int, alpha: float):
    made = make(TEACHER, STUDENT, policy)
    assert (made.counts["policy"], made.counts["rows"], made.counts["alpha"]) == (policy.value, rows, alpha)
    assert made.counts["by_strategy"]["cot"]["alpha"] == alpha
    assert made.counts["by_strategy"]["pot"] == {"rows": 0, "teacher_rows": 0, "student_rows": 0, "alpha": None}
    assert made.counts["teacher_rows"] + made.counts["student_rows"] == len(made.rows) == rows


def test_the_table_of_the_golden_mixture(make: Make):
    made = make(TEACHER, STUDENT)
    assert made.rows[1] == {
        "problem_id": "2",
        "strategy": "cot",
        "source": "student",
        "prompt": "Solve question 2\n",
        "response": "[cot]: s 2 cot 0",
        "request_id": "s-2-cot-0",
    }
    assert [row["source"] for row in made.rows] == ["student", "student", "teacher", "teacher"]


@pytest.mark.parametrize("policy", list(Policy))
def test_iteration_zero_is_plain_distillation_whatever_the_policy(make: Make, policy: Policy):
    made = make(TEACHER, [], policy, iteration=0)
    assert (made.counts["policy"], made.counts["rows"], made.counts["alpha"]) == ("teacher_only", 3, 1.0)
    assert made.kl is None


def test_a_student_that_solves_nothing_leaves_the_teacher(make: Make):
    made = make(TEACHER, [rollout("2", verdict=Verdict.WRONG, by="s")])
    assert (made.counts["policy"], made.counts["alpha"], made.kl) == ("adaptive", 1.0, None)


def test_kl_is_over_the_strategy_histograms_of_mixture_and_student(make: Make):
    teacher = [rollout(problem, strategy="pot") for problem in "123"]
    made = make(teacher, [rollout("1", by="s"), rollout("1", strategy="pot", by="s")])
    assert made.counts["rows"] == 4  # cot 1, pot 3 against the student's 1 and 1
    assert made.kl == pytest.approx(0.130812, abs=1e-6)


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        (("cot", "pot", "l2m"), [("cot", "1", "teacher"), ("cot", "2", "student"), ("l2m", "3", "teacher")]),
        (("pot", "cot", "l2m"), [("cot", "2", "student"), ("l2m", "3", "teacher"), ("pot", "1", "student")]),
        (("l2m", "pot", "cot"), [("cot", "2", "student"), ("l2m", "3", "teacher"), ("pot", "1", "student")]),
    ],
)
def test_biased_keeps_one_row_per_problem_in_the_scripts_orders(make: Make, order, kept):
    teacher = [rollout("1"), rollout("2"), rollout("3", strategy="l2m"), rollout("1", strategy="pot")]
    student = [rollout("1", strategy="pot", by="s"), rollout("2", by="s")]
    assert make(teacher, student, Policy.BIASED, order=order).keys == kept


def test_fixed_alpha_prefers_the_teacher_where_the_student_has_nothing(make: Make):
    made = make([rollout(p) for p in "12345"], [rollout(p, by="s") for p in "123"], Policy.FIXED_ALPHA, alphas=(0.4,))
    taught = [problem for _, problem, source in made.keys if source == "teacher"]
    assert (made.counts["rows"], made.counts["alpha"], taught) == (5, 0.4, ["4", "5"])


def test_kl_target_stays_within_its_bound(make: Make):
    teacher = [rollout(str(p)) for p in range(100)]
    student = [rollout(str(p), strategy=s, by="s") for p in range(10) for s in ("cot", "pot")]
    made = make(teacher, student, Policy.KL_TARGET, kl_bound=0.130813)
    assert made.counts["by_strategy"]["cot"]["teacher_rows"] == 20  # (10 + 20) / 40 = 3/4 cot, as by hand
    assert made.kl == pytest.approx(0.130812, abs=1e-6)


KEYS = st.lists(st.tuples(st.sampled_from(STRATEGIES), st.sampled_from("abcdefgh")), unique=True, max_size=16)


def expected_keys(policy: Policy, order: tuple[str, ...], taught: set, own: set) -> set[tuple[str, str, str]]:
    """The definitions of METHOD.md, word for word."""
    student = {(s, q, "student") for s, q in own}
    teacher = {(s, q, "teacher") for s, q in taught}
    if policy is Policy.SELF_ONLY:
        return student
    if policy is Policy.TEACHER_ONLY:
        return teacher
    if policy is Policy.ALL:
        return student | teacher
    adaptive = student | {(s, q, by) for s, q, by in teacher if (s, q) not in own}
    if policy is Policy.ADAPTIVE:
        return adaptive
    if policy is Policy.BY_PROBLEM:
        return student | {(s, q, by) for s, q, by in teacher if q not in {q for _, q in own}}
    problems = {q for _, q, _ in adaptive}
    return {min((row for row in adaptive if row[1] == q), key=lambda row: order.index(row[0])) for q in problems}


@settings(max_examples=40, deadline=None)
@given(
    KEYS,
    KEYS,
    st.sampled_from([*(ONE_ROW_EACH - {Policy.BEST_STRATEGY}), Policy.ALL]),
    st.permutations(STRATEGIES),
)
def test_tables_follow_the_definitions(tmp_path_factory, taught, own, policy: Policy, order: list[str]):
    make = make_in(Storage(str(tmp_path_factory.mktemp("mix"))))
    teacher = [rollout(q, strategy=s) for s, q in taught]
    student = [rollout(q, strategy=s, by="s") for s, q in own]
    made = make(teacher, student, policy, order=tuple(order))
    assert made.keys == sorted(expected_keys(policy, tuple(order), set(taught), set(own)))
    ids = sorted(f"{row['source']}:{row['request_id']}:{row['strategy']}" for row in made.rows)
    assert made.counts["sha256"] == content_hash(*ids, num_chars=64)


def samples(problem: str, strategy: str, right: int, of: int = 4) -> list[Rollout]:
    """The last `right` samples of the student are."""
    return [
        rollout(problem, i, Verdict.CORRECT if i >= of - right else Verdict.WRONG, strategy, by="s") for i in range(of)
    ]


def test_best_strategy_keeps_what_succeeds_most_often_and_ties(make: Make):
    teacher = [rollout(problem, strategy=strategy) for problem in "1234" for strategy in STRATEGIES]
    student = [
        *(samples("1", "cot", 1) + samples("1", "pot", 3) + samples("1", "l2m", 0)),
        *(samples("2", "cot", 2) + samples("2", "pot", 2) + samples("2", "l2m", 1)),
        *(samples("3", "cot", 0) + samples("3", "pot", 0) + samples("3", "l2m", 0)),
        *samples("4", "l2m", 1, of=5),
    ]
    made = make([*teacher, *teacher], [*student, *student[:3]], Policy.BEST_STRATEGY)
    own = [(row["strategy"], row["problem_id"], row["request_id"]) for row in made.rows if row["source"] == "student"]
    assert own == [
        ("cot", "2", "s-2-cot-2"),
        ("l2m", "4", "s-4-l2m-4"),
        ("pot", "1", "s-1-pot-1"),
        ("pot", "2", "s-2-pot-2"),
    ], "the first right sample of each; what is stored twice counts once"
    taught = [(row["strategy"], row["problem_id"]) for row in made.rows if row["source"] == "teacher"]
    assert taught == [(strategy, "3") for strategy in STRATEGIES], "all of the teacher's where the student has nothing"


def test_what_counts_as_a_success_is_what_is_accepted(make: Make):
    lucky = [replace(one, sound=False) for one in samples("1", "cot", 3)]
    sound = [replace(one, sound=True) for one in samples("1", "pot", 1)]
    for accept, strategy in ((Accept.ANSWER, "cot"), (Accept.SOUND, "pot")):
        made = make([], lucky + sound, Policy.BEST_STRATEGY, accept=accept)
        assert [row["strategy"] for row in made.rows] == [strategy]


@pytest.mark.parametrize("sampling", ["generation.keep=1", "generation={keep: all, num_samples: 1}"])
def test_best_strategy_needs_all_samples(make_config, sampling: str):
    with pytest.raises(ConfigError, match=r"set generation\.keep to all"):
        make_config("mixture.policy=best_strategy", sampling)
    assert make_config("mixture.policy=best_strategy", "generation={keep: all, num_samples: 2}")


def test_only_sound_rows_where_they_are_asked_for(make: Make):
    """The teacher's first sample is right by luck; the student has nothing else."""
    teacher = [replace(rollout("1", 0), sound=False), replace(rollout("1", 1), sound=True)]
    student = [replace(rollout("1", by="s"), sound=False)]
    taken = {accept: make(teacher, student, accept=accept) for accept in Accept}
    assert [row["request_id"] for row in taken[Accept.ANSWER].rows] == ["s-1-cot-0"]
    assert [row["request_id"] for row in taken[Accept.SOUND].rows] == ["t-1-cot-1"]


def test_rollouts_whose_reasoning_was_never_judged_cannot_be_asked_for_it(make: Make):
    with pytest.raises(UserError, match="2 correct rollouts were stored"):
        make([rollout("1"), rollout("2"), rollout("3", verdict=Verdict.WRONG)], [], accept=Accept.SOUND)


@pytest.mark.parametrize("policy", sorted(ONE_ROW_EACH | {Policy.ALL}))
def test_the_order_of_arrival_does_not_matter(make: Make, policy: Policy):
    teacher, order = [*TEACHER, *(rollout(problem, strategy="pot") for problem in "145")], ("pot", "l2m", "cot")
    made, again = make(teacher, STUDENT, policy, order=order), make(teacher[::-1], STUDENT[::-1], policy, order=order)
    assert (made.rows, made.counts) == (again.rows, again.counts)


def test_the_hash_spans_batches(make: Make, monkeypatch: pytest.MonkeyPatch):
    whole = make(TEACHER, STUDENT, Policy.ALL)
    monkeypatch.setattr("siked_ray.data.tables._BATCH_ROWS", 2)
    assert make(TEACHER, STUDENT, Policy.ALL).counts["sha256"] == whole.counts["sha256"]


def test_wrong_solutions_are_a_third_source(tmp_path: Path):
    """The student's first that came to an end, of each (problem, strategy), whether or not it has a right one."""
    storage = Storage(str(tmp_path))
    student = [
        rollout("1", 0, Verdict.WRONG, by="s"),
        rollout("1", 1, by="s"),
        replace(rollout("2", 0, Verdict.WRONG, by="s"), truncated=True),
        rollout("2", 1, Verdict.WRONG, by="s"),
        rollout("2", 2, Verdict.WRONG, by="s"),
        rollout("3", 0, Verdict.UNPARSED, by="s"),
        rollout("3", 0, Verdict.WRONG, strategy="pot", by="s"),
    ]
    storage.write_parquet("teacher.parquet", table("rollouts", TEACHER))
    storage.write_parquet("student.parquet", table("rollouts", student))
    problems = [{"problem_id": i, "dataset": "", "split": "", "question": f"Q{i}", "answer": ""} for i in "1234"]
    storage.write_parquet("problems.parquet", table("problems", problems))
    rule = MixtureRule(
        strategies=tuple(STRATEGIES),
        rules=MixtureRules(policy=Policy.ADAPTIVE),
        iteration=1,
        templates=TEMPLATES,
        with_wrong=True,
    )
    with sql_engine() as connection:
        sql = SqlTables(connection, storage)
        sql.attach("rollouts", teacher_rollouts=["teacher.parquet"], student_rollouts=["student.parquet"])
        sql.attach("problems", problems=["problems.parquet"])
        selected = rule.apply(sql)
        sql.write("mixture.parquet", selected.query, rule.columns, rule.finish)
    rows = storage.read_parquet("mixture.parquet").to_pylist()
    wrong = {row["request_id"]: row for row in rows if row["source"] == "wrong"}
    assert list(wrong) == ["s-1-cot-0", "s-2-cot-1", "s-3-pot-0"]
    assert wrong["s-3-pot-0"]["response"] == "[pot]: s 3 pot 0" and "Q3" in wrong["s-3-pot-0"]["prompt"]
    counts = selected.figures["mixture"]
    assert (counts["rows"], counts["alpha"], len(rows)) == (4, 0.75, 7), "what is learnt as text is as without them"
    found = counts["wrong"]
    assert (found["rows"], found["share"]) == (3, 3 / 7)
    assert found["by_strategy"] == dict.fromkeys(STRATEGIES, 0) | {"cot": 2, "pot": 1}
    assert found["kl_with_wrong"] > 0 and rule.arguments["with_wrong"] is True
    assert rule.max_rows({"problems": 4, "student_rollouts": 9}) == 4 * len(STRATEGIES) * 2
