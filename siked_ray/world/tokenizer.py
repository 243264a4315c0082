"""The world's tokenizer: byte-level BPE, digits apart, frequent words and strategy tags in one token."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from siked_ray.core.prompts import student_prompt, teacher_prompt
from siked_ray.world.word_problems import generate
from siked_ray.world.world_prompts import STRATEGIES, TEMPLATES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCAB_SIZE = 768
PAD, EOS = "<pad>", "<eos>"
#: A strategy's tag; a word, a digit or another sign, each with the space before it; or one white space.
_PIECES = r"\[(?:cot|l2m|pot)\]:| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s"
_NUM_PROBLEMS, _SEED = 3000, 0


def build_tokenizer() -> "PreTrainedTokenizerFast":
    """The tokenizer, trained on text of the world; the same vocabulary at every call."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=_trained(),
        pad_token=PAD,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )


@cache
def _trained() -> Any:
    """Training takes a second, and who uses it makes a copy."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def _texts() -> Iterator[str]:
    for problem in generate(_NUM_PROBLEMS, seed=_SEED):
        for strategy in STRATEGIES:
            yield f"{strategy.tag} {problem.rationales[strategy.name]}"
            yield teacher_prompt(TEMPLATES, strategy, problem.question)
        yield student_prompt(TEMPLATES, problem.question)
