from pathlib import Path
from typing import Any

import pytest
import yaml

from siked_ray.report.model_card import model_card

SUMMARY: dict[str, Any] = {"run": "r", "config_sha256": "c" * 64, "iterations": [], "versions": {}, "start_from": None}


def front_matter(student: str, train: str) -> dict[str, Any]:
    settings = {
        "student": {"model": student},
        "data": {"train": train},
        "teacher": {"source": "annotations", "model": None, "path": None},
        "strategies": ["cot"],
        "prompts": {"student": "Solve {question}"},
        "seed": 1,
        "iterations": {"start": "previous"},
    }
    return yaml.safe_load(model_card(SUMMARY, settings, 0).split("---\n")[1])


def test_names_of_the_hub_are_linked():
    values = front_matter("Qwen/Qwen2-0.5B", "openai/gsm8k:main/train")
    assert (values["base_model"], values["datasets"]) == ("Qwen/Qwen2-0.5B", ["openai/gsm8k"])


def test_places_on_this_machine_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("models/small", "data/train.jsonl"):
        (tmp_path / name).mkdir(parents=True)
    values = front_matter("models/small", "data/train.jsonl")
    assert "base_model" not in values and "datasets" not in values
    assert "base_model" not in front_matter("world:student", "/data/x.jsonl")
