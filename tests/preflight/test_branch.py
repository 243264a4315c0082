"""A run that goes on from another one: what it takes over, what it says of it, what it refuses."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from siked_ray.config import Config, dump_config
from siked_ray.core.stage import Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError
from siked_ray.launch.directory_state import check_run_directory
from siked_ray.preflight.branch import find_branch, take_over
from siked_ray.preflight.check import check
from siked_ray.recipes import losses, smart
from tests.driver.test_lab import SETTINGS, STAGES, Run, first_mixture, share

pytestmark = pytest.mark.slow


@pytest.fixture
def parent(make_config, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run with iterations 0 to 2."""
    run = Run(make_config(*SETTINGS), monkeypatch)
    run.finish()
    run.storage.write_text(names.CONFIG, dump_config(run.config))
    return run


def branch_settings(make_config, parent: Run, point: str, *overrides: str) -> Config:
    folder = parent.config.run_dir
    return make_config(*SETTINGS, f"run_dir={folder}-branch", f"start_from={folder}:{point}", *overrides)


def branched(make_config, monkeypatch, parent: Run, point: str, *overrides: str) -> Run:
    config = branch_settings(make_config, parent, point, *overrides)
    run = Run(config, monkeypatch)
    branch = find_branch(config)
    assert branch is not None
    take_over(branch, run.storage, config)
    return run


@pytest.mark.parametrize("last", ["rollouts_teacher", "evaluation_01", "branch"])
def test_a_branch_that_was_interrupted_is_begun_again(make_config, monkeypatch, parent: Run, last: str):
    config = branch_settings(make_config, parent, "1")
    storage = branched(make_config, monkeypatch, parent, "1").storage
    stages = [record.stage for record in Ledger(storage).records() if record.stage != "branch"] + ["branch"]
    for stage in stages[stages.index(last) + 1 :]:
        os.unlink(storage.path(f"ledger/{stage}.json"))
    assert check_run_directory(config, storage) == "new"


def test_what_another_point_or_run_left_is_no_interrupted_branch(make_config, monkeypatch, parent: Run):
    storage = branched(make_config, monkeypatch, parent, "1").storage
    without = make_config(*SETTINGS, f"run_dir={parent.config.run_dir}-branch")
    for config in (without, branch_settings(make_config, parent, "0")):
        with pytest.raises(ConfigError, match="finished stages"):
            check_run_directory(config, storage)
    record = Ledger(storage).read(StageId.of_iteration(Kind.MIXTURE, 1))
    assert record is not None
    Ledger(storage).commit(replace(record, seconds=123.0))
    with pytest.raises(ConfigError, match="finished stages"):
        check_run_directory(branch_settings(make_config, parent, "1"), storage)


def test_another_policy_from_iteration_1_on(make_config, monkeypatch, parent: Run):
    run = branched(make_config, monkeypatch, parent, "1", "mixture.policy=self_only", "seed=7")
    run.finish()
    assert run.committed == ["decision_00", "decision_01"] + [
        f"{kind}_02" for kind in ("rollouts", "mixture", "training", "answers", "evaluation", "decision")
    ], "what the other run did is not done again, and decisions are this run's own"
    summary, before = run.summary(), parent.summary()
    for old, new in zip(before["iterations"][:2], summary["iterations"][:2], strict=True):
        assert (new["mixture"], new["evaluation"]) == (old["mixture"], old["evaluation"])
    assert summary["iterations"][2]["mixture"]["policy"] == "self_only"
    assert run.trained[0][0] == run.storage.path(names.student(1))


def test_the_summary_says_where_it_comes_from(make_config, monkeypatch, parent: Run):
    run = branched(make_config, monkeypatch, parent, "0", "mixture.policy=all")
    run.finish()
    origin = run.summary()["start_from"]
    assert (origin["from"], origin["iteration"]) == (parent.storage.root, 0)
    assert "mixture.policy: 'adaptive' -> 'all'" in origin["differences"]
    assert not any(key.startswith(("data", "teacher")) for key in origin["differences"])
    stages = {stage["name"]: stage["branched"] for stage in run.summary()["stages"]}
    assert "branch" not in stages
    assert [name for name, is_branched in stages.items() if is_branched] == [
        *("rollouts_teacher", "mixture_00", "training_00", "answers_00", "evaluation_00")
    ]
    assert parent.summary()["start_from"] is None


