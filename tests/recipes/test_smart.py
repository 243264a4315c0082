"""The student tries until it is right, and learns to begin with what worked."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siked_ray.cli import main
from siked_ray.core.ids import content_hash
from siked_ray.core.objective import CROSS_ENTROPY
from siked_ray.core.rollout import FREE
from siked_ray.core.training_plan import Length
from siked_ray.recipes import siked, smart
from tests.recipes.stub_lab import StubLab
from tests.recipes.test_siked import RISING, TEACHER_MODEL, FakeLab, Make

SETTINGS = ("recipe=smart", TEACHER_MODEL, "iterations={max: 1, patience: 20, max_share: 1.0, max_drop: 1.0}")
STRATEGIES = ["cot", "l2m", "pot"]
#: Golden: which strategies solve a problem, and which the student chooses first.
SOLVED_BY = {"p1": {"pot"}, "p2": {"cot"}, "p3": set(), "p4": {"l2m"}}
CHOSEN = {"p1": "cot", "p2": "pot", "p3": "l2m", "p4": None}


def order(seed: int, problem: str, names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: content_hash("smart", seed, problem, name))


def scripted(folder: Path, solved_by: dict[str, set[str]], chosen: dict[str, str | None], **more: Any) -> StubLab:
    """A lab whose training problems are solved by some strategies, always, and whose student chooses as it is told."""
    return StubLab(
        folder=folder,
        strategies=STRATEGIES,
        problems=list(solved_by),
        solves=lambda problem, strategy: float(strategy in solved_by.get(problem, ())),
        chooses=lambda problem: chosen.get(problem, "cot"),
        **more,
    )


def asks(lab: StubLab, attempt: int) -> list[tuple[str, str]]:
    rows = lab.rows(f"tables/01_rollouts_asks_{attempt}")
    return [(row["problem_id"], row["requested"]) for row in rows]


def own_rows(lab: StubLab) -> list[dict[str, Any]]:
    return [row for row in lab.rows("mixtures/iteration_01") if row["source"] == "student"]


def test_iteration_0_is_sikeds_and_each_later_one_tries_and_learns(make_config: Make):
    lab = FakeLab(RISING)
    smart.run(lab, make_config(*SETTINGS, "strategies=[cot, pot]"))
    measured = ("table_00_attempts_validation", "table_00_attempts_more", "evaluation_00", "decision_00")
    assert lab.work[:7] == ["rollouts_teacher", "mixture_00", "training_00", "answers_00", *measured][:7]
    assert lab.work[8:13] == [
        *("rollouts_01_try_1", "table_01_rollouts_asks_2", "rollouts_01_try_2", "mixture_01", "training_01")
    ]
    assert lab.work[-1] == "decision_01" and lab.starts == ["student", "student 0"]
    weights, asked, how = lab.asked["rollouts_01_try_1"]
    assert (weights, asked.requested, how.num_samples, how.keep) == ("student 0", (FREE,), 1, None)
    assert lab.asked["rollouts_01_try_2"][1].table.file == "table_01_rollouts_asks_2"
    assert lab.objectives["training_01"] == (CROSS_ENTROPY, None, [])
    assert list(lab.compared["evaluation_01"]) == ["previous", "iteration_0"]


def test_the_golden_trace(make_config: Make, tmp_path: Path):
    lab = scripted(tmp_path, SOLVED_BY, CHOSEN)
    smart.run(lab, make_config(*SETTINGS, "options={attempts: 3, teacher_rows: none}"))
    assert asks(lab, 2) == [("p1", "pot"), ("p2", "l2m"), ("p3", "pot"), ("p4", "l2m")]
    assert asks(lab, 3) == [("p2", "cot"), ("p3", "cot")]
    rows = lab.rows("mixtures/iteration_01")
    assert {row["problem_id"]: row["strategy"] for row in rows} == {"p1": "pot", "p2": "cot", "p4": "l2m"}
    figures = lab.figures("mixture_01")["attempts"]
    assert figures["by_attempt"] == [0.0, 0.5, 0.75] and figures["mean_attempts"] == 2.5
    assert figures["switched"] == {"cot": {"pot": 1}, "none": {"l2m": 1}, "pot": {"cot": 1}}


@pytest.mark.parametrize(
    ("seed", "orders"),
    [(42, ["pot l2m cot", "l2m pot cot", "l2m pot cot"]), (7, ["cot pot l2m", "cot pot l2m", "pot cot l2m"])],
)
def test_the_golden_orders(make_config: Make, tmp_path: Path, seed: int, orders: list[str]):
    """Without a known tag in the first attempt all strategies come, in the problem's order."""
    problems = ["p1", "p2", "p3"]
    lab = scripted(tmp_path, {one: set() for one in problems}, dict.fromkeys(problems))
    smart.run(lab, make_config(*SETTINGS, f"seed={seed}", "options.attempts=4"))
    tried = [dict(asks(lab, attempt)) for attempt in (2, 3, 4)]
    assert [" ".join(one[problem] for one in tried) for problem in problems] == orders
    assert [" ".join(order(seed, problem, STRATEGIES)) for problem in problems] == orders


