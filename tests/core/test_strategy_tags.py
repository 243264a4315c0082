import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response, teacher_prompt
from siked_ray.core.strategy import AnswerKind, Demonstration, Strategy, clean_rationale, split_tag

TEMPLATES = PromptTemplates(
    teacher="{instruction}\n\n{demonstrations}Question: {question}\nSolution:",
    demonstration="Question: {question}\nSolution: {rationale}\n\n",
    student="Solve.\n{question}\n",
)


@pytest.mark.parametrize(
    ("response", "name", "rationale"),
    [
        ("[cot]: 1 + 1 = 2", "cot", " 1 + 1 = 2"),
        ("  \n[pot]: answer = 2", "pot", " answer = 2"),
        ("[l2m] How many?", "l2m", " How many?"),
        ("[cot]:", "cot", ""),
        ("[cot]: first [pot]: second", "cot", " first [pot]: second"),
        ("It is [cot]: 2", None, "It is [cot]: 2"),
        ("cot: 2", None, "cot: 2"),
        ("[]: 2", None, "[]: 2"),
        ("[1, 2]: x", None, "[1, 2]: x"),
        ("", None, ""),
    ],
)
def test_split_tag(response: str, name: str | None, rationale: str):
    assert split_tag(response) == (name, rationale)


@given(st.from_regex(r"\w{1,8}", fullmatch=True), st.text())
def test_the_tag_of_a_response_is_read_back(name: str, rationale: str):
    found, rest = split_tag(student_response(name, rationale))
    assert (found, rest.strip()) == (name, rationale.strip())


def test_a_response_begins_with_the_tag_of_its_strategy():
    strategy = Strategy(name="pot", kind=AnswerKind.PROGRAM, instruction="")
    assert student_response("pot", "\n answer = 1\n") == "[pot]: answer = 1"
    assert student_response("pot", "x").startswith(strategy.tag + " ")


def test_a_teacher_prompt_holds_instruction_demonstrations_and_question_in_this_order():
    strategy = Strategy(
        name="cot",
        kind=AnswerKind.TEXT,
        instruction="Think.",
        demonstrations=(Demonstration(question="A?", rationale="1."), Demonstration(question="B?", rationale="2.")),
    )
    assert teacher_prompt(TEMPLATES, strategy, "C?") == (
        "Think.\n\nQuestion: A?\nSolution: 1.\n\nQuestion: B?\nSolution: 2.\n\nQuestion: C?\nSolution:"
    )


def test_braces_in_texts_survive():
    braces = 'd = {"a": 1}; print(f"{d}"); s = {1, 2}; {question} {} {0}'
    strategy = Strategy(
        name="pot",
        kind=AnswerKind.PROGRAM,
        instruction="Write {code}.",
        demonstrations=(Demonstration(question="{x}?", rationale=braces),),
    )
    prompt = teacher_prompt(TEMPLATES, strategy, "What is {y}?")
    assert "Write {code}." in prompt
    assert f"Question: {{x}}?\nSolution: {braces}" in prompt
    assert prompt.endswith("Question: What is {y}?\nSolution:")
    assert student_prompt(TEMPLATES, "What is {y}?") == "Solve.\nWhat is {y}?\n"
    assert student_response("pot", braces) == f"[pot]: {braces}"


def test_a_rationale_is_cleaned_without_breaking_its_program():
    assert clean_rationale("\n    a = 4\n    answer = a + 1\n") == "a = 4\nanswer = a + 1"
    assert clean_rationale(" a = 4\nif a:\n    answer = a\n\n") == "a = 4\nif a:\n    answer = a"
    assert clean_rationale("  ") == ""