def test_the_teacher_alone_serves_another_student_and_fewer_strategies(make_config, monkeypatch, parent: Run):
    settings = ("student.model=world:small-student", "strategies=[cot]", "iterations.max=0")
    run = branched(make_config, monkeypatch, parent, "teacher", *settings)
    run.finish()
    assert run.committed[0] == "mixture_00"
    mixture = run.summary()["iterations"][0]["mixture"]
    assert list(mixture["by_strategy"]) == ["cot"]
    assert mixture["rows"] == parent.summary()["iterations"][0]["mixture"]["by_strategy"]["cot"]["rows"]


def test_files_are_linked_and_nothing_of_the_origin_changes(make_config, monkeypatch, parent: Run):
    before = {name: parent.storage.read_bytes(name) for name in parent.storage.files("ledger")}
    run = branched(make_config, monkeypatch, parent, "0")
    linked = f"{names.student(0)}/config.json"
    assert os.path.samefile(run.storage.path(linked), parent.storage.path(linked))
    run.finish()
    assert {name: parent.storage.read_bytes(name) for name in parent.storage.files("ledger")} == before
    assert not run.storage.files(names.student_rollouts(3))


def test_what_could_not_be_sampled_comes_along(make_config, monkeypatch, parent: Run):
    for stage in ("rollouts_teacher", "rollouts_02"):
        lost = [{"stage": stage, "problem_id": "p", "strategy": "cot", "reason": "too long", "ask_id": "cot"}]
        parent.storage.write_parquet(f"quarantine/{stage}-0a1b2c3d4e5f-000000.parquet", table("quarantine", lost))
    run = branched(make_config, monkeypatch, parent, "teacher")
    assert run.storage.files("quarantine") == ["quarantine/rollouts_teacher-0a1b2c3d4e5f-000000.parquet"]


def test_what_the_origin_cost_is_not_on_this_runs_budget(make_config, monkeypatch, parent: Run):
    run = branched(make_config, monkeypatch, parent, "1")
    lab = run.lab()
    first_mixture(run, lab)
    assert (lab.spent().hours, lab.spent().tokens) == (0, 0)


def test_a_branch_keeps_its_origins_split_whatever_its_seed(make_config, parent: Run):
    held_out = {row["problem_id"] for row in parent.storage.read_parquet(names.problems("validation")).to_pylist()}
    checked = check(branch_settings(make_config, parent, "0", "seed=99"))
    assert {problem.problem_id for problem in checked.validation} == held_out
    own = check(make_config(*SETTINGS, "seed=99", f"run_dir={parent.config.run_dir}-own"))
    assert {problem.problem_id for problem in own.validation} != held_out