def test_what_took_two_attempts_is_learnt_as_the_first(make_config: Make, tmp_path: Path):
    lab = scripted(tmp_path, {"p1": {"pot"}}, {"p1": "cot"})
    smart.run(lab, make_config(*SETTINGS))
    (row,) = lab.rows("mixtures/iteration_01")
    assert row["response"].startswith("[pot]: ") and row["source"] == "student"
    config = make_config(*SETTINGS)
    assert row["prompt"] == config.prompts.student.format(question="Q p1")


def test_a_run_ends_where_nothing_works(make_config: Make, tmp_path: Path):
    lab = scripted(tmp_path, {"p1": set(), "p2": set()}, {"p1": "cot", "p2": "pot"})
    decision = smart.run(lab, make_config(*SETTINGS, "iterations.max=3"))
    assert decision.stop and decision.best_iteration == 0 and "no attempt solved" in decision.reason
    assert own_rows(lab) == [] and "training_01" not in lab.students


def test_an_order_of_ones_own_holds_for_all_problems(make_config: Make, tmp_path: Path):
    lab = scripted(tmp_path, SOLVED_BY, CHOSEN)
    smart.run(lab, make_config(*SETTINGS, "options.order=[pot, cot, l2m]"))
    assert asks(lab, 2) == [("p1", "pot"), ("p2", "cot"), ("p3", "pot"), ("p4", "pot")]


@pytest.mark.parametrize(
    ("beside", "told"), [("none", []), ("fill", ["p3"]), ("all", sorted([*SOLVED_BY] * 3))], ids=lambda one: str(one)
)
def test_what_the_teacher_adds(make_config: Make, tmp_path: Path, beside: str, told: list[str]):
    """To `fill`, one solution of what no attempt solved, by the first strategy of the problem's order."""
    lab = scripted(tmp_path, SOLVED_BY, CHOSEN)
    smart.run(lab, make_config(*SETTINGS, f"options.teacher_rows={beside}"))
    rows = [row for row in lab.rows("mixtures/iteration_01") if row["source"] == "teacher"]
    assert sorted(row["problem_id"] for row in rows) == told
    assert len(own_rows(lab)) == 3
    if beside == "fill":
        assert rows[0]["strategy"] == order(42, "p3", STRATEGIES)[0]


def test_to_refine_is_to_see_what_failed(make_config: Make, tmp_path: Path):
    lab = scripted(tmp_path, SOLVED_BY, CHOSEN, held_out=("p1", "p3"))
    smart.run(lab, make_config(*SETTINGS, "options={refine: true, retry_prompt: ' {attempt} Wrong. '}"))
    contexts = {row["problem_id"]: row["context"] for row in lab.rows("tables/01_rollouts_asks_2")}
    assert contexts["p1"] == " [cot]: rollouts_01_try_1 p1 wrong Wrong. "
    assert contexts["p4"] == " rollouts_01_try_1 p4 wrong Wrong. ", "no tag, as it was"
    (third,) = [one for one in lab.rows("tables/01_rollouts_asks_3") if one["problem_id"] == "p2"]
    assert third["context"] == " [l2m]: rollouts_01_try_2 p2 wrong Wrong. ", "the latest one"
    plain, after = (row for row in own_rows(lab) if row["problem_id"] == "p1")
    assert plain["response"] == after["response"] == "[pot]: rollouts_01_try_2 p1 correct"
    assert after["prompt"] == plain["prompt"] + contexts["p1"]
    assert len(own_rows(lab)) == 6
    exam = [row for row in lab.rows("evaluations/01_try_2") if row["problem_id"] == "p1"]
    assert [row["requested"] for row in exam] == ["pot"] and "@" in exam[0]["ask_id"], "measured as it is trained"
    assert lab.figures("table_01_attempts_validation")["by_attempt"] == [0.0, 0.5, 0.5]


