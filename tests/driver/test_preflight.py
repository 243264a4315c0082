"""What can be known before anything expensive starts; every refusal names what the user has to change."""

import json
from pathlib import Path

import pytest

from siked_ray.config import dump_config
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.preflight import check, check_run_directory
from siked_ray.errors import ConfigError, DataError, ModelError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_problems_are_split_and_test_sets_are_named(make_config):
    checked = check(make_config())
    assert len(checked.train) + len(checked.validation) == 40
    assert len(checked.train) > len(checked.validation) > 0
    assert {p.problem_id for p in checked.train}.isdisjoint(p.problem_id for p in checked.validation)
    assert {name: len(problems) for name, problems in checked.tests.items()} == {"more": 10}
    assert list(checked.models) == ["student"]
    assert checked.notes == []


def test_two_test_sets_of_one_name_are_told_apart(make_config, tmp_path: Path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "more.jsonl").write_text('{"question": "1?", "answer": "1"}\n')
    both = f"data.test=[{tmp_path}/more.jsonl, {tmp_path}/other/more.jsonl]"
    assert {name: len(problems) for name, problems in check(make_config(both)).tests.items()} == {
        "more": 10,
        "more#2": 1,
    }


def test_a_test_set_that_was_trained_on_is_pointed_out(make_config, settings_file: Path):
    train = settings_file.with_name("sums.jsonl")
    (note,) = check(make_config(f"data.test={train}")).notes
    assert "training problems too" in note and "sums" in note


def test_missing_training_problems(make_config):
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        check(make_config("data.train=/nowhere.jsonl"))


def test_missing_test_problems(make_config):
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        check(make_config("data.test=/nowhere.jsonl"))


def test_empty_data(make_config, tmp_path: Path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match=r"empty\.jsonl"):
        check(make_config(f"data.train={tmp_path}/empty.jsonl"))


def test_a_held_out_split_without_a_problem(make_config):
    with pytest.raises(DataError, match=r"1 training and 0 held-out problems.*data\.limit.*validation_fraction"):
        check(make_config("data.limit=1", "data.validation_fraction=0.001"))


def test_a_test_set_with_a_name_that_is_taken(make_config, tmp_path: Path):
    (tmp_path / "train.jsonl").write_text('{"question": "1?", "answer": "1"}\n')
    with pytest.raises(DataError, match=r"'train'.*rename"):
        check(make_config(f"data.test={tmp_path}/train.jsonl"))


def test_missing_rationales(make_config):
    with pytest.raises(DataError, match=r"gone\.jsonl"):
        check(make_config("teacher.path=gone.jsonl"))


def test_rationales_of_other_problems_are_no_teacher(make_config, settings_file: Path):
    settings_file.with_name("rationales.jsonl").write_text(
        '{"question": "What is the question?", "strategy": "cot", "rationale": "The answer is 42."}\n'
    )
    with pytest.raises(DataError, match=r"rationales\.jsonl.*data\.train"):
        check(make_config())


def test_a_model_that_serves(make_config, tiny_model: str):
    config = make_config(f"student.model={tiny_model}", "generation.max_new_tokens=20", "evaluation.max_new_tokens=30")
    checked = check(config)
    facts = checked.models["student"]
    assert (facts.known, facts.context) == (True, 512)
    tokenizer, templates = facts.tokenizer, config.prompts
    questions = [p.question for p in (*checked.train, *checked.validation, *checked.tests["more"])]
    longest = max(len(tokenizer(templates.student.format(question=q))["input_ids"]) for q in questions)
    tag = max(len(tokenizer(f"[{name}]:")["input_ids"]) for name in config.strategies)
    needed = longest + tag + 30
    assert needed <= checked.max_model_len["student"] <= needed + 0.3 * longest, "as long as needed, and a little more"


def test_the_teacher_is_looked_at_when_it_is_a_model(make_config, tiny_model: str):
    config = make_config("teacher={source: vllm, model: /nowhere/teacher}", f"student.model={tiny_model}")
    with pytest.raises(ModelError, match=r"teacher\.model: there is no directory /nowhere/teacher"):
        check(config)


