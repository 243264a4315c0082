import pytest

from siked_ray.core.rollout import FREE
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.generation.said import read_sample

STRATEGIES = {
    "cot": Strategy(name="cot", kind=AnswerKind.TEXT, instruction=""),
    "pot": Strategy(name="pot", kind=AnswerKind.PROGRAM, instruction=""),
}


@pytest.mark.parametrize(
    ("text", "requested", "strategy", "completion"),
    [
        (" 3 + 4 is 7.\n", "cot", "cot", "3 + 4 is 7."),
        ("[pot]: answer = 3 + 4", FREE, "pot", "answer = 3 + 4"),
        ("[l2m]: How many?", FREE, None, "[l2m]: How many?"),
        ("<think>Is it 8? No.</think>3 + 4 is 7.", "cot", "cot", "3 + 4 is 7."),
        ("<think>\nA program?\n</think>\n\n[pot]: answer = 7", FREE, "pot", "answer = 7"),
        ("Is it 8? No.</think> It is 7.", "cot", "cot", "It is 7."),  # the template wrote the opening tag
        ("<think>The answer is 7.", "cot", "cot", ""),
        ("<|channel|>analysis<|message|>8?<|end|><|start|>assistant<|channel|>final<|message|>It is 7.", "cot", "cot",
         "It is 7."),
        ("answer = sqrt(49)", "pot", "pot", "from math import sqrt\nanswer = sqrt(49)"),
        ("answer = sqrt(49)", "cot", "cot", "answer = sqrt(49)"),
    ],
)  # fmt: skip
def test_what_is_judged_stored_and_trained_on(text: str, requested: str, strategy: str | None, completion: str):
    read = read_sample(text, requested, STRATEGIES)
    assert (read.strategy.name if read.strategy else None, read.completion) == (strategy, completion)


def test_tags_of_ones_own():
    text = "<plan>It is 8.</plan>It is 7."
    assert read_sample(text, "cot", STRATEGIES).completion == text
    tags = (("<plan>", "</plan>"),)
    assert read_sample(text, "cot", STRATEGIES, tags).completion == "It is 7."


def test_what_was_cut_is_counted():
    thoughts = "<think>Is it 8? No.</think>"
    assert read_sample(f"{thoughts}It is 7.", "cot", STRATEGIES).num_thought_chars == len(thoughts)
    assert read_sample("It is 7.", "cot", STRATEGIES).num_thought_chars == 0
