"""The teaching script: its mixture is the golden one, its student learns to choose and to solve, and the whole runs."""

import importlib.util
import re
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from siked_ray.core.problem import Problem
from siked_ray.verification.verifier import Verifier
from siked_ray.world.world_prompts import STRATEGIES

SCRIPT = Path(__file__).parents[2] / "examples" / "siked_in_one_file.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("siked_in_one_file", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def student(script: ModuleType, tiny_model: str) -> Any:
    return script.Model(script.AutoModelForCausalLM.from_pretrained(tiny_model), script.load_tokenizer(tiny_model))


def test_it_can_be_read_in_one_sitting():
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 200


def test_the_teachers_rows_fill_what_the_student_has_not_solved(script: ModuleType):
    from_student = {(problem, "cot"): "own" for problem in ("1", "2")}
    from_teacher = {(problem, "cot"): "taught" for problem in ("2", "3", "4")}
    mixture = script.mix(from_teacher, from_student)
    assert {problem: text for (problem, _), text in mixture.items()} == {
        "1": "own",
        "2": "own",
        "3": "taught",
        "4": "taught",
    }
    assert script.mix(from_teacher, {}) == from_teacher


def test_the_kl_is_that_of_the_strategies_shares(script: ModuleType):
    own = {("1", "cot"): "", ("1", "pot"): ""}
    mixture = own | {("2", "cot"): "", ("3", "cot"): ""}
    # .75 ln(.75 / .5) + .25 ln(.25 / .5)
    assert script.kl_to_student(mixture, own) == pytest.approx(0.130812, abs=1e-6)
    assert script.kl_to_student(own, own) == 0


@pytest.mark.slow
def test_a_student_learns_to_choose_and_to_solve_with_its_choice(
    script: ModuleType, student: Any, monkeypatch: pytest.MonkeyPatch
):
    problems = [
        Problem(problem_id=str(a), dataset="sums", question=f"{a} and {b}?{' ' * (a % 3)}", answer=str(a + b))
        for a, b in ((1, 4), (2, 7), (3, 3), (4, 2))
    ]
    solved = {
        ("1", "cot"): "The answer is 5.",
        ("2", "pot"): "answer = 2 + 7",
        ("3", "cot"): "The answer is 6.",
        ("4", "pot"): "answer = 4 + 2",
    }
    monkeypatch.setattr(script, "EPOCHS", 60)
    with Verifier(STRATEGIES, num_workers=1) as verifier:
        before, _ = script.evaluate(student, problems, verifier)
        script.fine_tune(student, solved, problems)
        after, choices = script.evaluate(student, problems, verifier)
    assert before["free"] == 0 and after["free"] == 1
    assert (choices["cot"], choices["pot"], choices["l2m"]) == (2, 2, 0)
    assert after["cot"] >= 0.5 and after["pot"] >= 0.5, "a forced tag is the prefix that was trained on"


def test_only_correct_rationales_are_kept_and_the_first_of_them(
    script: ModuleType, student: Any, monkeypatch: pytest.MonkeyPatch
):
    problem = Problem(problem_id="7", dataset="sums", question="3 and 4?", answer="7")
    rounds = iter(
        [
            [" The answer is 8.", " The answer is 7.", "answer = 8"],
            [" It is. The answer is 7.", "answer = 7"],
            ["answer = 9"],
        ]
    )
    asked = []

    def complete(model: Any, prompts: list[list[int]], how: dict[str, Any]) -> list[tuple[str, bool]]:
        asked.append([model.tokenizer.decode(prompt)[-6:] for prompt in prompts])
        return [(text, False) for text in next(rounds)]

    monkeypatch.setattr(script, "complete", complete)
    monkeypatch.setattr(script, "NUM_SAMPLES", 2)
    with Verifier(STRATEGIES, num_workers=1) as verifier:
        kept = script.sample(student, script.ask_student, [problem], verifier)
    assert asked == [["[cot]:", "[l2m]:", "[pot]:"], ["[cot]:", "[pot]:"]], "what is solved is not asked for again"
    assert kept == {
        ("7", "l2m"): "The answer is 7.",
        ("7", "cot"): "It is. The answer is 7.",
        ("7", "pot"): "answer = 7",
    }


def test_the_whole_runs_and_prints_a_line_per_iteration(
    script: ModuleType, tiny_model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A random model solves nothing, so a coin is the verifier."""
    coin = Random(0)
    monkeypatch.setattr(script, "is_correct", lambda *_: coin.random() < 0.3)
    monkeypatch.setattr(script, "NUM_SAMPLES", 2)
    monkeypatch.setattr(script, "MAX_NEW_TOKENS", 8)
    run(script, monkeypatch, "--problems=6", "--test-problems=4", "--iterations=1", model=tiny_model)
    lines = capsys.readouterr().out.splitlines()
    found = [re.match(r"iteration (\d): α ([\d.]+), rows (\d+) teacher \+ (\d+) student", line) for line in lines]
    (zero, one) = [match.groups() for match in found if match]
    assert zero[:2] == ("0", "1.00") and zero[3] == "0"
    assert one[0] == "1" and int(one[3]) > 0
    assert float(one[1]) == pytest.approx(int(one[2]) / (int(one[2]) + int(one[3])), abs=0.005)
    assert all(
        re.search(r"accuracy free .*%, cot .*%, l2m .*%, pot .*% \| chooses cot \d, l2m \d, pot \d", one)
        for one in lines
    )


def test_without_models_it_says_what_to_do(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    with pytest.raises(SystemExit) as stopped:
        run(script, monkeypatch, model=str(tmp_path / "none"))
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"There is no model in {tmp_path}/none: run `make demo` once, which makes both.\n"


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str, model: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments, f"--teacher={model}", f"--student={model}"])
    script.main()