def test_one_attempt_is_rejection_sampling_of_the_free_student(make_config: Make, tmp_path: Path):
    lab = scripted(tmp_path, {"p1": {"pot"}, "p2": {"cot"}}, {"p1": "cot", "p2": "cot"})
    smart.run(lab, make_config(*SETTINGS, "options={attempts: 1, teacher_rows: none}"))
    assert [(row["problem_id"], row["strategy"]) for row in lab.rows("mixtures/iteration_01")] == [("p2", "cot")]
    assert not [one for one in lab.committed if "asks" in one.id.label]


def test_it_is_held_against_a_student_of_the_teachers_rows_for_as_many_steps(make_config: Make):
    lab = FakeLab(RISING)
    smart.run(lab, make_config(*SETTINGS, "control=matched"))
    assert lab.lengths["training_twin"] == ("mixture_00", Length(steps=20))
    assert lab.compared["evaluation_twin"] == {"loop": "answers_01 of student 1"}


def choices(lab: StubLab, iterations: int, rates: dict[str, float]) -> list[float]:
    """Probability that a student's first attempt is right, before each iteration's training."""
    shares = [lab.students[f"training_{number:02d}"][""] for number in range(iterations)]
    return [sum(rates[name] * share for name, share in one.items()) for one in shares]


def many(folder: Path, rates: dict[str, float], number: int) -> StubLab:
    """Problems that one cannot tell apart: an attempt by a strategy is right with its rate."""
    problems = [f"p{index}" for index in range(number)]
    return StubLab(folder=folder, strategies=[*rates], problems=problems, solves=lambda _, name: rates[name])


def test_it_learns_how_often_a_strategy_works(make_config: Make, tmp_path: Path):
    """Golden, by the exact update: .75, .796875, .823242, limit 6/7. Four standard deviations of 4,000 problems."""
    lab = many(tmp_path, {"cot": 0.9, "pot": 0.6}, 4000)
    options = ("strategies=[cot, pot]", "options.teacher_rows=none", "iterations.max=11")
    smart.run(lab, make_config(*SETTINGS, *options))
    found = choices(lab, 12, {"cot": 0.9, "pot": 0.6})
    assert found[:3] == pytest.approx([0.75, 0.796875, 0.823242], abs=0.01)
    assert found[-1] == pytest.approx(6 / 7, abs=0.01)
    attempts = [lab.figures(f"mixture_{number:02d}")["attempts"] for number in (1, 2, 3)]
    assert [one["mean_attempts"] for one in attempts] == pytest.approx([1.25, 1.203125, 1.176758], abs=0.03)
    assert attempts[0]["by_attempt"] == pytest.approx([0.75, 0.96], abs=0.03)


def test_any_of_ten_learns_nothing_of_that(make_config: Make, tmp_path: Path):
    lab = many(tmp_path, {"cot": 0.9, "pot": 0.6}, 1000)
    options = ("strategies=[cot, pot]", "generation.num_samples=10", "mixture.policy=self_only")
    siked.run(lab, make_config(TEACHER_MODEL, SETTINGS[-1], *options))
    assert choices(lab, 2, {"cot": 0.9, "pot": 0.6}) == pytest.approx([0.75, 0.75], abs=0.01)


