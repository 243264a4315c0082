"""The recipe on the lab itself: stages, resume, summary, status and report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siked_ray.cli import main
from siked_ray.config import dump_config
from siked_ray.core.rollout import FREE, TAG_ALONE, Rollout
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.driver.titles import title_of
from siked_ray.errors import ConfigError
from siked_ray.preflight.check import check
from siked_ray.preflight.context import context_length
from siked_ray.preflight.counting_lab import SamplingCount, TableCount, count_stages
from siked_ray.recipes import smart
from tests.driver.test_lab import SETTINGS, FakeGenerating, Run, share

SMART = (*SETTINGS, "recipe=smart", "strategies=[cot, l2m, pot]", "iterations={max: 2, patience: 5, max_drop: 1.0}")
ATTEMPTS = {
    number: (
        *(f"rollouts_{number}_try_1", f"table_{number}_rollouts_asks_2", f"rollouts_{number}_try_2"),
        *(f"table_{number}_rollouts_asks_3", f"rollouts_{number}_try_3"),
    )
    for number in ("01", "02")
}


class Choosing(FakeGenerating):
    """The student's free choice is a function of the problem. `ends_at` names a stage before which the driver dies."""

    ends_at = ""

    def sample(self, key, task, asks, sink, **more):
        if sink.stage == self.ends_at:
            raise KeyboardInterrupt
        return super().sample(key, task, asks, sink, **more)

    def _rollout(self, task, row) -> Rollout:
        if row["requested"] not in (FREE, TAG_ALONE):
            return super()._rollout(task, row)
        chosen = "cot" if share("chooses", row["problem_id"]) < 0.6 else "pot"
        return replace(super()._rollout(task, row | {"requested": chosen}), requested=row["requested"])


@pytest.fixture
def run(make_config, monkeypatch: pytest.MonkeyPatch) -> Run:
    return started(make_config(*SMART), monkeypatch)


