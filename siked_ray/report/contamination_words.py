"""What was found of a run's problems in its test sets, in words; `record` is `contamination` in summary.json."""

from collections.abc import Iterator, Mapping
from textwrap import shorten
from typing import Any

from siked_ray.report.numbers import count

Record = Mapping[str, Any]
_RULES = {"equal": "by their words", "alike": "by their 8-grams"}
#: Characters of a question in a sentence.
_SHOWN_CHARS = 120


def by_rule(counts: Mapping[str, int]) -> str:
    """`5 by their words, 2 by their 8-grams`."""
    return ", ".join(f"{count(counts[rule])} {words}" for rule, words in _RULES.items() if counts[rule])


def quoted(question: str) -> str:
    """A question for a sentence, shortened."""
    return f'"{shorten(question, _SHOWN_CHARS, placeholder=" …")}"'


def of_test_set(one: Record) -> str:
    """What a test set has of the problems: `7 (5 by their words, 2 by their 8-grams; 1 held out), such as "…"`."""
    held_out = f"; {count(one['held_out'])} of them held out" if one["held_out"] else ""
    return (
        f"{count(one['equal'] + one['alike'])} ({by_rule(one)}{held_out}), such as {quoted(one['example']['question'])}"
    )


def found_in(record: Record) -> str:
    """`problems of data.train are in test sets (gsm8k: 7 (…), such as "…")`."""
    sets = [f"{name}: {of_test_set(one)}" for name, one in record["test_sets"].items() if one["example"]]
    return f"problems of data.train are in test sets ({'; '.join(sets)})"


def compared(record: Record) -> str:
    """What was compared with what: `2,728 training and 272 held-out problems and 5 texts of the prompts with world`."""
    return (
        f"{count(record['training_problems'])} training and {count(record['held_out_problems'])} held-out problems and "
        f"{count(record['prompt_texts'])} texts of the prompts with {', '.join(record['test_sets'])}"
    )


def plan_lines(record: Record) -> Iterator[tuple[str, str]]:
    """The same for `siked plan`: a line for each test set with a problem, or one that there is none."""
    what = "removed" if record["removed"] else "LEFT IN"
    for name, one in record["test_sets"].items():
        if one["example"]:
            yield f"{what}, in test set {name}", of_test_set(one)
    if not record["removed"] and not record["left"]:
        yield "of these in test sets", "none, by their words and by their 8-grams"


def card_lines(record: Record) -> Iterator[str]:
    """The same for the model card."""
    sets = "; ".join(f"{name}: {by_rule(one)}" for name, one in record["test_sets"].items() if one["example"])
    if record["left"]:
        yield (
            f"**{count(record['left'])} problems that it learnt from or that selected it are in test sets** ({sets}), "
            "so its accuracy there is too favourable"
        )
    elif record["removed"]:
        yield f"{count(record['removed'])} problems were removed before it learnt, as they are in test sets ({sets})"
    else:
        yield f"test sets: no overlap of {compared(record)}, by their words and by 8-grams of words"
    for key in record["prompts"]:
        yield f"**`{key}` shows a problem of a test set**"
