from siked_ray.config import load_config
from siked_ray.core.prompts import student_prompt, teacher_prompt
from siked_ray.core.strategy import AnswerKind
from siked_ray.world.world_prompts import STRATEGIES, TEMPLATES
from tests.world.safe_program import run_program


def test_the_demonstrations_are_right():
    for strategy in STRATEGIES:
        for demonstration in strategy.demonstrations:
            if strategy.kind is AnswerKind.PROGRAM:
                assert run_program(demonstration.rationale) == 7
            else:
                assert demonstration.rationale.endswith("The answer is 7.")


def test_they_are_the_prompts_of_the_demo():
    config = load_config("jobs/demo.yaml")
    assert config.strategy_records() == STRATEGIES
    assert config.prompts.templates() == TEMPLATES


def test_teacher_prompt_has_instruction_demonstration_and_question():
    prompt = teacher_prompt(TEMPLATES, STRATEGIES[0], "How many?")
    demo = STRATEGIES[0].demonstrations[0]
    assert prompt == (
        f"{STRATEGIES[0].instruction}\n\nQuestion: {demo.question}\nSolution: {demo.rationale}\n\n"
        "Question: How many?\nSolution:"
    )


def test_student_prompt_ends_where_the_tag_begins():
    assert student_prompt(TEMPLATES, "How many?").endswith("\n\nQuestion: How many?\nSolution:")