def started(config, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(config, monkeypatch)
    made.generating = Choosing(made.storage, made.generating.solves)
    return made


def finish(run: Run) -> Any:
    decision = smart.run(run.lab(), run.config)
    run.storage.write_text(names.CONFIG, dump_config(run.config))
    run.storage.write_json(names.SUMMARY, run.summary())
    return decision


def stages(number: str) -> list[str]:
    tables = (f"table_{number}_attempts_validation", f"table_{number}_attempts_more")
    own = (f"mixture_{number}", f"training_{number}", f"answers_{number}", *tables)
    return [*ATTEMPTS.get(number, ()), *own, f"evaluation_{number}", f"decision_{number}"]


def test_its_stages_are_those_that_the_plan_counts_and_no_larger(run: Run):
    finish(run)
    assert run.committed == ["rollouts_teacher", *stages("00"), *stages("01"), *stages("02")]
    counts = count_stages(run.config, check(run.config))
    assert [one.stage.name for one in counts] == run.committed
    most = {one.stage.name: one.num_asked for one in counts if isinstance(one, SamplingCount)}
    asked: dict[str, int] = {}
    for stage, _, number in run.generating.calls:
        asked[stage] = asked.get(stage, 0) + number
    assert asked["rollouts_01_try_1"] == run.num_train == most["rollouts_01_try_1"]
    assert run.num_train > asked["rollouts_01_try_2"] > asked["rollouts_01_try_3"] > 0
    assert all(number <= most[stage] for stage, number in asked.items() if not stage.startswith("answers"))
    rows = {one.stage.name: one.num_rows for one in counts if isinstance(one, TableCount)}
    trained = [number for _, _, number in run.trained]
    assert trained[1] <= rows["mixture_01"] == run.num_train


def test_to_refine_asks_more_and_is_counted_too(make_config, monkeypatch: pytest.MonkeyPatch):
    run = started(make_config(*SMART, "iterations.max=1", "options.refine=true"), monkeypatch)
    finish(run)
    counts = count_stages(run.config, check(run.config))
    assert [one.stage.name for one in counts] == run.committed
    assert "answers_01_try_3" in run.committed and "table_00_answers_asks_2" in run.committed
    most = {one.stage.name: one.num_asked for one in counts if isinstance(one, SamplingCount)}
    assert most["answers_00_try_2"] == run.num_validation + 10
    assert all(number <= most[stage] for stage, _, number in run.generating.calls if "try" in stage)
    prompts = [row["prompt"] for row in run.storage.read_parquet(names.mixture(1)).to_pylist()]
    assert any("That is wrong. Choose another strategy." in prompt for prompt in prompts)


@pytest.mark.parametrize("lost_at", ["rollouts_01_try_3", "rollouts_02_try_1", "answers_02"])
def test_a_driver_that_died_between_attempts_goes_on_to_the_same_end(
    make_config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost_at: str
):
    whole = started(make_config(*SMART, f"run_dir={tmp_path / 'whole'}"), monkeypatch)
    decision = finish(whole)
    lost = started(make_config(*SMART, f"run_dir={tmp_path / 'lost'}"), monkeypatch)
    lost.generating.ends_at = lost_at
    with pytest.raises(KeyboardInterrupt):
        smart.run(lost.lab(), lost.config)
    assert lost_at not in lost.committed
    lost.generating.ends_at = ""
    assert finish(lost) == decision
    assert sorted(lost.committed) == sorted(whole.committed), "each stage once"
    hashes = [[one["mixture"]["sha256"] for one in each.summary()["iterations"]] for each in (whole, lost)]
    assert hashes[0] == hashes[1] and len(set(hashes[0])) == 3
    assert lost.summary()["smart"] == whole.summary()["smart"]


def test_stages_are_not_taken_for_those_of_other_options(run: Run, make_config):
    finish(run)
    run.config = make_config(*SMART, "options.order=[pot, cot, l2m]")
    with pytest.raises(ConfigError, match=r"table_00_attempts_validation was made from something else \(order: "):
        smart.run(run.lab(), run.config)


def test_the_summary_says_what_attempts_came_to(run: Run):
    finish(run)
    summary = run.summary()
    measured = {(one["iteration"], one["problem_set"]): one for one in summary["smart"]["measured"]}
    assert list(measured) == [(number, name) for number in range(3) for name in ("validation", "more")]
    for (iteration, name), one in measured.items():
        figures = summary["iterations"][iteration]["evaluation"][name]
        assert one["by_attempt"][0] == pytest.approx(figures["free"]), "the first attempt is the free answer"
        assert one["by_attempt"][-1] == pytest.approx(figures["oracle"]), "all strategies were tried"
        assert one["by_attempt"] == sorted(one["by_attempt"]) and 1 <= one["mean_attempts"] <= 3
    trained = summary["smart"]["trained_on"]
    assert [one["iteration"] for one in trained] == [1, 2]
    assert sum(trained[0]["switched"]["cot"].values()) > 0 and "cot" not in trained[0]["switched"]["cot"]
    assert [one["one"] for one in summary["claims"]] == [f"iteration {summary['best_iteration'] or 2}"]


def test_attempts_are_one_sampling_of_their_iteration(run: Run):
    finish(run)
    asked = {stage: number for stage, _, number in run.generating.calls}
    generation = run.summary()["iterations"][1]["generation"]
    assert generation["requests"] == generation["samples"] == sum(asked[f"rollouts_01_try_{n}"] for n in (1, 2, 3))
    assert generation["accepted"] == sum(generation["accepted_by_strategy"].values())
    assert (
        generation["accepted"]
        == generation["verdicts"]["correct"]
        == run.summary()["iterations"][1]["mixture"]["student_rows"]
    )
    assert generation["tokens_per_accepted"] == 3 * generation["samples"] / generation["accepted"]
    assert generation["engine"] == "fake"


@pytest.mark.parametrize("arguments", [[], ["--text"]])
def test_the_report_has_a_section(run: Run, capsys, arguments: list[str]):
    finish(run)
    assert main(["report", run.config.run_dir, *arguments]) == 0
    said = capsys.readouterr().out if arguments else run.storage.read_text(names.REPORT)
    for words in ("Accuracy by attempt", "Choices before and after", "What worked instead, in training"):
        assert words in said
    assert "right at first" in said and "after 3" in said and "SIKeD ·" not in said


def test_a_report_can_be_read_before_anything_was_tried(make_config, monkeypatch: pytest.MonkeyPatch, capsys):
    run = started(make_config(*SMART, "iterations.max=0"), monkeypatch)
    finish(run)
    assert main(["report", run.config.run_dir, "--text"]) == 0
    said = capsys.readouterr().out
    assert "Accuracy by attempt" in said and "training problems, sampled" not in said


def test_each_attempt_has_a_title_of_its_own():
    titles = [title_of(StageId(Kind.ROLLOUTS, label, 1)) for label in ("01", "01_try_1", "01_try_2")]
    assert titles[0] == "iteration 1 · student samples" and len(set(titles)) == 3
    assert [title_of(one) for one in (TEACHER, StageId.of_tests(2), StageId(Kind.TRAINING, "twin"))] == [
        "iteration 0 · student samples",
        "iteration 2 · test sets",
        "twin · training",
    ]


def test_status_names_its_stages(run: Run, capsys):
    finish(run)
    assert main(["status", run.config.run_dir]) == 0
    assert "done: rollouts_01_try_2" in capsys.readouterr().out


@pytest.mark.parametrize("more", [1, 30])
def test_engines_have_room_for_what_failed(make_config, more: int):
    text = "x" * more + "{attempt}"
    plain, refined = (
        make_config(*SMART, f"options={{refine: {refine}, retry_prompt: '{text}'}}") for refine in ("false", "true")
    )
    student = check(plain).models["student"]
    lengths = [context_length(config, "student", student, ["What is 1 plus 2?"]) for config in (plain, refined)]
    assert lengths[1] - lengths[0] == 64 + len(text)
