import pytest

from siked_ray.preflight.check import check
from siked_ray.preflight.forecast import first_prompts, forecast

SMALL = (
    "strategies=[cot, pot]",
    "generation.num_samples=4",
    "generation.max_new_tokens=100",
    "evaluation.max_new_tokens=200",
    "iterations.max=2",
    "training.epochs=1",
    "training.micro_batch_size=2",
    "training.gradient_accumulation=4",
    "training.num_workers=1",
)


def test_figures_by_hand(make_config):
    config = make_config(*SMALL)
    checked = check(config)
    num_train, num_held_out = len(checked.train), len(checked.validation)
    figures = forecast(config, checked)
    assert figures["training problems"] == str(num_train)
    assert figures["held-out problems"] == str(num_held_out)
    assert figures["test problems · more"] == "10"
    assert figures["iterations"] == "0 to 2 at most"
    assert figures["requests per sampling stage"].startswith(f"{2 * num_train} (problem, strategy) rows, up to 4")
    completions = 2 * num_train * 4 * 2  # the teacher's rationales exist; two iterations sample the student
    evaluations = (num_held_out + 10) * 3 * 3  # free and 2 forced, in 3 iterations
    assert figures["completions, sampling"] == f"{completions:,} at most"
    assert figures["completions, evaluation"] == f"{evaluations:,} at most"
    assert figures["generated tokens"] == f"{completions * 100 + evaluations * 200:,} at most"
    steps = -(-2 * num_train // 8)
    assert figures["optimizer steps per iteration"] == f"{steps} at most, of 8 rows of 1024"
    assert "student model" in figures


def test_a_teacher_that_is_sampled_counts_once_more(make_config, tiny_model: str):
    teacher = f"teacher={{source: vllm, model: {tiny_model}}}"
    config = make_config(*SMALL, teacher)
    checked = check(config)
    assert forecast(config, checked)["completions, sampling"] == f"{2 * len(checked.train) * 4 * 3:,} at most"
    assert tiny_model in forecast(config, checked)["teacher model"]


def test_a_student_that_chooses_its_strategies_is_asked_once_per_problem(make_config):
    config = make_config(*SMALL, "iterations.generator=self_free", "teacher={source: vllm, model: 'world:teacher'}")
    checked = check(config)
    n, figures = len(checked.train), forecast(config, checked)
    asked = f"{n} problems, strategy free (to the teacher {2 * n} (problem, strategy) rows), up to 4 samples"
    assert figures["requests per sampling stage"] == asked
    assert figures["completions, sampling"] == f"{(2 * n + 2 * n) * 4:,} at most"


@pytest.mark.parametrize(("by", "is_sampled"), [("accuracy", True), ("loss", False)])
def test_candidates_are_evaluated_too(make_config, by: str, is_sampled: bool):
    """Every third step and the last, in each of 3 iterations, by free completions alone."""
    config = make_config(*SMALL, f"training.selection={{every_steps: 3, by: {by}}}")
    checked = check(config)
    steps = -(-2 * len(checked.train) // 8)
    num_candidates = -(-steps // 3) if is_sampled else 0
    evaluations = (len(checked.validation) + 10) * 3 * 3 + num_candidates * len(checked.validation) * 3
    assert forecast(config, checked)["completions, evaluation"] == f"{evaluations:,} at most"


def test_placement(make_config):
    config = make_config(
        "engine={num_engines: 2, cpus_per_engine: 3, gpus_per_engine: 0.5}",
        "training={num_workers: 4, cpus_per_worker: 2, gpus_per_worker: 1, zero_stage: 3}",
    )
    figures = forecast(config, check(config))
    assert figures["engines"] == "2 x (3 CPU, 0.5 GPU)"
    assert figures["training workers"] == "4 x (2 CPU, 1 GPU), ZeRO 3"
    assert figures["side by side they want"].startswith("15 CPU, 5 GPU")


def test_the_first_prompts_are_those_of_the_first_problem(make_config, tiny_model: str):
    config = make_config(*SMALL, f"teacher={{source: vllm, model: {tiny_model}}}")
    checked = check(config)
    prompts = first_prompts(config, checked)
    assert list(prompts) == [
        "teacher's prompt · cot",
        "teacher's prompt · pot",
        "student's prompt",
        "student's response",
    ]
    question = checked.train[0].question
    assert all(question in text for title, text in prompts.items() if title != "student's response")
    assert prompts["student's response"] == "[cot]: …"


def test_existing_rationales_need_no_prompt_of_the_teacher(make_config):
    config = make_config()
    assert list(first_prompts(config, check(config))) == ["student's prompt", "student's response"]
