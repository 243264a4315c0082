import io
import json

import pytest
from rich.console import Console

from siked_ray.config import config_sha256
from siked_ray.data.ledger import StageRecord
from siked_ray.report.summary import build_summary
from siked_ray.report.table import iteration_table, print_results
from tests.stage_ids import stage_id

SAMPLING = {
    "engine": "vllm 0",
    "requests": 30,
    "samples": 50,
    "accepted": 20,
    "accepted_by_strategy": {"cot": 12, "pot": 8},
    "verdicts": {"correct": 20, "wrong": 30},
    "generated_tokens": 900,
    "quarantined": 2,
}
TRAINING = {
    "backend": "deepspeed",
    "zero_stage": 1,
    "num_workers": 2,
    "steps": 9,
    "tokens": 1000,
    "seconds": 3.0,
    "first_loss": 4.0,
    "last_loss": 0.5,
    "losses": [4.0, 0.5],
    "skipped": 0,
}


def mixture(teacher_rows: int, student_rows: int) -> dict:
    rows = teacher_rows + student_rows
    counts = {
        "rows": rows,
        "teacher_rows": teacher_rows,
        "student_rows": student_rows,
        "alpha": teacher_rows / rows,
    }
    by_strategy = {"cot": counts, "pot": {"rows": 0, "teacher_rows": 0, "student_rows": 0, "alpha": None}}
    return {"policy": "adaptive", **counts, "by_strategy": by_strategy, "sha256": "ab" * 32}


def accuracy(free: float) -> dict:
    return {
        "num_problems": 1319,
        "free": free,
        "oracle": 0.75,
        "forced": {"cot": 0.5, "pot": 0.625},
        "strategy_histogram": {"cot": 0.25, "pot": 0.75, "none": 0.0},
    }


def records() -> list[StageRecord]:
    stages = {
        "rollouts_teacher": SAMPLING,
        "mixture_00": {"mixture": mixture(20, 0), "kl_mixture_student": None},
        "training_00": TRAINING,
        "evaluation_00": {"validation": accuracy(0.4), "gsm8k": accuracy(0.3)},
        "decision_00": {"stop": False, "best_iteration": 0, "reason": "may still rise"},
        "rollouts_01": SAMPLING | {"samples": 60},
        "mixture_01": {"mixture": mixture(5, 15), "kl_mixture_student": 0.03},
        "training_01": TRAINING,
        "evaluation_01": {"validation": accuracy(0.6), "gsm8k": accuracy(0.5)},
        "decision_01": {"stop": True, "best_iteration": 1, "reason": "iterations.max = 1 is reached"},
    }
    return [
        StageRecord(id=stage_id(stage), position=index + 1, seconds=float(index), outputs=(), metrics=metrics)
        for index, (stage, metrics) in enumerate(stages.items())
    ]


def test_every_key_that_scripts_read_is_there(make_config):
    config = make_config()
    summary = build_summary(config, records(), "finished", {"training_01", "decision_01"})
    assert summary["run"] == config.run_dir
    assert summary["config_sha256"] == config_sha256(config)
    assert (summary["status"], summary["best_iteration"], summary["quarantined"]) == ("finished", 1, 4)
    assert {"ray", "torch", "vllm", "deepspeed"} <= summary["versions"].keys()

    zero, one = summary["iterations"]
    assert (zero["iteration"], one["iteration"]) == (0, 1)
    assert (zero["generation"]["samples"], one["generation"]["samples"]) == (50, 60)
    for entry in (zero, one):
        assert {
            "engine",
            "requests",
            "samples",
            "accepted",
            "generated_tokens",
            "seconds",
        } <= entry["generation"].keys()
        assert {"policy", "rows", "teacher_rows", "student_rows", "alpha", "sha256"} <= entry["mixture"].keys()
        assert entry["mixture"]["by_strategy"]["cot"].keys() == {"rows", "teacher_rows", "student_rows", "alpha"}
        assert {
            "backend",
            "zero_stage",
            "num_workers",
            "steps",
            "tokens",
            "seconds",
            "first_loss",
            "last_loss",
        } <= entry["training"].keys()
        assert set(entry["evaluation"]) == {"validation", "gsm8k"}
        for metrics in entry["evaluation"].values():
            assert {"num_problems", "free", "oracle", "forced", "strategy_histogram"} <= metrics.keys()
        assert "losses" not in entry["training"], "curves have a file of their own"
    assert (zero["kl_mixture_student"], one["kl_mixture_student"]) == (None, 0.03)
    assert one["decision"]["reason"] == "iterations.max = 1 is reached"
    assert json.loads(json.dumps(summary)) == summary


def test_stages_say_what_was_resumed(make_config):
    summary = build_summary(make_config(), records(), "finished", {"training_01", "decision_01"})
    assert [stage["name"] for stage in summary["stages"]] == [record.stage for record in records()]
    assert [stage["seconds"] for stage in summary["stages"]] == [float(index) for index in range(10)]
    assert {stage["name"] for stage in summary["stages"] if not stage["resumed"]} == {"training_01", "decision_01"}


@pytest.mark.parametrize("num_stages", range(11))
def test_a_run_in_the_middle_has_a_summary_and_a_table(make_config, num_stages: int):
    summary = build_summary(make_config(), records()[:num_stages], "running", set())
    assert summary["status"] == "running"
    assert summary["best_iteration"] == (None if num_stages < 5 else 0 if num_stages < 10 else 1)
    num_iterations = 0 if num_stages == 0 else 1 if num_stages <= 5 else 2
    assert len(summary["iterations"]) == num_iterations
    num_evaluated = (num_stages >= 4) + (num_stages >= 9)
    assert iteration_table(summary).row_count == 2 * num_evaluated, "a line per data set"


def rendered(summary: dict) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(iteration_table(summary))
    return console.export_text()


def test_the_table_shows_what_a_person_looks_for(make_config):
    text = rendered(build_summary(make_config(), records(), "finished", set()))
    lines = text.splitlines()
    assert "finished" in lines[0]
    assert all(heading in text for heading in ("iteration", "α", "rows", "free", "oracle", "cot", "pot", "chooses"))
    (first,) = [line for line in lines if "validation" in line and "40.0%" in line]
    (second,) = [line for line in lines if "validation" in line and "60.0%" in line]
    assert "1.00" in first and "0.25" in second
    assert "1 *" in second and "*" not in first, "the best iteration is marked"
    assert all(figure in second for figure in ("62.5%", "75.0%", "1,319", "cot 25% pot 75%"))
    assert "none" not in second


def test_results_end_with_the_place_of_the_best_student(make_config, capsys: pytest.CaptureFixture[str]):
    summary = build_summary(make_config(), records(), "finished", set())
    print_results(summary, best_student=lambda iteration: f"/run/students/iteration_{iteration:02d}")
    assert "iteration 1, /run/students/iteration_01" in capsys.readouterr().out
