"""The loop's twin: who trains it, for how long, and what it is held against."""

import re

import pytest

from siked_ray.cli import main
from siked_ray.core.objective import CROSS_ENTROPY
from siked_ray.core.training_plan import Length
from siked_ray.recipes import on_policy, siked
from tests.recipes.test_siked import RISING, TEACHER_MODEL, FakeLab, Make

TWO = ("iterations.max=2", "iterations.min_gain=0.01", "iterations.patience=1")


def of_loop(stage: str, student: int) -> str:
    return f"{stage} of student {student}"


@pytest.mark.parametrize(("control", "length"), [("matched", Length(steps=30)), ("tokens", Length(tokens=3000))])
def test_it_learns_the_teachers_rows_for_as_long_as_the_best_student(make_config: Make, control: str, length: Length):
    lab = FakeLab(RISING)
    siked.run(lab, make_config(*TWO, f"control={control}"))
    assert lab.work[-3:] == ["training_twin", "answers_twin", "evaluation_twin"]
    assert lab.lengths["training_twin"] == ("mixture_00", length)
    assert lab.starts[-1] == "student", "from the base"
    assert all(length is None for name, (_, length) in lab.lengths.items() if name != "training_twin")
    assert lab.asked["answers_twin"][0] == "student twin"
    assert lab.asked["answers_twin"][1] == lab.asked["answers_02"][1], "the same problems and strategies"
    assert lab.compared["evaluation_twin"] == {"loop": of_loop("answers_02", 2)}


def test_students_that_start_from_the_base_have_had_their_own_steps_alone(make_config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, make_config(*TWO, "control=matched", "iterations.start=base"))
    assert lab.lengths["training_twin"][1] == Length(steps=10)


def test_it_is_held_against_the_best_student_and_against_the_last_where_none_is_better(make_config: Make):
    best, none = FakeLab([0.1, 0.3, 0.2]), FakeLab([0.3, 0.2, 0.1])
    for lab in (best, none):
        siked.run(lab, make_config(*TWO, "iterations.patience=2", "control=matched"))
    assert best.compared["evaluation_twin"] == {"loop": of_loop("answers_01", 1)}
    assert best.lengths["training_twin"][1] == Length(steps=20)
    assert none.compared["evaluation_twin"] == {"loop": of_loop("answers_02", 2)}


@pytest.mark.parametrize(("accuracies", "last"), [(RISING, 2), ([0.3, 0.2, 0.1], 2)])
def test_test_sets_that_waited_for_the_end_are_compared_too(make_config: Make, accuracies: list[float], last: int):
    lab = FakeLab(accuracies)
    siked.run(lab, make_config(*TWO, "iterations.patience=2", "control=matched", "evaluation.test_sets=end"))
    assert lab.compared["evaluation_twin"] == {"loop": of_loop(f"answers_0{last}", last)}
    assert lab.compared["tests_twin"] == {"loop": of_loop(f"answers_tests_0{last}", last)}
    assert lab.asked["answers_twin"][1].problems == ("validation", "more")


def test_a_run_that_ended_with_iteration_0_has_no_loop(make_config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, make_config(*TWO, "iterations.max_tokens=1", "control=matched"))
    assert lab.work[-1] == "decision_00"


def test_it_has_the_objective_of_iteration_0(make_config: Make):
    lab = FakeLab(RISING)
    stored = (TEACHER_MODEL, "training.objective=forward_kl", "teacher.logprobs=4")
    siked.run(lab, make_config(*TWO, *stored, "control=matched"))
    assert lab.objectives["training_twin"] == lab.objectives["training_00"]


@pytest.mark.parametrize("start", ["iteration_0", "base"])
def test_rounds_of_own_texts_have_one_too(make_config: Make, start: str):
    lab = FakeLab(RISING)
    settings = ("recipe=on_policy", TEACHER_MODEL, f"options.start={start}", "control=matched")
    on_policy.run(lab, make_config(*TWO, *settings))
    steps = 30 if start == "iteration_0" else 20
    assert lab.lengths["training_twin"] == ("mixture_00", Length(steps=steps))
    assert lab.objectives["training_twin"][0] == CROSS_ENTROPY
    assert lab.compared["evaluation_twin"] == {"loop": of_loop("answers_02", 2)}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["iterations.max=0"], "iterations.max 0 makes no loop"),
        (["recipe=losses", TEACHER_MODEL], "recipe losses has no loop"),
    ],
)
def test_where_there_is_no_loop_it_is_refused(settings_file, capsys, overrides: list[str], words: str):
    assert main(["plan", str(settings_file), *overrides, "control=matched"]) == 2
    assert words in capsys.readouterr().err


def test_the_plan_says_what_it_costs_and_what_can_show(settings_file, capsys):
    assert main(["plan", str(settings_file), *TWO, "control=matched", "--discordance", "0.3"]) == 0
    shown = capsys.readouterr().out
    of_each = re.search(r"^training_00 to training_02 +(\d+) steps", shown, re.MULTILINE)
    assert of_each is not None
    of_twin = 3 * int(of_each[1])
    assert re.search(rf"^training_twin +{of_twin} steps", shown, re.MULTILINE)
    assert f"{of_twin} more steps at most" in shown
    assert "none on 10 test problems; 80 % power, 30.0% of them solved by one student alone (as given)" in shown


@pytest.mark.parametrize("value", ["0", "1.5", "nowhere"])
def test_a_discordance_that_is_no_share_and_no_run_is_refused(settings_file, capsys, value: str):
    assert main(["plan", str(settings_file), "--discordance", value]) == 2
    assert "--discordance" in capsys.readouterr().err


def test_there_is_none_unless_it_is_asked_for(make_config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, make_config(*TWO))
    assert not any("twin" in name for name in lab.work)
