"""Verdicts, threads, deadlines, and the life of a verifier."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.core.verdict import Verdict
from siked_ray.errors import ConfigError, VerificationError
from siked_ray.verification import DEFAULT_ANSWER_FORMATS, Verifier


def test_verdicts_of_text(verifier: Verifier) -> None:
    for completion, gold, verdict, predicted in [
        ("Final Answer: 72", "72", Verdict.CORRECT, "72"),
        ("Final Answer: 1,234.50", "50", Verdict.WRONG, "1234.50"),
        ("I do not know", "72", Verdict.UNPARSED, None),
        ("Final Answer: none of them", "0", Verdict.UNPARSED, None),
        ("Final Answer: 0", "0", Verdict.CORRECT, "0"),
        ("Final Answer: -5", "-5", Verdict.CORRECT, "-5"),
        ("Final Answer: 5-3", "-3", Verdict.WRONG, "5-3"),
        ("Final Answer: Vendor 2", "Vendor 2", Verdict.CORRECT, "2"),
        (r"Final Answer: \frac{\sqrt{2}}{2}", r"1/\sqrt{2}", Verdict.CORRECT, r"\frac{\sqrt{2}}{2}"),
        ("#### 18", "9 * 2 = 18\n#### 18", Verdict.CORRECT, "18"),
        ("The correct answer is C)20%.", "C", Verdict.CORRECT, "C"),
        ("The correct answer is C)20%.", "B", Verdict.WRONG, "C"),
        ("The correct answer is C)20%.", "20", Verdict.CORRECT, "20%"),
        ("The answer is (b).", "(B)", Verdict.CORRECT, "B"),
        ("So, the correct answer is:\n\nD) Monday", "D", Verdict.CORRECT, "D"),
        ("Final Answer: a", "b", Verdict.WRONG, "A"),
        ("The answer is C because 3 + 4 = 7", "C", Verdict.CORRECT, "C"),
        ("The answer is C because 3 + 4 = 7", "D", Verdict.WRONG, "C"),
        (r"\boxed{\frac{1}{6}\pi}", r"\frac{1}{6\pi}", Verdict.WRONG, r"\frac{1}{6}\pi"),
        (r"\boxed{2516_{8}}", "2516_8", Verdict.CORRECT, "2516_{8}"),
        (r"\boxed{2516_{8}}", "2516", Verdict.WRONG, "2516_{8}"),
        ("Final Answer: 33%", "1/3", Verdict.WRONG, "33%"),
        ("Final Answer: 33.33%", "1/3", Verdict.CORRECT, "33.33%"),
        ("The answer is None of these", "None of these", Verdict.CORRECT, "None of these"),
    ]:
        judgement = verifier.judge("cot", completion, gold)
        assert (judgement.verdict, judgement.predicted) == (verdict, predicted), judgement
        assert judgement.reason


@pytest.mark.parametrize(
    "text",
    [
        "Final Answer: not (B)",
        "Final Answer: B is incorrect, so A",
        "The answer is (A) or (B).",
        "The answer is all except (B)",
        "The answer is B, C",
        "The answer is B?? no, C",
        "The answer is neither A nor B",
    ],
)
def test_a_denied_or_shared_letter_is_no_option(verifier: Verifier, text: str) -> None:
    assert verifier.judge("cot", text, "B").verdict is not Verdict.CORRECT


def test_the_strategys_own_tag_is_no_part_of_the_completion(verifier: Verifier) -> None:
    assert verifier.judge("pot", "[pot]: answer = 7", "7").verdict is Verdict.CORRECT
    assert verifier.judge("cot", "[cot]: 3 + 4 = 7\nThe answer is 7.", "7").verdict is Verdict.CORRECT


def test_what_cannot_be_judged_is_an_error(verifier: Verifier) -> None:
    assert verifier.judge("tot", "Final Answer: 7", "7").verdict is Verdict.ERROR
    assert "tot" in verifier.judge("tot", "Final Answer: 7", "7").reason
    assert verifier.judge("cot", "Final Answer: 7", " ").verdict is Verdict.ERROR


@pytest.mark.parametrize("gold", ["None", "null", "N/A", "nan", "NaN", "inf", "-inf"])
def test_a_missing_gold_is_an_error(verifier: Verifier, gold: str) -> None:
    assert verifier.judge("cot", f"The answer is {gold}.", gold).verdict is Verdict.ERROR
    assert verifier.judge("pot", f"answer = {gold!r}", gold).verdict is Verdict.ERROR


def test_least_to_most_goes_on_after_its_own_questions(verifier: Verifier) -> None:
    text = "First he has 5. The answer is 5.\n\nQ: How many in all?\nA: 5 + 4 = 9. The answer is 9."
    assert verifier.judge("l2m", text, "9").verdict is Verdict.CORRECT
    assert verifier.judge("cot", text, "5").verdict is Verdict.CORRECT


def test_truncated_completions_are_not_trusted_at_their_end(verifier: Verifier) -> None:
    assert verifier.judge("cot", "Final Answer: 7", "7", truncated=True).verdict is Verdict.UNPARSED
    assert verifier.judge("cot", "Final Answer: 7\nDone", "7", truncated=True).verdict is Verdict.CORRECT


def test_markers_of_the_strategy_are_used() -> None:
    strategy = Strategy(name="own", kind=AnswerKind.TEXT, instruction="", answer_markers=("==>",))
    with Verifier([strategy]) as verifier:
        assert verifier.judge("own", "==> 7\nThe answer is 8", "7").verdict is Verdict.CORRECT


@pytest.mark.slow
def test_many_threads_off_the_main_thread() -> None:
    """Signals would fail here; each thread gets its own answer back."""
    with Verifier(DEFAULT_ANSWER_FORMATS, num_workers=2) as verifier, ThreadPoolExecutor(16) as threads:
        rows = [("pot", f"answer = {i}", str(i)) for i in range(150)]
        rows += [("pot", f"from sympy import *\nanswer = Integer({i})", str(i)) for i in range(15)]
        rows += [("cot", rf"\boxed{{\sqrt{{{i * i}}}}}", str(i)) for i in range(2, 10)]
        judgements = list(threads.map(lambda row: verifier.judge(*row), rows))
    assert [judgement.verdict for judgement in judgements] == [Verdict.CORRECT] * len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("prelude", ["", "from sympy import *\n"])
def test_a_loop_costs_its_own_deadline_and_nothing_else(prelude: str) -> None:
    with Verifier(DEFAULT_ANSWER_FORMATS, program_timeout_s=0.5, symbolic_timeout_s=0.5, num_workers=2) as verifier:
        honest = prelude + "answer = 7"
        verifier.judge("pot", honest, "7")
        start = time.monotonic()
        loop = threading.Thread(target=lambda: results.append(verifier.judge("pot", prelude + "while True: pass", "7")))
        results: list[object] = []
        loop.start()
        assert all(verifier.judge("pot", honest, "7").verdict is Verdict.CORRECT for _ in range(3))
        loop.join()
        assert getattr(results[0], "verdict", None) is Verdict.TIMEOUT
        assert 0.4 < time.monotonic() - start < 15.0


def test_closing_twice_and_judging_after_it() -> None:
    verifier = Verifier(DEFAULT_ANSWER_FORMATS)
    assert verifier.judge("pot", "answer = 7", "7").verdict is Verdict.CORRECT
    verifier.close()
    verifier.close()
    with pytest.raises(VerificationError):
        verifier.judge("pot", "answer = 7", "7")
    assert verifier.judge("cot", "#### 7", "7").verdict is Verdict.CORRECT


@pytest.mark.parametrize("setting", ["program_timeout_s", "program_memory_mb", "symbolic_timeout_s", "num_workers"])
def test_impossible_settings(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        Verifier(DEFAULT_ANSWER_FORMATS, **{setting: 0})  # type: ignore[arg-type]


def test_importing_is_light() -> None:
    code = """
