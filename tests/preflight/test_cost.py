"""Hours and cost out of counts and assumptions."""

from types import SimpleNamespace

import pytest

from siked_ray.errors import ConfigError
from siked_ray.preflight.cost import estimate, expected_samples, lines, read_rates, server_lines

ASSUMED = [
    "teacher_acceptance=0.5",
    "student_acceptance=0.25",
    "tokens_per_sample=100",
    "tokens_per_row=200",
    "teacher_tokens_per_s=1000",
    "student_tokens_per_s=2000",
    "training_tokens_per_s=4000",
    "engine_start_s=36",
    "gpu_hour_price=2",
]


def checked(num_train: int, num_validation: int) -> SimpleNamespace:
    train = [SimpleNamespace(problem_id=f"train {index}") for index in range(num_train)]
    held_out = [SimpleNamespace(problem_id=str(index)) for index in range(num_validation)]
    return SimpleNamespace(train=train, validation=held_out, tests={"same": held_out})


def test_expected_samples() -> None:
    assert expected_samples(10, [1], keep_one=False, acceptance=0.5) == 10
    assert expected_samples(2, [1], keep_one=True, acceptance=0.5) == 1.5
    assert expected_samples(3, [1, 2], keep_one=True, acceptance=0.25) == 1 + 2 * 0.75
    assert expected_samples(4, [3], keep_one=True, acceptance=0.5) == 3 + 0.125, "the last attempt is cut to K"
    assert expected_samples(10, [1, 1, 2, 3, 3], keep_one=True, acceptance=1.0) == 1


def test_an_estimate_by_hand(make_config) -> None:
    config = make_config(
        "teacher={source: vllm, model: 'world:teacher'}",
        "strategies=[cot, pot]",
        "generation.num_samples=2",
        "generation.ramp=[1]",
        "iterations.max=1",
        "engine={num_engines: 2, gpus_per_engine: 4}",
        "training={num_workers: 2, gpus_per_worker: 1, epochs: 3}",
    )
    costs = estimate(config, checked(1000, 100), read_rates(ASSUMED))
    sampled = 1000 * 2 * 1.5 * 100
    assert costs["teacher's sampling"].tokens == sampled
    assert costs["teacher's sampling"].seconds == 36 + sampled / (1000 * 2)
    assert costs["student's sampling"].seconds == 1000 * 2 * 1.75 * 100 / (2000 * 2)
    evaluated = 100 * 3 * 100 * 2
    assert costs["evaluation"].seconds == pytest.approx(36 * 2 + evaluated / (2000 * 2))
    trained = 2000 * 0.75 * 200 * 3 * 2
    assert costs["training"].seconds == trained / (4000 * 2)
    assert costs["training"].gpu_hours == 2 * trained / (4000 * 2) / 3600
    assert costs["teacher's sampling"].gpus == 8
    total = sum(cost.gpu_hours for cost in costs.values())
    assert f"{total:.1f} GPU hours, {total * 2:,.0f}" in lines(costs, read_rates(ASSUMED))["all"]


def test_a_student_that_chooses_its_strategies_costs_a_sampling_per_problem(make_config) -> None:
    forced, free = (
        estimate(make_config(f"iterations.generator={name}"), checked(10, 2), read_rates(ASSUMED))
        for name in ("self_forced", "self_free")
    )
    assert forced["student's sampling"].tokens == 3 * free["student's sampling"].tokens


def test_candidates_are_evaluated_too(make_config) -> None:
    def tokens(by: str) -> float:
        selection = f"training.selection={{every_steps: 5, by: {by}}}"
        config = make_config(selection, "iterations.max=1", "training.epochs=1", "training.max_seq_len=64")
        return estimate(config, checked(100, 20), read_rates(ASSUMED))["evaluation"].tokens

    rows = 100 * 3 * (1 - 0.5**10)
    num_candidates = -(-(rows * 200 / (8 * 64)) // 5)
    assert tokens("accuracy") - tokens("loss") == num_candidates * 20 * 100 * 2


def test_test_sets_that_wait_for_the_end_are_for_two_students(make_config) -> None:
    def tokens(when: str) -> float:
        config = make_config(f"evaluation.test_sets={when}", "strategies=[cot]", "iterations.max=4")
        problems = checked(100, 20)
        problems.tests = {"other": [SimpleNamespace(problem_id=f"t{index}") for index in range(50)]}
        return estimate(config, problems, read_rates(ASSUMED))["evaluation"].tokens

    assert tokens("every_iteration") == (20 + 50) * 5 * 2 * 100
    assert tokens("end") == (20 * 5 + 50 * 2) * 2 * 100


def test_what_a_server_charges_at_most(make_config) -> None:
    """Two samples, each of 10 bytes of a prompt at 8 a token, and of 50 new tokens at 10 each."""
    cot = "{instruction: abcd, demonstrations: []}"
    settings = (
        f"prompts={{teacher: '{{instruction}}{{demonstrations}}{{question}}', strategies: {{cot: {cot}}}}}",
        "strategies=[cot]",
        "generation={num_samples: 2, max_new_tokens: 50}",
        "teacher={source: openai, model: big}",
    )
    prices = "{price_per_million_prompt_tokens: 8000000, price_per_million_generated_tokens: 10000000}"
    one = SimpleNamespace(problem_id="1", question="1 + 1?")
    problems = SimpleNamespace(train=[one], validation=[], tests={})
    charges = server_lines(make_config(*settings, f"teacher.endpoint={prices}"), problems)
    assert charges["teacher's server charges"].startswith("1,040.00 at most")
    assert server_lines(make_config(*settings), problems) == {}
    assert server_lines(make_config(*settings, f"teacher.endpoint={prices}"), SimpleNamespace(train=[])) == {}


def test_what_the_server_of_a_further_model_charges_at_most(make_config) -> None:
    """A cascade asks it once for each held-out problem and each of the test set: 8 bytes and 20 tokens each."""
    prices = "{price_per_million_prompt_tokens: 1000000, price_per_million_generated_tokens: 10000000}"
    settings = (
        "recipe=two_tier",
        "options={large: big, costs: [1, 5]}",
        f"models={{big: {{source: openai, model: big, endpoint: {prices}}}}}",
        "evaluation.max_new_tokens=20",
        "prompts.student='Q{question}'",
    )
    one, other = (SimpleNamespace(problem_id=name, question="1 + 12?") for name in "ab")
    problems = SimpleNamespace(train=[one], validation=[one], tests={"t": [other]})
    assert server_lines(make_config(*settings), problems)["big's server charges"].startswith("404.00 at most")


def test_existing_rationales_cost_nothing(make_config) -> None:
    assert "teacher's sampling" not in estimate(make_config(), checked(10, 2), read_rates(ASSUMED))


@pytest.mark.parametrize(
    ("assumed", "words"),
    [
        (["speed=3"], "there is no 'speed'"),
        (["teacher_acceptance=high"], "'high' is none"),
        (["teacher_acceptance=0"], "above 0"),
        (["teacher_acceptance=80"], "a share of the samples, so at most 1"),
        (["student_acceptance=nan"], "a finite number"),
        (["tokens_per_row=inf"], "a finite number"),
        (["teacher_acceptance=0.5"], "needs student_acceptance, tokens_per_sample"),
    ],
)
def test_what_cannot_be_assumed(assumed: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_rates(assumed)


def test_unknown_problems_have_no_cost(make_config) -> None:
    with pytest.raises(ConfigError, match="local file"):
        estimate(make_config(), checked(0, 0), read_rates(ASSUMED))