def test_where_one_strategy_is_right_it_comes_to_be_chosen(make_config: Make, tmp_path: Path):
    """Each problem has a word that says which: first-try accuracy goes to 1."""
    problems = [f"{name} {index}" for name in STRATEGIES for index in range(20)]
    lab = StubLab(
        folder=tmp_path,
        strategies=STRATEGIES,
        problems=problems,
        held_out=[f"{name} later" for name in STRATEGIES],
        solves=lambda problem, name: float(problem.split()[0] == name),
        sees=lambda text: next(name for name in STRATEGIES if f"Q {name} " in text),
    )
    decision = smart.run(lab, make_config(*SETTINGS))
    free = [lab.figures(f"evaluation_0{number}")["validation"]["free"] for number in (0, 1)]
    assert free[0] < 1.0 and free[1] == 1.0 and decision.best_iteration == 1
    measured = lab.figures("table_01_attempts_validation")
    assert measured["by_attempt"] == [1.0] * 3 and measured["mean_attempts"] == 1.0
    (claim,) = smart.summarise(lab.committed)["claims"]
    assert (claim.one, claim.other, claim.difference) == ("iteration 1", "iteration 0", pytest.approx(1 - free[0]))


@given(
    script=st.lists(
        st.tuples(st.sampled_from([*STRATEGIES, None]), st.sets(st.sampled_from(STRATEGIES))), min_size=1, max_size=5
    ),
    attempts=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_trajectory_is_what_it_says(make_config: Make, tmp_path_factory, script, attempts: int, seed: int):
    """Against a plain reading: no strategy twice, an end at the first right one, no failed attempt as a target."""
    chosen = {f"p{index}": first for index, (first, _) in enumerate(script)}
    solved_by = {f"p{index}": found for index, (_, found) in enumerate(script)}
    lab = scripted(tmp_path_factory.mktemp("lab"), solved_by, chosen)
    smart.run(lab, make_config(*SETTINGS, f"seed={seed}", f"options={{attempts: {attempts}, teacher_rows: none}}"))
    expected: dict[str, list[str | None]] = {}
    for problem, first in chosen.items():
        tried = [first, *(name for name in order(seed, problem, STRATEGIES) if name != first)][:attempts]
        worked = [index for index, name in enumerate(tried) if name in solved_by[problem]]
        expected[problem] = tried[: worked[0] + 1] if worked else tried
    found: dict[str, list[str | None]] = {problem: [first] for problem, first in chosen.items()}
    for attempt in range(2, attempts + 1):
        for problem, name in asks(lab, attempt):
            found[problem].append(name)
    assert found == expected
    known = [[name for name in tried if name] for tried in found.values()]
    assert all(len(set(tried)) == len(tried) for tried in known)
    targets = {row["problem_id"]: row["strategy"] for row in own_rows(lab)}
    assert targets == {p: tried[-1] for p, tried in expected.items() if tried[-1] in solved_by[p]}
    assert all("correct" in row["response"] for row in own_rows(lab))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["strategies=[cot]"], "there is nothing to choose between"),
        (["options.attempts=5"], "options.attempts is 5, and 3 strategies allow 4 at most"),
        (["options.attempts=0"], "options: attempts"),
        (["options.order=[pot, cot]"], "options.order ['pot', 'cot'] has to name each of ['cot', 'l2m', 'pot'] once"),
        (["options.order=[pot, cot, best]"], "options.order"),
        (["options.order=drawn"], "options: order"),
        (["options.teacher_rows=some"], "options: teacher_rows"),
        (["options.retry_prompt=Wrong."], "options: retry_prompt"),
        (["options.retry_prompt='{attempt} {question}'"], "options: retry_prompt"),
        (["training.objective=reverse_kl"], "learns right solutions alone; leave training.objective"),
    ],
)
def test_what_cannot_be_tried_is_refused(settings_file, capsys, overrides: list[str], words: str):
    for command in ("plan", "run"):
        assert main([command, str(settings_file), *SETTINGS, *overrides]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


def test_the_plan_has_each_attempt(settings_file, capsys):
    assert main(["plan", str(settings_file), *SETTINGS, "iterations.max=2"]) == 0
    said = capsys.readouterr().out
    assert "rollouts_01_try_1" in said and "table_01_rollouts_asks_3" in said and "mixture_01 to mixture_02" in said
