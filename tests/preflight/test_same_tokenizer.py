"""What `siked plan` says of a pair that is to be held against each other token by token."""

import pytest
from transformers import AutoTokenizer

from siked_ray.cli import main
from siked_ray.errors import ModelError
from siked_ray.generation.model_facts import ModelFacts
from siked_ray.preflight.same_tokenizer import check_same_tokens

TEACHER = "teacher={source: vllm, model: world:small-teacher}"


def facts(name: str, folder: str) -> ModelFacts:
    return ModelFacts(name=name, known=True, tokenizer=AutoTokenizer.from_pretrained(folder))


def test_other_tokens_are_refused_and_what_is_left_is_named(settings_file, tiny_model: str, capsys):
    tokenless = f"teacher={{source: vllm, model: {tiny_model}}}"
    assert main(["plan", str(settings_file), tokenless, "training.objective=forward_kl"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "The objective forward_kl holds student and teacher" in said
    assert "token 0 is" in said and "the objective cross_entropy: the student then learns from" in said


def test_a_pair_with_the_same_tokens_is_planned(settings_file, capsys):
    assert main(["plan", str(settings_file), TEACHER, "training.objective=jsd"]) == 0
    assert "ends with" not in capsys.readouterr().out


def test_other_ends_and_templates_are_named(make_config, tiny_model: str):
    config = make_config(TEACHER, "training.objective=reverse_kl")
    student, teacher = facts("small", tiny_model), facts("large", tiny_model)
    assert check_same_tokens(config, student, teacher) == []
    teacher.tokenizer.eos_token = "<s>"
    teacher.tokenizer.chat_template = "{{ messages }}"
    ends, templates = check_same_tokens(config, student, teacher)
    assert ends.startswith("the student ends with </s>, its teacher with <s>") and "chat templates" in templates


def test_nothing_is_asked_of_texts(make_config, tiny_model: str, make_model):
    other = facts("large", make_model("other", num_extra_tokens=3))
    assert check_same_tokens(make_config(TEACHER), facts("small", tiny_model), other) == []
    with pytest.raises(ModelError, match="small and large the first has"):
        check_same_tokens(make_config(TEACHER, "training.objective=jsd"), facts("small", tiny_model), other)


def test_an_objective_needs_one_teacher_that_can_be_loaded(settings_file, capsys):
    assert main(["plan", str(settings_file), "training.objective=jsd"]) == 2
    assert "teacher.source dataset is none; set teacher.source to vllm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["training.objective=hidden_mse"], "hidden_mse needs the teacher itself; leave teacher.logprobs out"),
        (["training={objective: jsd, distillation: {temperature: 2}}"], "temperature 2 needs all of the teacher's"),
        (["teacher.source=annotations"], "source annotations is none"),
        (["teacher.strategies.cot={source: vllm, model: other}"], "teacher.strategies is none"),
    ],
)
def test_what_stored_probabilities_cannot_do_is_said(settings_file, capsys, overrides: list[str], words: str):
    teacher = "teacher={source: vllm, model: world:small-teacher, logprobs: 4}"
    assert main(["plan", str(settings_file), teacher, *overrides]) == 2
    assert words in capsys.readouterr().err
