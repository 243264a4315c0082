"""Answers as lm-evaluation-harness reads them, beside what our verifier reads."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.evaluation.harness import exact_match, flexible_extract, harness_figures, strict_match
from siked_ray.verification import equivalent, extract_answer

DATA = Path(os.environ.get("SIKED_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
#: Completion, gold, and whether strict-match, flexible-extract and our verifier take it as correct.
SAME = [
    ("He has 3 + 4 = 7.\n#### 7", "7", True, True, True),
    ("So it is 1,080 in all.\n#### 1,080", "1080", True, True, True),
    ("It costs $15.\n#### $15", "15", False, True, True),
    ("3 + 4 = 8\n#### 8", "7", False, False, False),
    ("3 + 4 = 7. The answer is 7.", "7", False, True, True),
    ("The temperature is -5 degrees. The answer is -5", "-5", False, True, True),
    ("The answer is 7 apples.", "7", False, True, True),
    ("I do not know.", "7", False, False, False),
    ("", "7", False, False, False),
    ("2 * 3.5 = 7\nThe answer is $1,234.", "1234", False, True, True),
]
#: Where they part; docs/measures.md names the kinds.
DIFFERENT = [
    ("The answer is 27048 (after 2% deduction).", "27048", False, False, True),
    ("The answer is 7.00.", "7", False, False, True),
    ("The answer is 7.\n\nQuestion: What is 3 + 9?", "7", False, False, True),
    ("The answer is 0.16, or 16%.", "16", False, True, False),
    ("The answer is not 22.", "22", False, True, False),
    ("#### 7\nWait, that is wrong. The answer is 8.", "7", True, False, False),
]


def ours(completion: str, gold: str) -> bool:
    answer = extract_answer(completion).answer
    return answer is not None and bool(equivalent(answer, gold))


@pytest.mark.parametrize(("completion", "gold", "strict", "flexible", "own"), SAME + DIFFERENT)
def test_what_each_of_them_takes_as_correct(completion: str, gold: str, strict: bool, flexible: bool, own: bool):
    assert exact_match(strict_match(completion), gold) is strict
    assert exact_match(flexible_extract(completion), gold) is flexible
    assert ours(completion, gold) is own


def test_in_the_first_table_our_verdict_is_that_of_flexible_extract_and_in_the_second_it_is_not_both_filters():
    assert all(flexible == own and strict <= own for *_, strict, flexible, own in SAME)
    assert all(flexible != own or strict > own for *_, strict, flexible, own in DIFFERENT)


def test_figures():
    completions = {"a": "#### 7", "b": "The answer is 8."}
    found = harness_figures(completions, {"a": "7", "b": "8", "never sampled": "9", "d": "1"})
    assert found == {"harness": {"strict_match": 0.25, "flexible_extract": 0.5}}
    assert harness_figures(completions, {"a": "7", "b": "B"}) == {} == harness_figures({}, {})


def test_published_outputs_on_gsm8k():
    """Chain of thought by Llama-3-70B on the training problems: 16 of 7,441 verdicts differ, in both directions."""
    file = DATA / "teachers" / "gsm8k.llama-3-70b.cot.jsonl"
    if not file.exists():
        pytest.skip(f"no {file.name} in {file.parent}; set SIKED_TEST_DATA to the folder above it")
    found: Counter[tuple[bool, bool]] = Counter()
    with file.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            gold = row["answer"]
            found[ours(row["rationale"], gold), exact_match(flexible_extract(row["rationale"]), gold)] += 1
    assert found == {(True, True): 7418, (False, False): 7, (True, False): 11, (False, True): 5}


@pytest.fixture(scope="module")
def installed():
    """The filters and the metric's options of the harness itself."""
    harness = pytest.importorskip("lm_eval", reason="lm_eval is not installed; it is needed by this test alone")
    from lm_eval.filters.extraction import RegexFilter

    task = yaml.safe_load((Path(harness.__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml").read_text())
    filters = {}
    for one in task["filter_list"]:
        options = {key: value for key, value in one["filter"][0].items() if key != "function"}
        filters[one["name"]] = RegexFilter(**options)
    return filters, task["metric_list"][0]["regexes_to_ignore"]


@given(st.text(alphabet="#-0123456789.,$ \nabc", max_size=40))
def test_the_filters_are_the_harness_own(installed, text: str):
    filters, _ = installed
    for completion in (text, f"#### {text}", *(one for one, *_ in SAME + DIFFERENT)):
        assert filters["strict-match"].apply([[completion]], [])[0][0] == strict_match(completion)
        assert filters["flexible-extract"].apply([[completion]], [])[0][0] == flexible_extract(completion)


def test_what_its_metric_ignores_is_what_ours_ignores(installed):
    from siked_ray.evaluation import harness

    assert [pattern.pattern for pattern in harness._IGNORED] == installed[1]
