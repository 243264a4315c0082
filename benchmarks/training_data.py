"""GSM8K as prompts and responses, a tokenizer trained on it, and a random Llama of a million parameters."""

import json
import os
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("SIKED_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
MAX_SEQ_LEN = 1024
INSTRUCTION = "Below is a question. Answer it by first generating the strategy and then solving with it.\n\n"


def rows(limit: int | None = None) -> list[dict[str, str]]:
    """Rows {prompt, response} of GSM8K's training problems."""
    lines = (DATA / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()[:limit]
    problems = [json.loads(line) for line in lines]
    return [
        {"prompt": f"{INSTRUCTION}{problem['question']}\n\n", "response": f"[cot]: {problem['answer']}"}
        for problem in problems
    ]


def save_model(folder: Path, *, vocabulary: int = 2048) -> Any:
    """A byte-level BPE tokenizer with `vocabulary` tokens, and a random float32 Llama of 1.05 M parameters."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>", "<pad>"],
        show_progress=False,
    )
    bpe.train_from_iterator((row["prompt"] + row["response"] for row in rows()), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=MAX_SEQ_LEN,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return tokenizer
