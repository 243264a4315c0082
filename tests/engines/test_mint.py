"""MinT on the real engines, on GSM8K's and SVAMP's annotations: killed while it trains, it ends as it would have."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.engines.conftest import DATA, REPOSITORY, siked

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]


def arguments(folder: Path, student: Path) -> tuple[str, ...]:
    return (
        *("run", "jobs/mint_annotated.yaml", f"run_dir={folder}", f"student.model={student}"),
        f"data.train=[{DATA / 'gsm8k_train.jsonl'}, {DATA / 'ASDiv.xml'}]",
        *(f"data.test={DATA / 'SVAMP.json'}", "data.limit=24", "data.validation_fraction=0.2"),
        *("strategies=[cot, formula]", "options.noisy=[formula]"),
        *("generation.max_new_tokens=24", "evaluation.max_new_tokens=24"),
        *("training.epochs=1", "training.max_seq_len=1024", "training.num_workers=1", "training.learning_rate=0.01"),
        "engine.dtype=float32",
    )


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def kill_once(folder: Path, stage: str, command: tuple[str, ...], timeout_s: float = 600.0) -> None:
    """Start a run, and kill its whole session as soon as a stage is committed."""
    with subprocess.Popen(
        [sys.executable, "-m", "siked_ray", *command],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        until = time.monotonic() + timeout_s
        while not (folder / "ledger" / f"{stage}.json").exists():
            assert process.poll() is None and time.monotonic() < until, "it ended before it was killed"
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)


def test_a_kill_in_the_middle_changes_nothing(tiny_student: Path, tmp_path: Path) -> None:
    if not (DATA / "ASDiv.xml").exists():
        pytest.skip(f"no ASDiv in {DATA}; set SIKED_TEST_DATA to a folder with the original files")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = siked(*arguments(whole, tiny_student))
    assert done.returncode == 0, done.stderr
    kill_once(killed, "table_only_cot", arguments(killed, tiny_student))
    assert not (killed / "ledger" / "decision_mint.json").exists()
    again = siked(*arguments(killed, tiny_student))
    assert again.returncode == 0, again.stderr
    first, second = summary_of(whole), summary_of(killed)
    resumed = [one["name"] for one in second["stages"] if one["resumed"]]
    assert {"rollouts_teacher", "table_all", "training_all", "table_only_cot"} <= set(resumed)
    assert "decision_mint" not in resumed and second["status"] == "finished"
    assert second["views"] == first["views"] and second["claims"] == first["claims"]
    for one, other in zip(first["arms"], second["arms"], strict=True):
        assert (one["name"], one["evaluation"]) == (other["name"], other["evaluation"])
        assert one["training"]["last_loss"] == other["training"]["last_loss"]
    steps = {one["name"]: one["training"]["steps"] for one in first["arms"]}
    assert steps["all"] == steps["only_cot"] == steps["only_formula"] > 0
    formulas = first["views"]["formula"]["asdiv"]
    assert formulas["rows"] == formulas["rationales"] == formulas["right"] + formulas["noisy"]
    rows = pq.read_table(next((whole / "tables").glob("*all*"))).to_pylist()
    assert {row["strategy"] for row in rows} == {"cot", "formula"}
    assert sum(row["noisy"] == "noisy" for row in rows) == formulas["noisy"]
    assert "All views against each alone" in (whole / "report.html").read_text()
