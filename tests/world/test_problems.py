import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest

from siked_ray.core.ids import problem_id
from siked_ray.world.families import FAMILIES
from siked_ray.world.word_problems import bootstrap_corpus, generate, load_world, world_problems
from tests.world.safe_program import run_program

_CLOSING = re.compile(r"The answer is (-?\d+(?:\.\d+)?)\.$")
_STEP = re.compile(r"(-?\d+(?:\.\d+)?) ([-+*/]) (\d+) = (-?\d+(?:\.\d+)?)\.")


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def problems(request):
    return generate(1000, seed=11, families=(request.param,))


def test_text_rationales_end_in_the_gold_answer(problems):
    for problem in problems:
        for strategy in ("cot", "l2m"):
            closing = _CLOSING.search(problem.rationales[strategy])
            assert closing and closing.group(1) == problem.answer, problem


def test_every_arithmetic_step_of_the_text_rationales_is_true(problems):
    for problem in problems:
        for strategy in ("cot", "l2m"):
            steps = _STEP.findall(problem.rationales[strategy])
            assert steps, problem
            for left, operator, right, result in steps:
                assert run_program(f"answer = {_as_ratio(left)} {operator} {right}") == Fraction(result), problem


def test_the_last_step_gives_the_answer(problems):
    for problem in problems:
        for strategy in ("cot", "l2m"):
            assert _STEP.findall(problem.rationales[strategy])[-1][-1] == problem.answer, problem


def test_programs_compute_the_gold_answer(problems):
    for problem in problems:
        assert run_program(problem.rationales["pot"]) == Fraction(problem.answer), problem


def test_rationales_are_sub_question_lines_for_l2m_and_one_line_for_cot(problems):
    for problem in problems:
        *lines, closing = problem.rationales["l2m"].split("\n")
        assert len(lines) >= 2 and all("?" in line for line in lines) and closing.startswith("The answer")
        assert "\n" not in problem.rationales["cot"] and "?" not in problem.rationales["cot"]


def test_questions_use_the_numbers_that_the_program_uses(problems):
    for problem in problems:
        program = re.sub(r"\[\d\]", "", problem.rationales["pot"])
        stated = Counter(re.findall(r"\d+", problem.question))
        # "twice" and "equally" stand for a 2 that no digit states
        used = Counter(re.findall(r"\d+", program)) - Counter({"2": 5})
        assert used <= stated, problem


def test_the_families_come_in_equal_numbers():
    counts = Counter(problem.family for problem in generate(1000, seed=5))
    assert set(counts) == set(FAMILIES) and set(counts.values()) == {200}


def test_generation_is_a_function_of_the_seed():
    assert generate(300, seed=3) == generate(300, seed=3)
    assert generate(300, seed=3) != generate(300, seed=4)


def test_generation_is_the_same_in_another_process():
    code = "from siked_ray.world.word_problems import generate; print([p.question for p in generate(50, seed=3)])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == repr([p.question for p in generate(50, seed=3)])


def test_world_sets_have_their_sizes_and_names():
    train, test = load_world("world:train"), load_world("world:test")
    assert len(train) == 3000 and len(test) == 300
    for problem in [*train, *test]:
        assert problem.dataset == "world"
        assert problem.problem_id == problem_id("world", problem.question)
        Fraction(problem.answer)


def test_world_sets_are_cached_and_equal_to_their_problems():
    problems = world_problems("world:test")
    assert [p.question for p in problems] == [p.question for p in load_world("world:test")]


def test_train_test_and_corpus_are_disjoint_and_without_duplicates():
    train = [p.problem_id for p in load_world("world:train")]
    test = [p.problem_id for p in load_world("world:test")]
    corpus = [problem_id("world", p.question) for p in bootstrap_corpus(20_000, seed=1)]
    everything = train + test + corpus
    assert len(set(everything)) == len(everything)


def test_answers_include_zero_negative_and_decimal_ones():
    answers = {Fraction(p.answer) for p in world_problems("world:train")}
    assert 0 in answers
    assert any(answer < 0 for answer in answers)
    assert any(answer.denominator == 2 for answer in answers)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="world:train"):
        load_world("world:dev")


def test_importing_the_world_loads_no_heavy_library():
    code = (
        "import sys; import siked_ray.world.word_problems, siked_ray.world.world_prompts, siked_ray.world.tokenizer, "
        "siked_ray.world.curriculum; print({'torch', 'transformers', 'tokenizers', 'ray', 'vllm'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


def _as_ratio(text: str) -> str:
    value = Fraction(text)
    return f"({value.numerator} / {value.denominator})"
