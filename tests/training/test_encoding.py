"""Training and generation tokenise alike: a forced tag is the token prefix of what the student was trained on."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from siked_ray.core.prompts import PromptTemplates, StudentPrompts, student_prompt, student_response
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.data.encoding import encode_prompt, encode_response, encode_text
from siked_ray.generation.rendering import render_rows

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: str):
    return AutoTokenizer.from_pretrained(tiny_model)


def greedy_merger() -> PreTrainedTokenizerFast:
    """A tokenizer that merges across the end of a tag: `[cot]: 3` is a single token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["</s>"], show_progress=False)
    bpe.train_from_iterator(["[cot]: 3"] * 10, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>")


def test_a_response_is_its_tag_its_rest_and_the_end(tokenizer):
    tokens = encode_response(tokenizer, "[cot]: 3 plus 4 is 7.")
    tag, rest = encode_text(tokenizer, "[cot]:"), encode_text(tokenizer, " 3 plus 4 is 7.")
    assert tokens == [*tag, *rest, tokenizer.eos_token_id]
    assert tokenizer.decode(tokens[:-1]) == "[cot]: 3 plus 4 is 7."


def test_a_response_without_a_tag_is_one_piece(tokenizer):
    assert encode_response(tokenizer, "so 7") == [*encode_text(tokenizer, "so 7"), tokenizer.eos_token_id]


def test_a_rationale_over_several_lines_is_kept_whole(tokenizer):
    rationale = "[pot]: a = [1]\nb = {2: 3}\n\nanswer = a[0]"
    assert tokenizer.decode(encode_response(tokenizer, rationale)[:-1]) == rationale


def test_the_prefix_holds_even_where_a_tokenizer_merges_tag_and_rest():
    tokenizer = greedy_merger()
    assert len(encode_text(tokenizer, "[cot]: 3")) == 1, "as one piece the tag would not be a prefix"
    tag = encode_text(tokenizer, "[cot]:")
    assert encode_response(tokenizer, "[cot]: 3")[: len(tag)] == tag


@pytest.mark.parametrize("chat_template", [None, CHAT_TEMPLATE])
@settings(deadline=None)
@given(question=st.text(max_size=30), rationale=st.text(max_size=30))
def test_a_forced_tag_is_a_prefix_of_what_is_trained_on(tokenizer, chat_template, question: str, rationale: str):
    tokenizer.chat_template = chat_template
    templates = PromptTemplates(teacher="", demonstration="", student="Solve: {question}\n")
    strategy = Strategy(name="pot", kind=AnswerKind.PROGRAM, instruction="")
    prompt = student_prompt(templates, question)
    trained = encode_prompt(tokenizer, prompt) + encode_response(tokenizer, student_response("pot", rationale))
    forced = forced_prompt(tokenizer, templates, strategy, question)
    assert trained[: len(forced)] == forced
    assert len(trained) > len(forced)
    assert forced[-len(encode_text(tokenizer, "[pot]:")) :] == encode_text(tokenizer, "[pot]:")


def forced_prompt(tokenizer, templates: PromptTemplates, strategy: Strategy, question: str) -> list[int]:
    """What the engine gets for a forced strategy."""
    asked = {"problem_id": "p", "question": question, "answer": "1", "requested": strategy.name, "context": None}
    render = StudentPrompts(templates=templates, strategies=(strategy,))
    (row,) = render_rows(pa.Table.from_pylist([asked | {"ask_id": strategy.name}]), render, tokenizer).to_pylist()
    return row["token_ids"]


def test_a_prompt_goes_through_the_chat_template_where_there_is_one(tokenizer):
    tokenizer.chat_template = CHAT_TEMPLATE
    try:
        assert tokenizer.decode(encode_prompt(tokenizer, "2 + 2?")) == "<user>2 + 2?</s><assistant>"
    finally:
        tokenizer.chat_template = None
    assert tokenizer.decode(encode_prompt(tokenizer, "2 + 2?")) == "2 + 2?"


def test_an_end_of_sequence_that_a_tokenizer_adds_does_not_end_the_prompt():
    class AddsEnd:
        eos_token_id = 1
        chat_template = None

        def __call__(self, texts: list[str], add_special_tokens: bool = True) -> dict[str, list[list[int]]]:
            pieces = [[*map(ord, text)] for text in texts]
            return {"input_ids": [[0, *piece, 1] for piece in pieces] if add_special_tokens else pieces}

    assert encode_prompt(AddsEnd(), "a") == [0, ord("a")]
    assert encode_response(AddsEnd(), "[x]: a") == [*map(ord, "[x]: a"), 1]
