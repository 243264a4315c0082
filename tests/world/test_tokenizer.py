from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.prompts import student_prompt, teacher_prompt
from siked_ray.world import tokenizer as module
from siked_ray.world.tokenizer import EOS, PAD, build_tokenizer
from siked_ray.world.word_problems import world_problems
from siked_ray.world.world_prompts import STRATEGIES, TEMPLATES


@cache
def tokenizer():
    """Trained once, and not while tests are collected."""
    return build_tokenizer()


def _encode(text):
    return tokenizer().encode(text, add_special_tokens=False)


@given(st.text())
def test_any_text_survives_the_round_trip(text):
    if PAD in text or EOS in text:
        return
    assert tokenizer().decode(_encode(text)) == text.encode("utf-8", "replace").decode()


@given(st.integers())
def test_every_digit_is_a_token_of_its_own(number):
    assert len(_encode(f" {number}")) == len(str(number))


def test_the_vocabulary_is_the_same_at_every_call():
    vocabulary = tokenizer().get_vocab()
    module._trained.cache_clear()
    assert build_tokenizer().get_vocab() == vocabulary


def test_what_is_added_to_one_is_in_no_other():
    num_tokens = len(build_tokenizer())
    build_tokenizer().add_tokens(["<new>"])
    assert len(build_tokenizer()) == num_tokens


def test_words_of_the_world_are_single_tokens():
    texts = [p.question for p in world_problems("world:test")]
    texts += [p.rationales[s] for p in world_problems("world:test") for s in ("cot", "l2m")]
    words = {word for text in texts for word in (" " + text.replace("\n", " ")).split(" ") if word.isalpha()}
    assert len(words) > 60
    assert [word for word in words if len(_encode(f" {word}")) != 1] == []


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_tag_is_one_token(strategy):
    assert len(_encode(strategy.tag)) == 1


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_encoding_piece_by_piece_equals_encoding_the_whole(strategy):
    for problem in world_problems("world:test"):
        pieces = [student_prompt(TEMPLATES, problem.question), strategy.tag, " " + problem.rationales[strategy.name]]
        assert [i for piece in pieces for i in _encode(piece)] == _encode("".join(pieces))


def test_everything_fits_the_context_of_the_demo():
    for problem in [*world_problems("world:train"), *world_problems("world:test")]:
        for strategy in STRATEGIES:
            text = teacher_prompt(TEMPLATES, strategy, problem.question) + " " + problem.rationales[strategy.name]
            assert len(_encode(text)) < 192


def test_it_survives_a_hugging_face_directory(tmp_path):
    from transformers import AutoTokenizer

    tokenizer().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = student_prompt(TEMPLATES, "Ana has 12 coins.") + " [pot]: answer = 12"
    assert loaded.encode(text) == tokenizer().encode(text)
    assert loaded.decode(loaded.encode(text)) == text
    assert (loaded.pad_token, loaded.eos_token) == (PAD, EOS)
    assert loaded.chat_template is None


def test_special_tokens_are_dropped_on_request():
    ids = [*_encode("a"), tokenizer().eos_token_id, tokenizer().pad_token_id]
    assert tokenizer().decode(ids, skip_special_tokens=True) == "a"
