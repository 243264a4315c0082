from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from siked_ray.config import load_config
from siked_ray.driver import world_models as bootstrap
from siked_ray.errors import ModelError
from siked_ray.generation.model_facts import inspect_model
from siked_ray.world.curriculum import CONTEXT, CURRICULA, random_model
from siked_ray.world.word_problems import world_problems

SMALL = replace(CURRICULA["world:teacher"], num_first_drills=10, num_mixed_drills=5, num_problems=60)


def demo_rows(recipe, *overrides: str):
    return bootstrap.rows_of(recipe, load_config("jobs/demo.yaml", overrides))


def test_a_teacher_learns_from_the_prompts_that_it_will_be_asked_with():
    rows = demo_rows(SMALL)
    assert len(rows) == 75 and [row["request_id"] for row in rows] == sorted({row["request_id"] for row in rows})
    assert not any("Question:" in row["prompt"] for row in rows[:10]), "drills come first"
    worked = [row for row in rows if "Question:" in row["prompt"]]
    assert len(worked) == 60
    assert all(row["prompt"].count("Question:") == 2 and row["response"].startswith(" ") for row in worked)
    assert rows == demo_rows(SMALL)


def test_a_student_learns_from_tagged_responses():
    rows = demo_rows(replace(SMALL, few_shot=False))
    tags = {row["response"].split()[0] for row in rows if "Question:" in row["prompt"]}
    assert tags == {"[cot]:", "[l2m]:", "[pot]:"}


def test_runs_with_fewer_strategies_start_from_the_same_models():
    recipe = replace(SMALL, few_shot=False)
    assert demo_rows(recipe, "strategies=[cot]") == demo_rows(recipe)
    assert demo_rows(recipe, "prompts.student='{question} = '") != demo_rows(recipe)


def test_no_model_is_made_from_questions_of_the_run():
    questions = {problem.question for name in ("world:train", "world:test") for problem in world_problems(name)}
    assert not any(question in row["prompt"] for row in demo_rows(SMALL) for question in questions)


def test_models_of_other_names_are_left_as_they_are(tmp_path):
    config = load_config("jobs/demo.yaml")
    models = {"teacher": "some/model", "student": str(tmp_path)}
    assert bootstrap.resolve_models(models, config, board=None, log_dir="") == models


def test_an_unknown_world_model_is_refused():
    with pytest.raises(ModelError, match=r"world:teacher"):
        inspect_model("world:tutor", "teacher", load_config("jobs/demo.yaml"))


def test_what_is_known_of_a_model_before_it_is_made():
    facts = inspect_model("world:teacher", "teacher", load_config("jobs/demo.yaml"))
    assert facts.known and facts.context == CONTEXT and facts.tokenizer("1 + 1")["input_ids"]


def test_a_random_model_is_a_model_directory(tmp_path):
    from transformers import AutoConfig, AutoTokenizer

    random_model(SMALL, tmp_path)
    config, tokenizer = AutoConfig.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert config.hidden_size == SMALL.hidden_size and config.rope_parameters["rope_theta"] == SMALL.rope_theta
    assert len(tokenizer) <= config.vocab_size and config.eos_token_id == tokenizer.eos_token_id


def test_a_cached_model_is_looked_for_where_it_is_put(monkeypatch, tmp_path):
    monkeypatch.setenv("SIKED_CACHE", str(tmp_path))
    monkeypatch.setitem(bootstrap.CURRICULA, "world:teacher", SMALL)
    monkeypatch.setattr(bootstrap, "build_tokenizer", lambda: SimpleNamespace(get_vocab=lambda: {"a": 0}))
    monkeypatch.setattr(bootstrap, "random_model", lambda curriculum, folder: None)
    config = load_config("jobs/demo.yaml")
    place = bootstrap.cached_model("world:teacher", config)
    assert not list(tmp_path.iterdir()), "looking for it makes nothing"
    assert place == Path(bootstrap._prepared("world:teacher", config).path("model"))
    assert place != bootstrap.cached_model(
        "world:teacher", load_config("jobs/demo.yaml", ["prompts.teacher='{instruction}{demonstrations}{question}'"])
    )


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SIKED_CACHE", str(tmp_path))
    assert bootstrap.cache_dir() == tmp_path / "world"
