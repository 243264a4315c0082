"""Fixtures that several parts of the tests share: a tiny student and the settings of a small run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from siked_ray.config import Config, load_config
from tests.engine_guard import EngineGuard

_TEXT = [
    "Below is a question from mathematics. Answer it by first generating the strategy and then solving with it.",
    "[cot]: 3 plus 4 is 7. The answer is 7. [l2m]: How many are left? 12 - 5 = 7. [pot]: answer = 3 + 4",
]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(EngineGuard())
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


def save_tiny_tokenizer(folder: Path, *, eos: str | None = "</s>", num_extra_tokens: int = 0) -> Any:
    """A byte-level BPE tokenizer with a few merges; 320 tokens at most, and the extra ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
    )
    bpe.train_from_iterator(_TEXT, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token=eos)
    if num_extra_tokens:
        tokenizer.add_tokens([f"<extra-{index}>" for index in range(num_extra_tokens)])
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_tiny_model(folder: Path, *, context: int = 512, tie_word_embeddings: bool = False) -> None:
    """A random float32 Llama with 2 layers of width 64; heads of 32, the smallest that vLLM's CPU build runs."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=context,
        initializer_range=0.2,
        tie_word_embeddings=tie_word_embeddings,
        bos_token_id=0,
        eos_token_id=1,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Directory of a tiny random student with its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny") / "student"
    save_tiny_model(folder)
    save_tiny_tokenizer(folder)
    return str(folder)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., str]:
    """Makes a model directory that differs from the tiny one in something."""

    def make(name: str, *, eos: str | None = "</s>", num_extra_tokens: int = 0, **model: Any) -> str:
        folder = tmp_path / name
        save_tiny_model(folder, **model)
        save_tiny_tokenizer(folder, eos=eos, num_extra_tokens=num_extra_tokens)
        return str(folder)

    return make


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def additions(num_problems: int, first: int = 0) -> list[dict[str, Any]]:
    """Rows {question, answer} of small sums."""
    return [
        {"question": f"What is {index} plus {index + 1}?", "answer": str(2 * index + 1)}
        for index in range(first, first + num_problems)
    ]


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """The smallest settings of a run: 40 sums to learn from, 10 to test on, existing rationales as the teacher."""
    train = write_jsonl(tmp_path / "sums.jsonl", additions(40))
    test = write_jsonl(tmp_path / "more.jsonl", additions(10, first=100))
    rationales = [
        {"question": row["question"], "strategy": "cot", "rationale": f"So it is. The answer is {row['answer']}."}
        for row in additions(40)
    ]
    values = {
        "run_dir": str(tmp_path / "run"),
        "data": {"train": train, "test": [test]},
        "teacher": {"source": "dataset", "path": write_jsonl(tmp_path / "rationales.jsonl", rationales)},
        "student": {"model": "world:student"},
        "prompts": "world",
        "generation": {"max_new_tokens": 64},
        "evaluation": {"max_new_tokens": 64},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture
def make_config(settings_file: Path) -> Callable[..., Config]:
    """Settings of a small run with `key.path=value` overrides."""
    return lambda *overrides: load_config(settings_file, overrides)