@pytest.mark.parametrize(
    ("point", "overrides", "words"),
    [
        ("last", [], r"names no point of a run; write RUN:N"),
        ("7", ["iterations.max=9"], r"has not finished rollouts_03"),
        ("1", ["iterations.max=1"], r"set iterations\.max to 2 or more"),
        ("1", ["generation.num_samples=5", "data.limit=30"], r"other settings \(data\.limit: None -> 30\)"),
        ("1", ["strategies=[cot]"], r"strategies: \['cot', 'pot'\] -> \['cot'\]"),
        ("0", ["student.model=world:small-student"], r"student\.model: "),
        ("teacher", ["strategies=[cot, l2m]"], r"l2m was not sampled there"),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused_by_name(make_config, parent: Run, point, overrides, words):
    with pytest.raises(ConfigError, match=words):
        find_branch(branch_settings(make_config, parent, point, *overrides))


def whole(make_config, monkeypatch, parent: Run, *overrides: str) -> Run:
    """A run that starts from all of another one."""
    folder = parent.config.run_dir
    config = make_config(*SETTINGS, f"run_dir={folder}-whole", f"start_from={folder}", *overrides)
    branch = find_branch(config)
    assert branch is not None
    run = Run(config, monkeypatch)
    take_over(branch, run.storage, config)
    assert [one.stage for one in Ledger(run.storage).records()] == ["branch"], "nothing before it is come to"
    return run


def test_stages_that_were_made_from_the_same_are_taken_over(make_config, monkeypatch, parent: Run):
    run = whole(make_config, monkeypatch, parent, "training.learning_rate=1e-5")
    run.finish()
    taken = ["rollouts_teacher", "mixture_00"]
    assert run.committed == [name for name in STAGES if name not in taken], "what follows from another training is new"
    stages = {stage["name"]: stage["branched"] for stage in run.summary()["stages"]}
    assert [name for name, is_branched in stages.items() if is_branched] == taken
    assert run.summary()["start_from"]["by_fingerprint"] is True


def test_another_recipe_takes_over_what_it_has_in_common(make_config, monkeypatch, parent: Run):
    """A grid of losses learns from what SIKeD's teacher was sampled for."""
    grid = "options.grid={plain: {objective: cross_entropy}, again: {objective: cross_entropy}}"
    run = whole(make_config, monkeypatch, parent, "recipe=losses", grid)
    run.generating.solves = lambda weights, *which: share(*which) < {"plain": 0.4, "again": 0.6}[weights]
    losses.run(run.lab(), run.config)
    assert run.committed[0] == "table_rows" and "rollouts_teacher" not in run.committed
    stages = {stage["name"]: stage["branched"] for stage in run.summary()["stages"]}
    assert [name for name, is_branched in stages.items() if is_branched] == ["rollouts_teacher"]
    assert run.trained[0][2] == parent.trained[0][2], "the same rows as SIKeD's iteration 0"
    said = [claim["sentence"] for claim in run.summary()["claims"]]
    assert len(said) == 2 and all(one.startswith("again ") and "plain" in one for one in said)


def test_attempts_begin_with_the_student_of_sikeds_iteration_0(make_config, monkeypatch, parent: Run):
    run = whole(make_config, monkeypatch, parent, "recipe=smart", "iterations.max=1")
    smart.run(run.lab(), run.config)
    taken = ["rollouts_teacher", "mixture_00", "training_00", "answers_00", "evaluation_00"]
    assert [stage["name"] for stage in run.summary()["stages"] if stage["branched"]] == taken
    assert [output for _, output, _ in run.trained] == [names.student(1)]


def test_the_same_settings_take_over_everything_but_decisions(make_config, monkeypatch, parent: Run):
    run = whole(make_config, monkeypatch, parent)
    run.finish()
    assert run.committed == ["decision_00", "decision_01", "decision_02"]
    assert (run.trained, run.generating.calls) == ([], [])
    assert run.lab().spent().hours == 0
    assert run.summary()["iterations"] == parent.summary()["iterations"]


@pytest.mark.parametrize("override", ["seed=7", "student.model=world:small-student", "data.limit=30"])
def test_what_fingerprints_do_not_hold_has_to_be_the_same(make_config, monkeypatch, parent: Run, override: str):
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        whole(make_config, monkeypatch, parent, override)


def test_a_directory_that_is_no_run(make_config):
    with pytest.raises(ConfigError, match=r"nowhere is no run directory"):
        find_branch(make_config("start_from=/nowhere:1"))
    assert find_branch(make_config()) is None


def test_a_lost_file_of_the_origin_is_noticed(make_config, parent: Run):
    (record,) = [one for one in Ledger(parent.storage).records() if one.stage == "mixture_01"]
    os.unlink(parent.storage.path(record.outputs[0]))
    with pytest.raises(ConfigError, match="has not finished mixture_01"):
        find_branch(branch_settings(make_config, parent, "1"))


def test_storages_that_are_not_local_are_copied(tmp_path):
    origin = Storage(f"{tmp_path}/a")
    origin.write_text("x/one.txt", "1")
    copy = Storage(f"{tmp_path}/b")
    copy.link(origin, "x/one.txt")
    copy.link(origin, "x/one.txt")
    assert copy.read_text("x/one.txt") == "1"


SCORED = ("teacher.logprobs=4", "training.objective=jsd")


@pytest.fixture
def with_scores(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the stages in which a teacher of paper scored."""
    stages: list[str] = []

    def score(self, stage, teacher, rows, top_k, known):
        stages.append(stage.name)
        self._storage.write_text(f"{names.place_of(stage)}/{stage.name}-00000.parquet", f"{len(known)} known")
        return {"rows": 3, "bytes_per_token": 26}

    monkeypatch.setattr("siked_ray.driver.scoring.Scoring.stage", score)
    monkeypatch.setattr("siked_ray.driver.measuring.token_by_token", lambda *_: {"by_strategy": {}, "partings": []})
    return stages


def test_what_the_teacher_scored_comes_along(make_config, monkeypatch, with_scores: list[str], tmp_path: Path):
    """With the teacher's texts, for another seed: one pass of the teacher."""
    parent = Run(make_config(*SETTINGS, *SCORED), monkeypatch)
    parent.finish()
    parent.storage.write_text(names.CONFIG, dump_config(parent.config))
    assert with_scores == [
        *("scores_teacher", "reading_teacher_00", "reading_student_00"),
        *("scores_01", "reading_teacher_01", "reading_student_01"),
        *("scores_02", "reading_teacher_02", "reading_student_02"),
    ]
    assert parent.summary()["iterations"][0]["scores"]["bytes_per_token"] == 26
    with_scores.clear()
    run = branched(make_config, monkeypatch, parent, "teacher", *SCORED, "seed=7", "iterations.max=0")
    run.finish()
    assert with_scores == ["reading_teacher_00", "reading_student_00"] and "scores_teacher" not in run.committed
    later = branched(make_config, monkeypatch, parent, "1", *SCORED, f"run_dir={tmp_path}/later")
    assert later.storage.exists("scores/iteration_01/scores_01-00000.parquet")
    assert later.storage.exists("readings/student_01/reading_student_01-00000.parquet")
    with_scores.clear()
    later.finish()
    assert with_scores == ["scores_02", "reading_teacher_02", "reading_student_02"]
    with pytest.raises(ConfigError, match=r"teacher\.logprobs: 4 -> 8"):
        find_branch(branch_settings(make_config, parent, "teacher", *SCORED, "teacher.logprobs=8"))


def test_a_run_without_scores_can_be_scored_later(make_config, monkeypatch, parent: Run, with_scores: list[str]):
    branched(make_config, monkeypatch, parent, "teacher", *SCORED, "iterations.max=0").finish()
    assert with_scores == ["scores_teacher", "reading_teacher_00", "reading_student_00"]


def test_the_teachers_rollouts_serve_students_that_are_asked_by_other_prompts(make_config, parent: Run):
    """MinT's views on a run of SIKeD: their suffixes are the student's, and strategies that are not in use nobody's."""
    mint = ("recipe=mint", "prompts=world_views")
    unused = "prompts.strategies.l2m.instruction=Ask."
    branch = find_branch(branch_settings(make_config, parent, "teacher", *mint, unused))
    assert branch is not None and branch.iteration is None
    for point, more, refused in (
        ("0", (), r"prompts\.strategies\.cot\.student"),
        ("teacher", ("prompts.strategies.cot.instruction=Think.",), r"prompts\.strategies\.cot\.instruction"),
        ("teacher", ("strategies=[cot, l2m]",), "strategies: l2m was not sampled there"),
    ):
        with pytest.raises(ConfigError, match=refused):
            find_branch(branch_settings(make_config, parent, point, *mint, *more))
