"""What was found of a run's problems in its test sets: in the summary, on the page, on the screen and on the card."""

from typing import Any

import pytest

from siked_ray.report.contamination_words import plan_lines
from siked_ray.report.html.page import render
from siked_ray.report.model_card import model_card
from siked_ray.report.sections import sections
from siked_ray.report.summary import build_summary
from siked_ray.report.view import View
from tests.report.test_model_card import SUMMARY, settings_of

NONE = {"equal": 0, "alike": 0, "held_out": 0, "example": None, "problems": 300}
SOME = {
    "equal": 5,
    "alike": 2,
    "held_out": 1,
    "example": {"question": "What is 1 + 2?", "test_question": "what is 1 + 2"},
    "problems": 1319,
}


def record(removed: int = 0, left: int = 0, prompts: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "setting": "remove",
        "training_problems": 2728,
        "held_out_problems": 272,
        "prompt_texts": 5,
        "removed": removed,
        "left": left,
        "prompts": list(prompts),
        "test_sets": {"gsm8k": SOME if removed or left else NONE, "world": NONE},
    }


SHOWN = '7 (5 by their words, 2 by their 8-grams; 1 of them held out), such as "What is 1 + 2?"'
CASES = {
    "none": (
        record(),
        "* test sets: no overlap of 2,728 training and 272 held-out problems and 5 texts of the prompts with gsm8k, "
        "world, by their words and by 8-grams of words\n",
        [("of these in test sets", "none, by their words and by their 8-grams")],
    ),
    "removed": (
        record(removed=7),
        "* 7 problems were removed before it learnt, as they are in test sets (gsm8k: 5 by their words, 2 by their "
        "8-grams)\n",
        [("removed, in test set gsm8k", SHOWN)],
    ),
    "left": (
        record(left=7, prompts=("prompts.student",)),
        "* **7 problems that it learnt from or that selected it are in test sets** (gsm8k: 5 by their words, 2 by "
        "their 8-grams), so its accuracy there is too favourable\n"
        "* **`prompts.student` shows a problem of a test set**\n",
        [("LEFT IN, in test set gsm8k", SHOWN)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_card_and_the_plan_say_it(case: str):
    found, on_card, in_plan = CASES[case]
    assert on_card in model_card(SUMMARY | {"contamination": found}, settings_of("a/b", "x.jsonl"), 0)
    assert list(plan_lines(found)) == in_plan


def test_a_run_of_before_says_nothing(make_config):
    summary = build_summary(make_config(), [], "running", ())
    assert "contamination" not in summary
    assert "test sets" not in model_card(SUMMARY, settings_of("a/b", "x.jsonl"), 0)
    assert [one.title for one in sections(View(summary), None)] == []


def test_the_summary_has_it_and_the_page_shows_it(make_config):
    found = record(removed=7)
    summary = build_summary(make_config(), [], "running", (), found)
    assert summary["contamination"] == found
    (section,) = sections(View(summary), None)
    (table,) = section.tables
    assert section.title == "Problems in test sets"
    assert table.rows == [
        ["gsm8k", "removed", "What is 1 + 2?", "1,319", "5", "2", "1"],
        ["world", "none found", "–", "300", "0", "0", "0"],
    ]
    assert "Compared: 2,728 training and 272 held-out problems" in render(summary, "")
