"""The student writes, the teacher says what it would have said, the student moves there."""

import pytest

from siked_ray.cli import main
from siked_ray.core.objective import CROSS_ENTROPY
from siked_ray.core.own_texts import OwnTexts
from siked_ray.core.rollout import FREE
from siked_ray.recipes import on_policy
from tests.recipes.test_siked import RISING, TEACHER_MODEL, FakeLab, Make

TWO_ROUNDS = ("recipe=on_policy", TEACHER_MODEL, "iterations={max: 2, patience: 5}")


def test_after_a_cold_start_come_rounds_of_own_texts(make_config: Make):
    lab = FakeLab(RISING)
    on_policy.run(lab, make_config(*TWO_ROUNDS, "options.samples=3"))
    assert lab.work == [
        *("rollouts_teacher", "mixture_00", "training_00", "answers_00", "evaluation_00", "decision_00"),
        *("rollouts_01", "mixture_01", "training_01", "answers_01", "evaluation_01", "decision_01"),
        *("rollouts_02", "mixture_02", "training_02", "answers_02", "evaluation_02", "decision_02"),
    ]
    assert lab.starts == ["student", "student 0", "student 1"], "each round begins with the student that wrote"
    _, asked, how = lab.asked["rollouts_02"]
    assert (how.num_samples, how.keep, asked.requested) == (3, None, ("cot", "l2m", "pot"))
    assert isinstance(lab.rules["mixture_01"], OwnTexts)
    assert lab.objectives["training_00"] == (CROSS_ENTROPY, None, [])
    spec, beside, scores = lab.objectives["training_01"]
    assert (spec.kind, spec.options["cross_entropy_weight"]) == ("reverse_kl", 0.0)
    assert beside == lab.model("teacher") and not scores


def test_it_can_begin_with_the_base_and_its_free_choice_of_strategy(make_config: Make):
    lab = FakeLab(RISING)
    changes = ("options.start=base", "iterations={max: 1, generator: self_free}", "training.objective=jsd")
    on_policy.run(lab, make_config(*TWO_ROUNDS[:2], *changes))
    assert lab.work[:4] == ["answers_00", "evaluation_00", "decision_00", "rollouts_01"]
    assert lab.asked["rollouts_01"][0] == "student" and lab.asked["rollouts_01"][1].requested == (FREE,)
    assert lab.objectives["training_01"][0].kind == "jsd"


def test_a_large_teacher_scores_each_rounds_texts(make_config: Make):
    lab = FakeLab(RISING)
    on_policy.run(lab, make_config(*TWO_ROUNDS, "teacher.logprobs=8"))
    of_rounds = {name: one for name, one in lab.scored.items() if name.startswith("scores")}
    assert of_rounds == {f"scores_0{n}": ("teacher", f"mixture_0{n}", 8, []) for n in (1, 2)}
    assert lab.scored["reading_student_02"] == ("student 2", "table_held_out_02", 8, [])
    assert lab.objectives["training_02"][1:] == (None, ["scores_02"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([TEACHER_MODEL, "training.objective=hidden_mse"], "hidden_mse says nothing of tokens"),
        ([], "The objective reverse_kl needs one teacher"),
    ],
)
def test_what_it_cannot_do_is_said_before_anything_runs(settings_file, capsys, overrides: list[str], words: str):
    assert main(["plan", str(settings_file), "recipe=on_policy", *overrides]) == 2
    assert words in capsys.readouterr().err


def test_the_plan_counts_its_rounds(settings_file, capsys):
    small = "teacher={source: vllm, model: 'world:small-teacher'}"
    assert main(["plan", str(settings_file), "recipe=on_policy", small, "options.samples=2", "iterations.max=2"]) == 0
    assert "mixture_01 to mixture_02" in capsys.readouterr().out
