"""A run directory as version 0.1 left it (jobs/smoke.yaml on two cores, without its weights), read by what there is
now."""

import json
import shutil
from pathlib import Path

import pytest

from siked_ray.capacity.await_capacity import Anywhere
from siked_ray.cli import main
from siked_ray.config import config_sha256, dump_config, load_config, read_resolved
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger
from siked_ray.data.storage import Storage
from siked_ray.driver.inputs import write_inputs
from siked_ray.driver.lab import RayLab
from siked_ray.launch.directory_state import check_run_directory
from siked_ray.preflight.branch import find_branch, stored_splits, take_over
from siked_ray.preflight.check import check
from siked_ray.recipes import siked

#: As jobs/smoke.yaml gave them with 0.1, on the machine where the run was made.
SHA256 = [
    "386b187532b4e6e5b21d062a555b33723ebe4b87cbe72ec27f037a586da18898",
    "2231139234728293f5e6434bc0a87584e8cc2542d00e1004c56084ec263b7163",
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(__file__).parent / "smoke_0_1", tmp_path / "old"))


def test_its_status(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["status", str(run), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["state"], status["iteration"], len(status["stages"])) == ("finished", 1, 10)
    assert [set(one) for one in status["accuracies"]] == [{"iteration", "validation", "world"}] * 2


def test_its_report(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(run), "--text"]) == 0
    assert "The run is finished; 2 iterations are evaluated." in " ".join(capsys.readouterr().out.split())
    assert (run / "report.html").read_text().count("<svg") > 5


@pytest.mark.parametrize("iteration", [0, 1])
def test_its_mixtures_recomputed(run: Path, capsys: pytest.CaptureFixture[str], iteration: int):
    assert main(["mix", str(run), "--iteration", str(iteration), "--json"]) == 0
    mixed = json.loads(capsys.readouterr().out)
    assert mixed["sha256"] == SHA256[iteration]
    assert (mixed["difference"]["added"], mixed["difference"]["removed"]) == (0, 0)


def test_the_same_settings_are_still_the_same(run: Path):
    settings = load_config(Path(__file__).parents[2] / "jobs" / "smoke.yaml", [f"run_dir={run}"])
    assert check_run_directory(settings, Storage(str(run))) == "finished"
    summary = json.loads((run / "summary.json").read_text())
    assert config_sha256(settings) == summary["config_sha256"]


class NothingToDo:
    """Fails whatever would be sampled or trained."""

    def __getattr__(self, name: str):
        raise AssertionError(f"{name} is asked for, and everything is there")


def lab_on(storage: Storage, committed: list[str]) -> RayLab:
    config = read_resolved(storage.read_text(names.CONFIG), names.CONFIG)
    return RayLab(
        config,
        storage,
        NothingToDo(),
        NothingToDo(),
        models={"teacher": "world:small-teacher", "student": "world:small-student"},
        test_sets=["world"],
        max_model_len={},
        log_dir="",
        placement=Anywhere(),
        on_commit=lambda record: committed.append(record.stage),
    )


@pytest.mark.parametrize("lost", [[], ["decision_01"], ["decision_01", "evaluation_01"]])
def test_it_is_continued_and_what_is_there_is_not_done_again(run: Path, lost: list[str]):
    storage = Storage(str(run))
    ledger = Ledger(storage)
    ledger.complete()
    for name in lost:  # as after a kill
        (run / "ledger" / f"{name}.json").unlink()
    committed: list[str] = []
    config = read_resolved(storage.read_text(names.CONFIG), names.CONFIG)
    decision = siked.run(lab_on(storage, committed), config)
    assert (decision.stop, decision.best_iteration) == (True, 1)
    assert sorted(committed) == lost
    assert ledger.read(StageId.of_iteration(Kind.ANSWERS, 1)) is not None


@pytest.mark.parametrize(("point", "stages"), [("teacher", 1), ("0", 5), ("1", 10)])
def test_a_new_run_starts_from_it(run: Path, tmp_path: Path, point: str, stages: int):
    overrides = [f"run_dir={tmp_path}/new", f"start_from={run}:{point}", "iterations.max=2", "mixture.policy=all"]
    config = load_config(Path(__file__).parents[2] / "jobs" / "smoke.yaml", overrides)
    branch = find_branch(config)
    assert branch is not None
    storage = Storage(config.run_dir)
    take_over(branch, storage, config)
    storage.write_text(names.CONFIG, dump_config(config))
    ledger = Ledger(storage)
    assert ledger.read(TEACHER) is not None
    assert len([one for one in ledger.records() if one.id.kind is not Kind.BRANCH]) == stages


def with_a_test_problem(run: Path) -> str:
    """Puts a problem of the test set among the problems that the run has stored to learn from; returns its question."""
    import pyarrow as pa

    storage = Storage(str(run))
    train, test = (storage.read_parquet(names.problems(split)) for split in ("train", "world"))
    storage.write_parquet(names.problems("train"), pa.concat_tables([train, test.slice(0, 1)]))
    return str(test["question"][0])


@pytest.mark.parametrize("point", [None, "teacher", "1"])
def test_its_problems_stay_as_they_are_stored(run: Path, tmp_path: Path, point: str | None):
    """Nothing is removed of a run that has begun, nor of one that begins where it stands; what is found is said."""
    question = with_a_test_problem(run)
    branch = [f"run_dir={tmp_path}/new", f"start_from={run}:{point}", "iterations.max=2"]
    overrides = branch if point else [f"run_dir={run}"]
    config = load_config(Path(__file__).parents[2] / "jobs" / "smoke.yaml", overrides)
    checked = check(config)
    assert (list(checked.train), list(checked.validation)) == stored_splits(Storage(str(run)))
    (note,) = checked.notes
    assert note.startswith("1 of the 200 problems of the test set world are training problems too")
    storage = Storage(config.run_dir)
    write_inputs(config, checked, storage)
    train, validation = stored_splits(storage)
    assert train == list(checked.train) and train[-1].question == question
    assert validation == list(checked.validation)
    assert storage.exists(names.CONTAMINATION) is (point is not None)
    if point:
        assert storage.read_json(names.CONTAMINATION)["left"] == 1


def test_a_branch_takes_over_what_its_origin_found(run: Path, tmp_path: Path):
    found = {"setting": "remove", "removed": 3}
    Storage(str(run)).write_json(names.CONTAMINATION, found)
    overrides = [f"run_dir={tmp_path}/new", f"start_from={run}:teacher"]
    config = load_config(Path(__file__).parents[2] / "jobs" / "smoke.yaml", overrides)
    storage = Storage(config.run_dir)
    write_inputs(config, check(config), storage)
    assert storage.read_json(names.CONTAMINATION) == found
    assert storage.read_bytes(names.EXCLUDED) == Storage(str(run)).read_bytes(names.EXCLUDED)
