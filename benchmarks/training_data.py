"""GSM8K as prompts and responses, a tokenizer trained on it, and random Llamas of a million and of 135 M parameters."""

import json
import os
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("SIKED_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
MAX_SEQ_LEN = 1024
INSTRUCTION = "Below is a question. Answer it by first generating the strategy and then solving with it.\n\n"


STRATEGIES = ("cot", "l2m", "pot")
#: Of `LlamaConfig`; the second is SmolLM2-135M's. The tokenizer may have fewer tokens than the model.
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"vocab_size": 2048, "hidden_size": 128, "intermediate_size": 344, "num_hidden_layers": 4,
             "num_attention_heads": 4, "num_key_value_heads": 4},
    "smollm2": {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
                "num_attention_heads": 9, "num_key_value_heads": 3},
}  # fmt: skip
_TOKENS = {"tiny": 2048, "smollm2": 16384}


def rows(limit: int | None = None, rationales: int = 1) -> list[dict[str, str]]:
    """Rows {prompt, response} of GSM8K's training problems; of several rationales, which are the same solution under
    another tag, one strategy's rows come after another's as in a mixture."""
    lines = (DATA / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()[:limit]
    problems = [json.loads(line) for line in lines]
    return [
        {"prompt": f"{INSTRUCTION}{problem['question']}\n\n", "response": f"[{strategy}]: {problem['answer']}"}
        for strategy in STRATEGIES[:rationales]
        for problem in problems
    ]


def save_model(folder: Path, shape: str = "tiny") -> Any:
    """A byte-level BPE tokenizer, and a random float32 Llama of a shape."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_TOKENS[shape],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>", "<pad>"],
        show_progress=False,
    )
    bpe.train_from_iterator((row["prompt"] + row["response"] for row in rows()), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[shape],
        max_position_embeddings=MAX_SEQ_LEN,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return tokenizer
