"""The same rows, a student for each objective."""

import pytest

from siked_ray.cli import main
from siked_ray.errors import ConfigError
from siked_ray.recipes import losses
from tests.recipes.test_siked import TEACHER_MODEL, FakeLab, Make

GRID = "options.grid={plain: {objective: cross_entropy}, kl: {objective: forward_kl, weight: 5}}"


class GridLab(FakeLab):
    """`kl` solves more."""

    def measure(self, stage, answers, against=None, samples=None):
        super().measure(stage, answers, against)
        paired = {name: {"difference": 0.1, "interval": (0.05, 0.15)} for name in against}
        free = 0.4 if stage.label == "kl" else 0.3
        return {name: {"free": free, "paired": paired} for name in answers}


def test_every_student_starts_from_the_base_and_is_compared_with_the_first(make_config: Make):
    lab = GridLab([0.3])
    decision = losses.run(lab, make_config("recipe=losses", TEACHER_MODEL, GRID))
    assert lab.work == [
        *("rollouts_teacher", "table_rows"),
        *("training_plain", "answers_plain", "evaluation_plain"),
        *("training_kl", "answers_kl", "evaluation_kl", "decision_losses"),
    ]
    assert lab.starts == ["student", "student"]
    made = lab.objectives.items()
    kinds = {name: (spec.kind, spec.options.get("weight"), beside) for name, (spec, beside, _) in made}
    assert kinds == {
        "training_plain": ("cross_entropy", None, None),
        "training_kl": ("forward_kl", 5.0, lab.model("teacher")),
    }
    assert list(lab.compared["evaluation_kl"]) == ["plain"] and not lab.compared["evaluation_plain"]
    assert decision.reason == "kl solves most held-out problems: 40.0%, +10.0 points [+5.0, +15.0] against plain"


def test_stored_probabilities_are_made_once(make_config: Make):
    lab = GridLab([0.3])
    losses.run(lab, make_config("recipe=losses", TEACHER_MODEL, "teacher.logprobs=8", GRID))
    assert lab.scored == {"scores_teacher": ("teacher", "table_rows", 8, [])}
    assert lab.objectives["training_plain"][2] == [] and lab.objectives["training_kl"][2] == ["scores_teacher"]


def test_what_a_grid_needs_is_checked_before_anything_runs(settings_file, tiny_model: str, make_config, capsys):
    assert main(["plan", str(settings_file), "recipe=losses", GRID]) == 2
    assert "The objective forward_kl needs one teacher" in capsys.readouterr().err
    teacher = f"teacher={{source: vllm, model: {tiny_model}}}"
    assert main(["plan", str(settings_file), "recipe=losses", teacher, GRID]) == 2
    assert "their tokenizers differ" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="objective"):
        make_config("recipe=losses", "options.grid={a: {objective: nothing}, b: {objective: jsd}}")


def test_the_plan_has_a_stage_for_each(settings_file, capsys):
    small = "teacher={source: vllm, model: 'world:small-teacher'}"
    assert main(["plan", str(settings_file), "recipe=losses", small, GRID]) == 0
    assert "training_plain, training_kl" in capsys.readouterr().out
