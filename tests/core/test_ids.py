from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.ids import content_hash, problem_id, request_id, sampling_seed, unit_interval


def test_ids_and_seeds_never_change_between_versions():
    problem = problem_id("gsm8k", "How many?")
    request = request_id(problem, "cot", 3, 1)
    assert problem == "7d004dcb1857db06"
    assert request == "6c9298cd9b5047b7"
    assert sampling_seed(42, request) == 1730661808
    assert unit_interval("split", 42, "How many?") == 0.4908175556093721


def test_white_space_of_a_question_is_folded_and_nothing_else():
    assert problem_id("d", "  How\tmany\n\napples? ") == problem_id("d", "How many apples?")
    assert problem_id("d", "How many apples?") != problem_id("d", "how many apples?")
    assert problem_id("d", "How many apples?") != problem_id("e", "How many apples?")


def test_every_part_of_a_request_is_in_its_id():
    base = request_id("p", "cot", 0, 0)
    others = {
        request_id("q", "cot", 0, 0),
        request_id("p", "pot", 0, 0),
        request_id("p", "cot", 1, 0),
        request_id("p", "cot", 0, 1),
        request_id("p", "cot@0123abcd", 0, 0),
        request_id("p", "cot", 0, "attempt_2_of_01"),
    }
    assert len({base, *others}) == 7


def test_parts_are_kept_apart():
    assert content_hash("ab", "c") != content_hash("a", "bc")
    assert request_id("p", "cot", 1, 11) != request_id("p", "cot", 11, 1)


@given(st.integers(), st.text())
def test_seeds_fit_an_engine_and_positions_the_unit_interval(run_seed: int, text: str):
    assert 0 <= sampling_seed(run_seed, text) < 2**31
    assert 0 <= unit_interval(text) < 1


def test_another_run_seed_gives_other_samples():
    assert sampling_seed(1, "r") != sampling_seed(2, "r")


def test_positions_fill_the_unit_interval_evenly():
    below = sum(unit_interval("split", 42, f"question {index}") < 0.1 for index in range(5000))
    assert 430 < below < 570
