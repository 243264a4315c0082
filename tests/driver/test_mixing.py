import pytest

from siked_ray.core.mixture import Policy, Source
from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.verdict import Verdict
from siked_ray.driver.mixing import keep_first_correct, mix

TEMPLATES = PromptTemplates(teacher="", demonstration="", student="Solve {question}\n")
QUESTIONS = {str(index): f"question {index}" for index in range(9)}


def rollout(problem: str, index: int, verdict: str = "correct", strategy: str = "cot", by: str = "t") -> dict:
    return {
        "request_id": f"{by}-{problem}-{strategy}-{index}",
        "problem_id": problem,
        "strategy": strategy,
        "sample_index": index,
        "completion": f"{by} {problem} {strategy} {index}",
        "verdict": verdict,
    }


def test_the_lowest_correct_sample_is_kept_whenever_it_arrived():
    rollouts = [rollout("1", 7), rollout("1", 0, "wrong"), rollout("1", 3), rollout("1", 5)]
    for order in (rollouts, rollouts[::-1]):
        kept = keep_first_correct(order, Source.TEACHER)
        assert [row.request_id for row in kept.rows] == ["t-1-cot-3"]
        assert kept.rationales == {"t-1-cot-3": "t 1 cot 3"}


@pytest.mark.parametrize("verdict", [verdict.value for verdict in Verdict if verdict is not Verdict.CORRECT])
def test_only_what_is_correct_is_kept(verdict: str):
    assert keep_first_correct([rollout("1", 0, verdict)], Source.STUDENT).rows == ()


def test_strategies_and_problems_are_kept_apart():
    rollouts = [rollout("2", 0), rollout("1", 0), rollout("1", 0, strategy="pot")]
    kept = keep_first_correct(rollouts, Source.STUDENT)
    assert [(row.strategy, row.problem_id) for row in kept.rows] == [("cot", "1"), ("cot", "2"), ("pot", "1")]
    assert {row.source for row in kept.rows} == {Source.STUDENT}


def kept(source: Source, *problems: str, strategy: str = "cot"):
    by = source.value
    return keep_first_correct([rollout(problem, 0, strategy=strategy, by=by) for problem in problems], source)


TEACHER, STUDENT = kept(Source.TEACHER, "2", "3", "4"), kept(Source.STUDENT, "1", "2")


def test_the_table_of_the_golden_mixture():
    mixed = mix(Policy.ADAPTIVE, TEACHER, STUDENT, QUESTIONS, ["cot"], TEMPLATES)
    assert mixed.table_rows[1] == {
        "problem_id": "2",
        "strategy": "cot",
        "source": "student",
        "prompt": "Solve question 2\n",
        "response": "[cot]: student 2 cot 0",
        "request_id": "student-2-cot-0",
    }
    assert [row["source"] for row in mixed.table_rows] == ["student", "student", "teacher", "teacher"]


@pytest.mark.parametrize(
    ("policy", "rows", "alpha"), [(Policy.ADAPTIVE, 4, 0.5), (Policy.ALL, 5, 0.6), (Policy.SELF_ONLY, 2, 0.0)]
)
def test_counts_of_the_golden_mixtures(policy: Policy, rows: int, alpha: float):
    mixed = mix(policy, TEACHER, STUDENT, QUESTIONS, ["cot", "pot"], TEMPLATES)
    assert (mixed.counts["policy"], mixed.counts["rows"], mixed.counts["alpha"]) == (policy.value, rows, alpha)
    assert mixed.counts["by_strategy"]["cot"]["alpha"] == alpha
    assert mixed.counts["by_strategy"]["pot"] == {"rows": 0, "teacher_rows": 0, "student_rows": 0, "alpha": None}
    assert len(mixed.counts["sha256"]) == 64
    assert len(mixed.table_rows) == rows


@pytest.mark.parametrize("policy", list(Policy))
def test_iteration_zero_is_plain_distillation_whatever_the_policy(policy: Policy):
    mixed = mix(policy, TEACHER, None, QUESTIONS, ["cot"], TEMPLATES)
    assert (mixed.counts["policy"], mixed.counts["rows"], mixed.counts["alpha"]) == ("teacher_only", 3, 1.0)
    assert mixed.kl_mixture_student is None


def test_a_student_that_solves_nothing_leaves_the_teacher():
    mixed = mix(Policy.ADAPTIVE, TEACHER, kept(Source.STUDENT), QUESTIONS, ["cot"], TEMPLATES)
    assert (mixed.counts["policy"], mixed.counts["alpha"], mixed.kl_mixture_student) == ("adaptive", 1.0, None)


def test_kl_is_over_the_strategy_histograms_of_mixture_and_student():
    teacher = kept(Source.TEACHER, "1", "2", "3", strategy="pot")
    student = keep_first_correct([rollout("1", 0), rollout("1", 0, strategy="pot")], Source.STUDENT)
    mixed = mix(Policy.ADAPTIVE, teacher, student, QUESTIONS, ["cot", "pot"], TEMPLATES)
    assert mixed.counts["rows"] == 4  # cot 1, pot 3 against the student's 1 and 1
    assert mixed.kl_mixture_student == pytest.approx(0.130812, abs=1e-6)
