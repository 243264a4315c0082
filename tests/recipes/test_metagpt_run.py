"""The recipe on the lab itself: what a driver that died in the middle leaves is gone on with to the same end."""

from pathlib import Path
from typing import Any

import pytest

from siked_ray.core.merge_rule import MergeRule
from siked_ray.preflight.check import check
from siked_ray.preflight.counting_lab import count_stages
from siked_ray.recipes import metagpt
from tests.driver.test_lab import SETTINGS, FakeGenerating, Run, share

METAGPT = (*SETTINGS, "recipe=metagpt")
SKILLS = {"world:teacher": 0.9, "combined": 0.6, "only_cot": 0.4, "only_pot": 0.3, "average": 0.5, "metagpt": 0.7}


class Dying(FakeGenerating):
    """`ends_at` names a stage before which the driver dies."""

    ends_at = ""

    def sample(self, key, task, asks, sink, **more):
        if sink.stage == self.ends_at:
            raise KeyboardInterrupt
        return super().sample(key, task, asks, sink, **more)


def started(config, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(config, monkeypatch)
    run.generating = Dying(run.storage, lambda weights, *problem: share(*problem) < SKILLS[weights])
    merges: list[str] = []

    def merged(storage, output: str, base: str, parts: dict[str, str], rule: MergeRule) -> dict[str, Any]:
        if f"merge_{output.rpartition('/')[2]}" == run.generating.ends_at:
            raise KeyboardInterrupt
        merges.append(output)
        storage.write_text(f"{output}/config.json", "{}")
        lambdas = rule.lambdas(dict.fromkeys(parts, 1.0))
        return {"rule": rule.rule.value, "weights": lambdas, "from": sorted(parts.values())}

    monkeypatch.setattr("siked_ray.driver.lab.merge_models", merged)
    run.merges = merges
    return run


def test_its_stages_are_those_that_the_plan_counts(make_config, monkeypatch: pytest.MonkeyPatch):
    run = started(make_config(*METAGPT), monkeypatch)
    metagpt.run(run.lab(), run.config)
    assert [one.stage.name for one in count_stages(run.config, check(run.config))] == run.committed
    assert [one.rpartition("/")[2] for one in run.merges] == ["average", "metagpt"]


@pytest.mark.parametrize("lost_at", ["rollouts_teacher", "merge_average", "merge_metagpt", "answers_only_pot"])
def test_a_driver_that_died_goes_on_to_the_same_end(
    make_config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost_at: str
):
    whole = started(make_config(*METAGPT, f"run_dir={tmp_path / 'whole'}"), monkeypatch)
    decision = metagpt.run(whole.lab(), whole.config)
    lost = started(make_config(*METAGPT, f"run_dir={tmp_path / 'lost'}"), monkeypatch)
    lost.generating.ends_at = lost_at
    with pytest.raises(KeyboardInterrupt):
        metagpt.run(lost.lab(), lost.config)
    assert lost_at not in lost.committed
    lost.generating.ends_at = ""
    assert metagpt.run(lost.lab(), lost.config) == decision
    assert sorted(lost.committed) == sorted(whole.committed), "each stage once"
    assert len(lost.trained) == len(whole.trained) == 3 and len(lost.merges) == 2, "nothing is done twice"
    ours, theirs = lost.summary(), whole.summary()
    assert ours["claims"] == theirs["claims"] and len(ours["claims"]) > 0
    assert [one["evaluation"] for one in ours["arms"]] == [one["evaluation"] for one in theirs["arms"]]
