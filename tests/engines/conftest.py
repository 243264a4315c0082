"""One small run on the real engines, shared by the tests that look at it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import save_tiny_model, save_tiny_tokenizer

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("SIKED_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


def siked(*arguments: str, timeout_s: float = 900.0) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a user does."""
    command = [sys.executable, "-m", "siked_ray", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=REPOSITORY, check=False)


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run on GSM8K's annotations with a tiny random student."""

    folder: Path
    arguments: tuple[str, ...]
    student: Path
    output: subprocess.CompletedProcess[str]

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text())


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student") / "tiny"
    folder.mkdir()
    save_tiny_tokenizer(folder)
    save_tiny_model(folder, context=2048, tie_word_embeddings=True)
    return folder


@pytest.fixture(scope="session")
def gsm8k_run(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    if not (DATA / "gsm8k_test.jsonl").exists():
        pytest.skip(f"no GSM8K in {DATA}; set SIKED_TEST_DATA to a folder with the original files")
    folder = tmp_path_factory.mktemp("runs") / "gsm8k"
    arguments = (
        "run",
        "jobs/gsm8k_annotated.yaml",
        f"run_dir={folder}",
        f"data.train={DATA / 'gsm8k_test_socratic.jsonl'}",
        f"data.test={DATA / 'SVAMP.json'}",
        "data.limit=36",
        "data.validation_fraction=0.2",
        f"student.model={tiny_student}",
        "iterations.max=1",
        "iterations.patience=2",
        "generation.num_samples=2",
        "generation.max_new_tokens=32",
        "evaluation.max_new_tokens=32",
        "training.epochs=1",
        "training.max_seq_len=1024",
        "training.num_workers=2",
        "training.zero_stage=3",
        "training.lora.rank=8",
        "training.learning_rate=0.01",
        "engine.num_engines=1",
        "engine.dtype=float32",
    )
    return FinishedRun(folder=folder, arguments=arguments, student=tiny_student, output=siked(*arguments))