import sys
import siked_ray.verification, siked_ray.verification.audit
heavy = {"sympy", "math_verify", "pydantic_monty", "torch", "ray", "numpy", "rich", "pyarrow"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_text_alone_starts_no_process_and_loads_nothing_heavy() -> None:
    code = """
import sys
from siked_ray.verification import DEFAULT_ANSWER_FORMATS, Verifier
with Verifier(DEFAULT_ANSWER_FORMATS) as verifier:
    assert verifier.judge("cot", "Final Answer: 1,234", "1234").verdict == "correct"
heavy = {"sympy", "math_verify", "pydantic_monty", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "tier"),
    [
        ("x = 0\nfor i in range(20_000_000):\n    x += 1\nanswer = 7", "monty"),
        ("import sympy\nx = 0\nfor i in range(30_000_000):\n    x += 1\nanswer = sympy.Integer(7)", "python"),
    ],
)
def test_a_worker_that_is_killed_from_outside_changes_no_verdict(program: str, tier: str):
    """The first process that runs the program is killed in the middle of it."""
    others = set(psutil.Process().children())
    with Verifier(DEFAULT_ANSWER_FORMATS, program_timeout_s=30.0) as verifier:
        started = "answer = 1" if tier == "monty" else "import sympy\nanswer = sympy.Integer(1)"
        verifier.judge("pot", started, "1")
        (victim,) = [one for one in psutil.Process().children() if one not in others and tier in one.name()]
        threading.Timer(0.3, victim.kill).start()
        judgement = verifier.judge("pot", program, "7")
    assert not victim.is_running()
    assert judgement.verdict is Verdict.CORRECT, judgement.reason


@pytest.mark.parametrize(
    ("strategy", "completion", "gold", "at_once"),
    [
        ("cot", "The answer is 7.", "7", True),
        ("cot", "The answer is 8.", "7", True),
        ("cot", "I do not know", "7", True),
        ("cot", "so \\boxed{20*5}", "100", False),
        ("pot", "answer = 7", "7", False),
        ("unknown", "7", "7", True),
    ],
)
def test_what_needs_another_process_is_not_judged_at_once(strategy: str, completion: str, gold: str, at_once: bool):
    with Verifier(DEFAULT_ANSWER_FORMATS) as verifier:
        judgement = verifier.judge_at_once(strategy, completion, gold)
        assert (judgement is not None) == at_once
        assert judgement in (None, verifier.judge(strategy, completion, gold))
