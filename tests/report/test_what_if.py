import json
from dataclasses import replace
from pathlib import Path

import pytest

from siked_ray.cli import main
from siked_ray.config import Config, dump_config
from siked_ray.core.rollout import Rollout
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError, DataError
from siked_ray.report.what_if import recompute_mixture, sampled_iterations
from tests.plain_rollout import PLAIN


def rollout(by: str, problem: str, index: int, verdict: Verdict) -> Rollout:
    return replace(
        PLAIN,
        request_id=f"{by}-{problem}-{index}",
        problem_id=problem,
        sample_index=index,
        completion="So it is.",
        num_tokens=3,
        verdict=verdict,
    )


@pytest.fixture
def run(make_config, tmp_path: Path) -> str:
    """A run directory by hand with METHOD.md's golden sets in iteration 1: Q_S = {1, 2}, Q_L = {2, 3, 4}."""
    config: Config = make_config("strategies=[cot]")
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    rows = [
        {"problem_id": str(n), "dataset": "d", "split": "train", "question": f"{n}?", "answer": "1"} for n in range(6)
    ]
    storage.write_parquet(names.problems("train"), table("problems", rows))
    taught = [rollout("t", problem, 1, Verdict.CORRECT) for problem in "234"]
    taught += [rollout("t", "5", index, Verdict.WRONG) for index in range(3)]
    storage.write_parquet(f"{names.TEACHER_ROLLOUTS}/part-1.parquet", table("rollouts", taught[:2]))
    storage.write_parquet(f"{names.TEACHER_ROLLOUTS}/part-0.parquet", table("rollouts", taught[2:]))
    own = [rollout("s", "1", 0, Verdict.CORRECT), rollout("s", "2", 4, Verdict.CORRECT)]
    own += [rollout("s", "2", 1, Verdict.WRONG), rollout("s", "3", 0, Verdict.TIMEOUT)]
    storage.write_parquet(f"{names.student_rollouts(1)}/part-0.parquet", table("rollouts", own))
    return config.run_dir


@pytest.mark.parametrize(
    ("policy", "rows", "teacher_rows", "alpha"),
    [("adaptive", 4, 2, 0.5), ("all", 5, 3, 0.6), ("self_only", 2, 0, 0.0), ("teacher_only", 3, 3, 1.0)],
)
def test_golden_mixtures_from_a_run_directory(run: str, policy: str, rows: int, teacher_rows: int, alpha: float):
    counts = recompute_mixture(run, 1, [f"mixture.policy={policy}"])
    assert (counts["iteration"], counts["policy"]) == (1, policy)
    assert (counts["rows"], counts["teacher_rows"], counts["alpha"]) == (rows, teacher_rows, alpha)
    assert counts["student_rows"] == rows - teacher_rows
    assert counts["by_strategy"] == {"cot": {key: counts[key] for key in counts["by_strategy"]["cot"]}}
    assert counts["kl_mixture_student"] == 0


def test_the_default_is_the_policy_of_the_run(run: str):
    assert recompute_mixture(run, 1) == recompute_mixture(run, 1, ["mixture.policy=adaptive"])


def test_hashes_differ_between_policies_and_are_repeatable(run: str):
    policies = [f"mixture.policy={policy}" for policy in ("adaptive", "all", "self_only") for _ in "12"]
    hashes = [recompute_mixture(run, 1, [policy])["sha256"] for policy in policies]
    assert len(set(hashes)) == 3
    assert hashes[0] == hashes[1]


def test_iteration_zero_is_the_teachers(run: str):
    counts = recompute_mixture(run, 0)
    assert (counts["rows"], counts["alpha"], counts["kl_mixture_student"]) == (3, 1.0, None)


def test_what_cannot_be_recomputed_is_said(run: str, tmp_path: Path):
    with pytest.raises(DataError, match="no rollouts of iteration 2"):
        recompute_mixture(run, 2)
    with pytest.raises(ConfigError, match=r"mixture\.policy.*'adaptive', 'all', 'self_only', 'teacher_only'"):
        recompute_mixture(run, 1, ["mixture.policy=best"])
    with pytest.raises(ConfigError, match=r"set mixture\.alphas"):
        recompute_mixture(run, 1, ["mixture.policy=fixed_alpha"])
    with pytest.raises(ConfigError, match=r"'generation\.keep=2' is no setting of the mixture"):
        recompute_mixture(run, 1, ["generation.keep=2"])
    with pytest.raises(DataError, match="is no run directory"):
        recompute_mixture(str(tmp_path / "elsewhere"), 1)


def test_the_difference_to_what_was_trained_on(run: str):
    assert recompute_mixture(run, 1)["difference"] is None, "nothing was trained on yet"
    columns = dict.fromkeys(("prompt", "response"), "")
    trained = [
        {"problem_id": "1", "strategy": "cot", "source": "student", "request_id": "s-1-0", **columns},
        {"problem_id": "9", "strategy": "cot", "source": "teacher", "request_id": "t-9-1", **columns},
    ]
    Storage(run).write_parquet(names.mixture(1), table("mixture", trained))
    assert recompute_mixture(run, 1)["difference"] == {
        "added": 3,
        "removed": 1,
        "added_by_source": [
            {"source": "student", "strategy": "cot", "rows": 1},
            {"source": "teacher", "strategy": "cot", "rows": 2},
        ],
        "removed_by_source": [{"source": "teacher", "strategy": "cot", "rows": 1}],
    }


def test_parameters_of_a_policy_can_be_tried(run: str):
    counts = recompute_mixture(run, 1, ["mixture.policy=fixed_alpha", "mixture.alphas=[0.5]"])
    assert (counts["rows"], counts["alpha"]) == (4, 0.5)
    assert counts["reason"] == "α = 0.5 is set for iteration 1"


def test_iterations_that_can_be_recomputed(run: str):
    assert sampled_iterations(run) == [0, 1]


def test_the_command_prints_every_sampled_iteration(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["mix", run, "--policy", "fixed_alpha", "--set", "mixture.alphas=[0.5]"]) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.startswith("iteration 0 · policy teacher_only · the teacher's rows alone\nall    rows       3")
    assert "α = 0.5 is set for iteration 1\nall    rows       4  teacher       2  student       2  α 0.500" in second
    assert second.strip().endswith("this iteration has not been trained yet")


def test_the_command_prints_one_iteration_for_scripts(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["mix", run, "--iteration", "1", "--policy", "all", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["policy"], counts["rows"], counts["alpha"], len(counts["sha256"])) == ("all", 5, 0.6, 64)
    assert main(["mix", run, "--iteration", "1", "--policy", "kl_target"]) == 2
    assert "set mixture.kl_bound" in capsys.readouterr().err
