from siked_ray.core.strategy import AnswerKind
from siked_ray.world.prompts import STRATEGIES, student_prompt, teacher_prompt
from tests.world.safe_program import run_program


def test_the_demonstrations_are_right():
    for strategy in STRATEGIES:
        for demonstration in strategy.demonstrations:
            if strategy.kind is AnswerKind.PROGRAM:
                assert run_program(demonstration.rationale) == 7
            else:
                assert demonstration.rationale.endswith("The answer is 7.")


def test_teacher_prompt_has_instruction_demonstration_and_question():
    prompt = teacher_prompt(STRATEGIES[0], "How many?")
    demo = STRATEGIES[0].demonstrations[0]
    assert prompt == (
        f"{STRATEGIES[0].instruction}\n\nQuestion: {demo.question}\nSolution: {demo.rationale}\n\n"
        "Question: How many?\nSolution:"
    )


def test_student_prompt_ends_where_the_tag_begins():
    assert student_prompt("How many?").endswith("\n\nQuestion: How many?\nSolution:")
