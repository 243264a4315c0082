"""A cascade's stages in a run: margins on the way from the engine to the curve, further models, and resuming."""

from typing import Any

import pytest

from siked_ray.core.margin import Margin
from siked_ray.core.rollout import FREE, RolloutWithMargin
from siked_ray.data.ledger import Ledger
from siked_ray.data.schemas import table
from siked_ray.driver.engines import SamplingReport
from siked_ray.driver.lab import RayLab
from siked_ray.errors import ConfigError
from siked_ray.generation.durable import finished_rows, pending
from siked_ray.generation.requests import lay_out, missing_requests
from siked_ray.recipes import two_tier
from tests.driver.test_lab import FakeGenerating, Run, share

SETTINGS = (
    "recipe=two_tier",
    "options={large: big, margin: mean, costs: [1, 5], budgets: 5}",
    "models={big: {source: vllm, model: 'world:large-student'}}",
)


def solves(weights: str, problem: str, strategy: str) -> bool:
    return weights == "big" or share(problem) < 0.5


class SureOfWhatIsRight(FakeGenerating):
    """The small model's margin is large where it is right. `fail_after` samples fewer stages than there are."""

    def __init__(self, *args: Any, fail_after: int = 9) -> None:
        super().__init__(*args)
        self.keys: list[str] = []
        self.fail_after = fail_after

    def sample(self, key: str, task: Any, asks: Any, sink: Any, **_: Any) -> SamplingReport:
        if len(self.keys) == self.fail_after:
            raise KeyboardInterrupt
        self.keys.append(key)
        blocks, _ = missing_requests(self.storage, asks, finished_rows(sink))
        rows = [row for block in blocks for row in lay_out(self.storage, asks, block).to_pylist()]
        rollouts = [self._rollout(task, row) for row in rows]
        if task.plan.margin:
            rollouts = [
                RolloutWithMargin.of(one, 5.0 * (one.verdict == "correct") + share(one.problem_id)) for one in rollouts
            ]
        self.calls.append((sink.stage, task.weights, len(rows)))
        self.storage.write_parquet(
            f"{pending(sink.folder)}/part-{len(self.calls)}.parquet", table(sink.columns, rollouts)
        )
        return SamplingReport()


@pytest.fixture
def run(make_config: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(make_config(*SETTINGS), monkeypatch, solves)
    run.generating = SureOfWhatIsRight(run.storage, solves)
    return run


def lab(run: Run) -> RayLab:
    return run.lab(big="/models/big")


STAGES = ["answers_small", "answers_large", "table_cascade_validation", "table_cascade_more", "decision_two_tier"]


def test_from_two_models_to_a_curve(run: Run):
    decision = two_tier.run(lab(run), run.config)
    assert run.committed == STAGES and run.generating.keys == ["student", "big"]
    num_asked = run.num_validation + 10
    assert run.generating.calls == [("answers_small", "base", num_asked), ("answers_large", "/models/big", num_asked)]
    rows = run.storage.read_parquet(run.storage.files("evaluations/small", ".parquet")).to_pylist()
    assert {row["requested"] for row in rows} == {FREE} and all(row["margin"] >= 0 for row in rows)
    large = run.storage.read_parquet(run.storage.files("evaluations/large", ".parquet"))
    assert "margin" not in large.column_names
    found = run.summary()["cascade"]["more"]
    assert found["large"]["accuracy"] == 1.0 > found["small"]["accuracy"]
    assert found["separation"] == 1.0 and [one["budget"] for one in found["curve"]] == [1, 2, 3, 4, 5]
    assert "large 100.0%" in decision.reason
    stored = run.storage.read_parquet("tables/cascade_more/part-00000.parquet").to_pylist()
    assert len(stored) == 10 and {row["large"] for row in stored} == {"right"}


def test_a_run_that_was_killed_between_the_models_gives_the_same(run: Run, make_config: Any, tmp_path: Any):
    whole = two_tier.run(lab(run), run.config)
    curves = run.summary()["cascade"]
    killed = run.config.model_copy(update={"run_dir": str(tmp_path / "killed")})
    storage = type(run.storage)(killed.run_dir)
    for name in run.storage.files("problems", ".parquet"):
        storage.write_parquet(name, run.storage.read_parquet(name))
    run.config, run.storage, run.committed = killed, storage, []
    run.generating = SureOfWhatIsRight(storage, solves, fail_after=1)
    with pytest.raises(KeyboardInterrupt):
        two_tier.run(lab(run), killed)
    assert run.committed == STAGES[:1]
    run.generating = SureOfWhatIsRight(storage, solves)
    assert two_tier.run(lab(run), killed) == whole
    assert run.generating.keys == ["big"] and run.committed == STAGES
    assert run.summary()["cascade"] == curves


def test_another_margin_is_another_stage(run: Run):
    two_tier.run(lab(run), run.config)
    options = run.config.options | {"margin": Margin.TAG.value}
    run.config = run.config.model_copy(update={"options": options})
    with pytest.raises(ConfigError, match="answers_small was made from something else"):
        two_tier.run(lab(run), run.config)


def test_plans_of_other_recipes_are_recorded_as_before(run: Run):
    two_tier.run(lab(run), run.config)
    made_from = {one.stage: one.made_from for one in Ledger(run.storage).records()}
    assert made_from["answers_small"]["how"]["margin"] == "mean"
    assert "margin" not in made_from["answers_large"]["how"]
