from pathlib import Path
from typing import Any

import pytest
import yaml

from siked_ray.report.model_card import model_card

SUMMARY: dict[str, Any] = {"run": "r", "config_sha256": "c" * 64, "iterations": [], "versions": {}, "start_from": None}


def settings_of(student: str, train: str | list[str], **of_student: Any) -> dict[str, Any]:
    return {
        "student": {"model": student, **of_student},
        "data": {"train": train},
        "teacher": {"source": "annotations", "model": None, "path": None},
        "strategies": ["cot"],
        "prompts": {"student": "Solve {question}"},
        "seed": 1,
        "iterations": {"start": "previous"},
    }


def front_matter(student: str, train: str) -> dict[str, Any]:
    settings = settings_of(student, train)
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


def test_samples_at_t_above_zero_are_in_the_card():
    figures = {"num_problems": 4, "free": 0.5, "oracle": 0.5, "forced": {"cot": 0.5}}
    drawn = {"num_samples": 8, "temperature": 0.6, "top_p": 0.95, "average": 0.4}
    drawn |= {"pass_at": {"1": 0.4, "8": 0.9}, "majority_at": {"1": 0.4, "8": 0.55}}
    entry = {"iteration": 0, "evaluation": {"more": figures | {"samples": drawn}}}
    settings = settings_of("Qwen/Qwen2-0.5B", "train.jsonl")
    card = model_card(SUMMARY | {"iterations": [entry]}, settings, 0)
    assert "8 free samples of each problem (T 0.6, top_p 0.95)" in card
    assert "| test set more | 40.0% | 40.0% | 90.0% | 40.0% | 55.0% |" in card
    without = model_card(SUMMARY | {"iterations": [entry | {"evaluation": {"more": figures}}]}, settings, 0)
    assert "free samples" not in without


def test_how_a_student_that_chats_is_asked():
    chat = {"system_prompt": "Be brief.", "template_args": {"enable_thinking": False}}
    card = model_card(SUMMARY, settings_of("Qwen/Qwen3-0.6B", "train.jsonl", **chat), 0)
    assert "```\nBe brief.\n```" in card and '`{"enable_thinking": false}`' in card
    assert "system message" not in model_card(SUMMARY, settings_of("Qwen/Qwen3-0.6B", "train.jsonl"), 0)


def test_how_a_student_is_run_in_llama_cpp_and_ollama():
    card = model_card(SUMMARY, settings_of("me/tiny-GGUF:Tiny.gguf", ["me/sums:main/train", "/data/x.jsonl"]), 0)
    assert "siked export RUN -o student.gguf" in card and "`PARAMETER temperature 0`." in card
    values = yaml.safe_load(card.split("---\n")[1])
    assert (values["base_model"], values["datasets"]) == ("me/tiny-GGUF", ["me/sums"])
    chat = settings_of("Qwen/Qwen2-0.5B", "train.jsonl", system_prompt='Say "no".')
    assert r'`SYSTEM "Say \"no\"."`' in model_card(SUMMARY, chat, 0)
