"""Thoughts are told from the answer, and never judged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.thoughts import DEFAULT_THOUGHT_TAGS, has_thoughts, separate_thoughts
from siked_ray.core.verdict import Verdict
from siked_ray.verification import Verifier


@pytest.mark.parametrize("tags", DEFAULT_THOUGHT_TAGS)
def test_thoughts_between_tags_are_cut_and_counted(tags: tuple[str, str]) -> None:
    opening, closing = tags
    for text in (
        f"{opening}\n17?{closing}\n\nIt is 20.",
        f"17?\n{closing}It is 20.",
        f"{opening.upper()}17{closing}It is 20.",
    ):
        separated = separate_thoughts(text)
        assert (separated.answer, separated.num_parts_cut, separated.is_unclosed) == ("It is 20.", 1, False)
        assert separated.num_chars_cut == len(text) - len("It is 20.") and has_thoughts(text)


@pytest.mark.parametrize("tags", DEFAULT_THOUGHT_TAGS)
def test_unclosed_thoughts_are_no_answer(tags: tuple[str, str]) -> None:
    separated = separate_thoughts(f"{tags[0]}\nThe answer is 17")
    assert (separated.answer, separated.is_unclosed, separated.num_parts_cut) == ("", True, 1)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            "<|channel|>analysis<|message|>17?<|end|><|start|>assistant<|channel|>final<|message|>It is 20.<|return|>",
            "It is 20.",
        ),
        ("17?<|end|><|start|>assistant<|channel|>final<|message|>It is 20.", "It is 20."),
        ("<|channel|>commentary<|message|>17<|end|><|channel|>final <|constrain|>json<|message|>20", "20"),
        ("analysisWe add 8 and 9: 17?assistantfinalIt is 20.", "It is 20."),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("a</think>b</think>c", "c"),
        ("First <think>17</think>it is 20", "First it is 20"),
    ],
)
def test_channels_and_odd_nestings(text: str, answer: str) -> None:
    assert separate_thoughts(text).answer == answer


@pytest.mark.parametrize("text", ["<|channel|>analysis<|message|>The answer is 17.", "analysisThe answer is 17."])
def test_channels_without_a_final_one_are_unclosed(text: str) -> None:
    assert separate_thoughts(text).is_unclosed


@given(st.text(alphabet="abc <>/\n17.", max_size=60))
def test_a_text_without_tags_comes_back_as_it_is(text: str) -> None:
    assert separate_thoughts(text).answer == text


def test_tags_are_a_setting() -> None:
    assert separate_thoughts("<plan>17</plan>20", (("<plan>", "</plan>"),)).answer == "20"
    assert separate_thoughts("<think>17</think>20", ()).answer == "<think>17</think>20"


def test_thoughts_are_never_judged(verifier: Verifier) -> None:
    for text in (
        "<think>The answer is 17.</think>The answer is 20.",
        "#### 17 or not?</think>\nSo \\boxed{20}",
        "<think>[cot]: Final Answer: 17</think>[cot]: Final Answer: 20",
    ):
        assert verifier.judge("cot", text, "20").verdict is Verdict.CORRECT
        assert verifier.judge("cot", text, "17").verdict is Verdict.WRONG
    assert verifier.judge("cot", "<think>The answer is 17.", "17").verdict is Verdict.UNPARSED
    program = "<think>```python\nanswer = 17\n```</think>\n```python\nanswer = 20\n```"
    assert verifier.judge("pot", program, "20").verdict is Verdict.CORRECT
    assert verifier.judge("pot", "<think>```python\nanswer = 17\n```", "17").verdict is Verdict.UNPARSED
