"""The whole loop on real Ray, vLLM and DeepSpeed, looked at from outside: command line and files."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.engines.conftest import FinishedRun, siked

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]


def test_it_finishes_with_a_table_and_quiet_logs(gsm8k_run: FinishedRun) -> None:
    assert gsm8k_run.output.returncode == 0, gsm8k_run.output.stderr
    assert "iteration" in gsm8k_run.output.stdout and "α" in gsm8k_run.output.stdout
    assert "best by held-out free accuracy" in gsm8k_run.output.stdout
    assert "Traceback" not in gsm8k_run.output.stderr and "WARNING" not in gsm8k_run.output.stderr
    assert (gsm8k_run.folder / "logs" / "student_00.log").stat().st_size > 0


def test_the_summary_says_what_happened(gsm8k_run: FinishedRun) -> None:
    summary = gsm8k_run.summary
    assert summary["status"] == "finished"
    assert [entry["iteration"] for entry in summary["iterations"]] == [0, 1]
    for entry in summary["iterations"]:
        mixture, training = entry["mixture"], entry["training"]
        assert mixture["rows"] == mixture["teacher_rows"] + mixture["student_rows"] > 0
        assert mixture["rows"] == sum(one["rows"] for one in mixture["by_strategy"].values())
        assert training["backend"] == "deepspeed" and training["num_workers"] == 2 and training["steps"] > 0
        assert set(entry["evaluation"]) == {"validation", "svamp"}
        assert entry["evaluation"]["svamp"]["num_problems"] == 36
    first, second = summary["iterations"]
    assert first["mixture"]["alpha"] == 1.0 and first["generation"]["engine"] == "annotations"
    assert second["generation"]["engine"].startswith("vllm") and second["generation"]["samples"] > 0
    assert second["training"]["last_loss"] < first["training"]["first_loss"]
    assert {"ray", "torch", "vllm", "deepspeed"} <= set(summary["versions"])


def test_metrics_and_report_are_there(gsm8k_run: FinishedRun) -> None:
    lines = [json.loads(line) for line in (gsm8k_run.folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["loss"] for line in lines if line["stage"] == "training_00" and "step" in line]
    training = gsm8k_run.summary["iterations"][0]["training"]
    assert len(steps) == training["steps"] and steps[-1] == training["last_loss"]
    assert "<svg" in (gsm8k_run.folder / "report.html").read_text()


def test_every_annotated_strategy_is_learned_from(gsm8k_run: FinishedRun) -> None:
    by_strategy = gsm8k_run.summary["iterations"][0]["mixture"]["by_strategy"]
    assert all(by_strategy[name]["rows"] > 0 for name in ("cot", "l2m", "pot"))
    rows = pq.read_table(gsm8k_run.folder / "mixtures" / "iteration_00").to_pylist()
    assert {row["response"].split()[0] for row in rows} == {"[cot]:", "[l2m]:", "[pot]:"}
    train = set(pq.read_table(gsm8k_run.folder / "problems" / "train.parquet")["problem_id"].to_pylist())
    held_out = set(pq.read_table(gsm8k_run.folder / "problems" / "validation.parquet")["problem_id"].to_pylist())
    assert {row["problem_id"] for row in rows} <= train and not train & held_out


def test_a_finished_run_says_so_and_runs_nothing(gsm8k_run: FinishedRun) -> None:
    before = (gsm8k_run.folder / "summary.json").read_bytes()
    again = siked(*gsm8k_run.arguments)
    assert again.returncode == 0 and "finished" in again.stderr
    assert (gsm8k_run.folder / "summary.json").read_bytes() == before


def test_other_settings_are_refused_by_name(gsm8k_run: FinishedRun) -> None:
    refused = siked(*gsm8k_run.arguments, "seed=7")
    assert refused.returncode == 2
    assert "seed: 42 -> 7" in refused.stderr and refused.stderr.count("\n") == 1


def test_the_mixture_is_recomputed_from_the_rollouts(gsm8k_run: FinishedRun) -> None:
    for iteration, entry in enumerate(gsm8k_run.summary["iterations"]):
        answer = siked("mix", str(gsm8k_run.folder), "--iteration", str(iteration), "--json")
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["sha256"] == entry["mixture"]["sha256"]


def test_only_stages_without_a_record_run_again(gsm8k_run: FinishedRun) -> None:
    """Take back the last evaluation and decision: the same command repeats these two, with the same result."""
    before = gsm8k_run.summary
    for stage in ("evaluation_01", "decision_01"):
        (gsm8k_run.folder / "ledger" / f"{stage}.json").unlink()
    _set_status(gsm8k_run.folder, "running")
    again = siked(*gsm8k_run.arguments)
    assert again.returncode == 0, again.stderr
    after = gsm8k_run.summary
    assert after["status"] == "finished"
    assert {one["name"] for one in after["stages"] if not one["resumed"]} == {"evaluation_01", "decision_01"}
    assert after["iterations"][1]["evaluation"] == before["iterations"][1]["evaluation"]


def test_the_student_is_the_same_in_transformers_and_vllm(gsm8k_run: FinishedRun) -> None:
    """Greedy free completions that vLLM made in the run, repeated with transformers' generate."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = gsm8k_run.folder / "students" / "iteration_01"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    rows = pq.read_table(gsm8k_run.folder / "evaluations" / "iteration_01").to_pylist()
    free = [row for row in rows if row["requested"] == "free"][:8]
    same = 0
    for row in free:
        prompt = tokenizer(row["prompt"], return_tensors="pt")
        with torch.no_grad():
            output = model.generate(**prompt, max_new_tokens=32, do_sample=False)
        text = tokenizer.decode(output[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        # The stored completion is without its tag; a wrong weight or position would change all of them.
        same += row["completion"][:20] in text
    assert same >= len(free) - 1


def _set_status(folder: Path, status: str) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | {"status": status}))
