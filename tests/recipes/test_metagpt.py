"""A specialist per strategy, merged by rules, beside one student of all rows."""

from typing import Any

import pytest

from siked_ray.cli import main
from siked_ray.core.merge_rule import MergeRule, RuleName
from siked_ray.core.stage import Kind, StageId
from siked_ray.recipes import metagpt
from siked_ray.recipes.verbs import Model
from tests.core.test_claim import Committed, paired
from tests.recipes.test_siked import TEACHER_MODEL, FakeLab, Make

SETTINGS = ("recipe=metagpt", TEACHER_MODEL, "strategies=[cot, pot]")
STUDENTS = ("combined", "only_cot", "only_pot", "average", "metagpt")


class MergingLab(FakeLab):
    """Students are called by their stages; `metagpt` solves most."""

    def __init__(self) -> None:
        super().__init__([0.3])
        self.merged: dict[str, tuple[str, dict[str, str], MergeRule]] = {}

    def train(self, stage: StageId, start: Model, rows: Any, *rest: Any, **more: Any) -> Model:
        super().train(stage, start, rows, *rest, **more)
        return Model(engines="student", weights=stage.label, fingerprint="")

    def merge(self, stage: StageId, base: Model, parts: Any, rule: MergeRule) -> Model:
        self.merged[stage.name] = (base.weights, {name: part.weights for name, part in parts.items()}, rule)
        return self._once(stage, Model(engines="student", weights=stage.label, fingerprint=""))

    def measure(self, stage: StageId, answers: Any, against: Any = None, samples: Any = None) -> Any:
        super().measure(stage, answers, against)
        free = 0.5 if stage.label == "metagpt" else 0.4
        return {name: {"free": free} for name in answers}


def test_each_student_is_trained_from_the_base_and_measured_against_those_before(make_config: Make):
    lab = MergingLab()
    decision = metagpt.run(lab, make_config(*SETTINGS))
    trained = ("combined", "only_cot", "only_pot")
    assert lab.work[:7] == [
        "rollouts_teacher",
        *(name for label in trained for name in (f"table_{label}", f"training_{label}")),
    ]
    assert lab.starts == ["student"] * 3
    assert [lab.rules[f"table_{label}"].strategies for label in trained] == [("cot", "pot"), ("cot",), ("pot",)]
    parts = {"cot": "only_cot", "pot": "only_pot"}
    assert lab.merged == {
        f"merge_{rule}": ("student", parts, MergeRule(rule=rule)) for rule in (RuleName.AVERAGE, RuleName.METAGPT)
    }
    assert lab.work[9:] == [
        *(f"{kind}_{one}" for one in STUDENTS for kind in ("answers", "evaluation")),
        "decision_metagpt",
    ]
    assert list(lab.compared["evaluation_metagpt"]) == list(STUDENTS[:-1]) and not lab.compared["evaluation_combined"]
    assert decision.reason.startswith("metagpt solves most held-out problems (combined 40.0%")


def test_task_arithmetic_has_its_weight(make_config: Make):
    lab = MergingLab()
    metagpt.run(lab, make_config(*SETTINGS, "options={rules: [task_arithmetic], weight: 0.4}"))
    (_, _, rule) = lab.merged["merge_task_arithmetic"]
    assert rule.lambdas({"cot": 1.0, "pot": 9.0}) == {"cot": 0.4, "pot": 0.4}


def test_merged_students_are_claimed_against_all_others_on_what_selects_nothing():
    def figures(*others: str) -> dict[str, Any]:
        return {name: {"paired": {one: paired(0.02, 0.01, 0.03) for one in others}} for name in ("validation", "world")}

    records = [
        Committed(StageId(Kind.MERGE, "metagpt"), {}),
        Committed(StageId(Kind.EVALUATION, "only_cot"), figures("combined")),
        Committed(StageId(Kind.EVALUATION, "metagpt"), figures("combined", "only_cot")),
    ]
    claims = metagpt.summarise(records)["claims"]
    assert [(one.one, one.other, one.problem_set) for one in claims] == [
        ("metagpt", "combined", "world"),
        ("metagpt", "only_cot", "world"),
    ]


@pytest.mark.parametrize("override", ["options.rules=[best]", "options.rules=[]"])
def test_other_rules_are_refused(settings_file, capsys, override: str):
    assert main(["plan", str(settings_file), *SETTINGS, override]) == 2
    assert "options: " in capsys.readouterr().err


def test_the_plan_has_a_stage_for_each(settings_file, capsys):
    assert main(["plan", str(settings_file), *SETTINGS]) == 0
    said = capsys.readouterr().out
    assert "merge_average, merge_metagpt" in said and "table_only_cot, table_only_pot" in said
