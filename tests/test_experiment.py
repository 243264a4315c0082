"""The experiment's arms load as settings, run in the order of what they need, and its page holds what runs found."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from siked_ray.config import load_config
from siked_ray.core.mixture import Policy

FOLDER = Path(__file__).parents[1] / "jobs" / "experiment"


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("run_experiment")
    for name in ("run_experiment", "running", "rationales", "page", "own_rows", "arms"):
        sys.modules.pop(name, None)


def tasks(experiment: ModuleType, seeds=(1, 2, 3), sizes=("small", "large")) -> list:
    return [experiment.Task(size=z, seed=s, arm=arm) for z in sizes for s in seeds for arm in experiment.ARMS]


def test_every_arm_loads_and_changes_what_it_says(experiment: ModuleType):
    configs = {
        task.arm.name: load_config(FOLDER / "base.yaml", task.overrides(Path("/r"), Path("/t"), None))
        for task in tasks(experiment, seeds=(5,), sizes=("large",))
    }
    assert {config.student.model for config in configs.values()} == {"world:large-student"}
    assert {config.seed for config in configs.values()} == {5}
    assert configs["single_l2m"].strategies == ["l2m"] and configs["single_l2m"].start_from == "/t:teacher"
    assert configs["adaptive"].start_from == "/r/large-5-combined:0"
    assert configs["all_data"].start_from == "/r/large-5-all:1"
    assert [configs[name].iterations.start for name in ("all", "all_data")] == ["previous", "base"]
    policies = {name: configs[name].mixture.policy for name in ("adaptive", "all", "self_only")}
    assert list(policies.values()) == [Policy.ADAPTIVE, Policy.ALL, Policy.SELF_ONLY]
    gaps = configs["combined_gaps"]
    assert (gaps.start_from, gaps.teacher.path) == (None, "/r/rationales.jsonl#question~30-100")
    assert configs["adaptive_gaps"].start_from == "/r/large-5-combined_gaps:0"
    assert configs["adaptive_gaps"].teacher == gaps.teacher and configs["adaptive_gaps"].control == "tokens"
    assert [configs[name].training.epochs for name in ("combined", "all", "self_only")] == [4, 2, 2]
    assert [configs[name].iterations.max for name in ("combined", "matched_all", "adaptive")] == [0, 0, 2]
    assert len(experiment.SEEDS) >= 5 and len(experiment.SIZES) == 2
    load_config(FOLDER / "base.yaml", [*experiment.TEACHER, "run_dir=/t"])


def test_the_models_of_all_sizes_have_recipes(experiment: ModuleType):
    from siked_ray.world.curriculum import CURRICULA

    assert all(model in CURRICULA for model in experiment.SIZES.values())


def write_run(folder: Path, frees: list[float], steps: list[int], best: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("training:\n  epochs: 3\n")
    metrics = {
        "num_problems": 300,
        "oracle": 0.9,
        "majority": 0.5,
        "strategy_histogram": {"cot": 0.25, "pot": 0.75},
        "forced": {"cot": 0.4, "pot": 0.6},
        "choices": {"accuracy": 0.7},
    }
    iterations = [
        {
            "iteration": index,
            "mixture": {"alpha": 1 - index / 4},
            "training": {"steps": count},
            "evaluation": {"validation": metrics | {"free": 0.0}, "world": metrics | {"free": free}},
        }
        for index, (free, count) in enumerate(zip(frees, steps, strict=True))
    ]
    versions = dict.fromkeys(("ray", "vllm", "torch", "deepspeed"), "1")
    summary = {"status": "finished", "best_iteration": best, "iterations": iterations, "versions": versions}
    beside = folder / ".summary"  # whole or not at all, as a run writes it
    beside.write_text(json.dumps(summary))
    beside.rename(folder / "summary.json")


def test_the_page_has_means_and_paired_tests(experiment: ModuleType, tmp_path: Path):
    finished = [task for task in tasks(experiment, sizes=("small",)) if task.arm.name in ("combined", "adaptive")]
    for task in finished:
        base = 0.5 + task.seed / 100
        if task.arm.name == "combined":
            write_run(tmp_path / task.name, [base], [100], 0)
        else:
            frees = [base, base + 0.1 + task.seed / 1000, base - 0.2]
            write_run(tmp_path / task.name, frees, [100, 110, 120], 1)
    experiment.write_page(tmp_path / "page.md", tmp_path, finished)
    page = (tmp_path / "page.md").read_text()
    assert "| combined | 3 | 52.0 ± 2.5 % | 52.0 ± 2.5 % |" in page
    assert "| adaptive | 3 | 62.2 ± 2.7 % | 32.0 ± 2.5 % |" in page, "the best iteration, and beside it the last one"
    assert "| cot 40% pot 60% | 70.0 ± 0.0 % | cot 25% pot 75% | 330 | 0.50 |" in page, (
        "optimizer steps of all iterations, and α of the last one"
    )
    assert "| adaptive | combined | 3 | +10.2 | +10.0 to +10.4 | 0.0000 | 0.2500 |" in page
    assert "300 test problems" in page


def test_own_rows_are_compared_with_the_teachers_and_with_the_worlds(experiment: ModuleType, tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from siked_ray.core.ids import problem_id
    from siked_ray.world.word_problems import world_problems

    problems = [(problem_id("world", p.question), p.rationales["cot"]) for p in world_problems("world:train")[:4]]
    texts = ["It is luck.", *(rationale for _, rationale in problems[1:])]
    own = [
        {"problem_id": key, "strategy": "cot", "source": "student", "response": f"[cot]: {text}"}
        for (key, _), text in zip(problems, texts, strict=True)
    ]
    solved = [
        {"problem_id": key, "requested": "cot", "sample_index": index, "completion": text, "verdict": verdict}
        for key, rationale in problems[:2]
        for index, (text, verdict) in enumerate([("No.", "wrong"), (rationale, "correct"), ("Other.", "correct")])
    ]
    for name, rows in (("small-1-adaptive/mixtures/iteration_02", own), ("teacher/rollouts/teacher", solved)):
        (tmp_path / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "part.parquet")
    finished = [one for one in tasks(experiment, seeds=(1,), sizes=("small",)) if one.arm.name == "adaptive"]
    write_run(tmp_path / finished[0].name, [0.5, 0.6, 0.7], [1, 1, 1], 2)
    experiment.write_page(tmp_path / "page.md", tmp_path, finished)
    assert "| adaptive | 50% | 25% | 75% | 100% |" in (tmp_path / "page.md").read_text()


def test_a_teacher_with_gaps_has_its_first_right_rationales_in_a_file(experiment: ModuleType, tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    samples = [(0, "No.", "wrong"), (1, "Yes.", "correct"), (2, "Again.", "correct")]
    rollouts = [
        {"problem_id": "p", "requested": "cot", "sample_index": index, "completion": text, "verdict": verdict}
        for index, text, verdict in samples
    ]
    for name, rows in {
        "rollouts/teacher": rollouts,
        "problems": [{"problem_id": "p", "question": "How many?"}, {"problem_id": "q", "question": "Why?"}],
    }.items():
        (tmp_path / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "train.parquet")
    experiment.write_rationales(tmp_path, tmp_path / "rationales.jsonl")
    (line,) = (tmp_path / "rationales.jsonl").read_text().splitlines()
    assert json.loads(line) == {"question": "How many?", "strategy": "cot", "rationale": "Yes."}


def test_steps_are_matched_by_whole_epochs(experiment: ModuleType, tmp_path: Path):
    write_run(tmp_path / "run", [0.1, 0.2, 0.3], [100, 107, 108], 2)
    write_run(tmp_path / "combined", [0.1], [100], 0)
    (tmp_path / "run" / "config.yaml").write_text("training:\n  epochs: 1\n")
    epochs = experiment.matched_epochs(tmp_path / "run", 0, tmp_path / "combined")
    assert epochs == 10, "3 epochs are 100 steps, so 10 are 334 for 315, whatever the epochs of later iterations"
    epochs = experiment.matched_epochs(tmp_path / "run", 2, tmp_path / "run")
    assert epochs == 3, "one epoch over the last mixture is 108 steps"


def test_what_is_finished_is_not_run_again_and_order_follows_needs(
    experiment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    started: list[str] = []

    def run(command: list[str], **_) -> object:
        folder = Path(next(one for one in command if one.startswith("run_dir=")).removeprefix("run_dir="))
        started.append(folder.name)
        broken = folder.name == "small-2-adaptive"
        if not broken:
            write_run(folder, [0.5, 0.6, 0.7], [100, 100, 100], 1)
        return type("Ended", (), {"returncode": int(broken)})

    monkeypatch.setattr("running.subprocess.run", run)
    write_run(tmp_path / "small-1-all", [0.5, 0.6, 0.7], [100, 100, 100], 0)
    wanted = [one for one in tasks(experiment, seeds=(1, 2), sizes=("small",)) if not one.arm.gaps]
    failed = experiment.Experiment(tmp_path, [], 2).run(wanted)
    assert started[:2] == ["teacher", "small-1-combined"], "first the teacher, then whoever makes the base student"
    assert "small-1-all" not in started
    assert (
        started.index("small-1-matched_adaptive")
        > started.index("small-1-adaptive")
        > started.index("small-1-combined")
    )
    needing = ["small-2-adaptive", "small-2-adaptive_data", "small-2-matched_adaptive"]
    assert sorted(failed) == needing, "what needs a failed arm is named too"
    assert len(started) == len(set(started)) == 1 + len(wanted) - 3


def test_two_folders_of_runs_are_compared_over_their_seeds(
    tmp_path: Path, experiment: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for root, gain in (("before", 0.0), ("after", 0.1)):
        for seed in (1, 2, 3):
            entry = {"iteration": 0, "evaluation": {"validation": {"free": 0.9}, "world": {"free": 0.5 + gain * seed}}}
            summary = {"status": "finished", "best_iteration": 0, "iterations": [entry]}
            folder = tmp_path / root / f"small-{seed}-combined"
            folder.mkdir(parents=True)
            (folder / "summary.json").write_text(json.dumps(summary))
    monkeypatch.setattr(sys, "argv", ["compare_roots.py", str(tmp_path / "before"), str(tmp_path / "after")])
    importlib.import_module("compare_roots").main()
    sys.modules.pop("compare_roots")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("small combined: 50.0% -> 70.0%, +20.0 points (") and "3 seeds" in line