def test_a_model_directory_that_is_none(make_config, tmp_path: Path):
    with pytest.raises(ModelError, match=r"student\.model: .* no config\.json"):
        check(make_config(f"student.model={tmp_path}"))
    with pytest.raises(ModelError, match=r"student\.model: there is no directory \./gone"):
        check(make_config("student.model=./gone"))


def test_a_model_directory_that_is_broken(make_config, tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"student\.model: .*broken cannot be loaded"):
        check(make_config(f"student.model={tmp_path}/broken"))


def test_a_model_without_an_end_of_sequence_token(make_config, make_model):
    with pytest.raises(ModelError, match=r"no end-of-sequence token.*eos_token"):
        check(make_config(f"student.model={make_model('endless', eos=None)}"))


def test_a_tokenizer_that_is_larger_than_its_model(make_config, make_model):
    with pytest.raises(ModelError, match=r"tokens in its tokenizer and 320 in the model.*do not belong together"):
        check(make_config(f"student.model={make_model('mixed-up', num_extra_tokens=200)}"))


def test_a_context_that_is_too_short(make_config, make_model):
    short = make_model("short", context=64)
    with pytest.raises(ConfigError, match=r"context of 64 tokens.*64 new tokens.*generation\.max_new_tokens"):
        check(make_config(f"student.model={short}"))


def test_a_context_that_the_settings_cut_short(make_config, tiny_model: str):
    with pytest.raises(ConfigError, match="context of 40 tokens"):
        check(
            make_config(
                f"student.model={tiny_model}",
                "engine.max_model_len=40",
                "generation.max_new_tokens=20",
                "evaluation.max_new_tokens=20",
            )
        )


def test_a_question_that_is_too_long_does_not_stop_a_run(make_config, tiny_model: str, tmp_path: Path):
    """It will be quarantined."""
    rows = [{"question": f"What is {index}?", "answer": "1"} for index in range(40)]
    rows.append({"question": "word " * 2000, "answer": "1"})
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rationales = [{"question": row["question"], "strategy": "cot", "rationale": "The answer is 1."} for row in rows]
    (tmp_path / "rationales.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rationales))
    limits = ("generation.max_new_tokens=20", "evaluation.max_new_tokens=20")
    checked = check(make_config(f"student.model={tiny_model}", f"data.train={tmp_path}/long.jsonl", *limits))
    assert checked.max_model_len["student"] == 512


def test_unreachable_models_are_no_error_for_a_plan_and_one_for_a_run(make_config):
    config = make_config("student.model=some-owner/some-model")
    checked = check(config, offline_is_fine=True)
    assert not checked.models["student"].known
    assert "Hub" in checked.models["student"].note
    with pytest.raises(ModelError, match=r"student\.model: some-owner/some-model cannot be loaded"):
        check(config)


def test_a_new_run_directory(make_config):
    config = make_config()
    assert check_run_directory(config, Storage(config.run_dir)) == "new"


def test_a_run_directory_that_was_begun_and_one_that_is_finished(make_config):
    config = make_config()
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    assert check_run_directory(config, storage) == "started"
    for status, state in (("running", "started"), ("failed", "started"), ("finished", "finished")):
        storage.write_json(names.SUMMARY, {"status": status})
        assert check_run_directory(config, storage) == state


def test_a_run_directory_of_other_settings_names_the_keys_that_differ(make_config):
    config = make_config()
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    with pytest.raises(ConfigError) as raised:
        check_run_directory(make_config("iterations.max=7", "training.lora.rank=0"), storage)
    text = str(raised.value)
    assert "iterations.max: 3 -> 7" in text
    assert "training.lora.rank: 16 -> 0" in text
    assert "seed" not in text
    assert "run_dir" in text


def test_a_run_directory_that_was_moved_is_the_same_run(make_config, tmp_path: Path):
    config = make_config()
    moved = make_config(f"run_dir={tmp_path}/moved")
    storage = Storage(moved.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    assert check_run_directory(moved, storage) == "started"


def test_an_adapter_without_its_model_is_refused(make_config, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"LoRA adapter without its model.*Merge it"):
        check(make_config(f"student.model={folder}"))
