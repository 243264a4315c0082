"""What can be known before anything expensive starts; every refusal names what the user has to change."""

import json
from pathlib import Path

import pytest

from siked_ray.errors import ConfigError, DataError, ModelError, UnreachableError, UserError
from siked_ray.preflight.check import check
from siked_ray.sources import written
from tests.conftest import additions, write_jsonl


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


COLUMNS = ("data.question_column=text", "data.answer_column=gold_value")


def test_named_columns_apply_to_the_data_sets_that_have_them(make_config, tmp_path: Path):
    rows = [{"text": row["question"], "gold_value": row["answer"], "question": "?"} for row in additions(40)]
    svamp = [{"ID": "1", "Body": "It is 1.", "Question": "How many is 2?", "Answer": 2, "Equation": "", "Type": ""}]
    sets = f"data.test=[{tmp_path}/more.jsonl, 'world:test', {write_jsonl(tmp_path / 'bodies.jsonl', svamp)}]"
    checked = check(make_config(*COLUMNS, f"data.train={write_jsonl(tmp_path / 'cols.jsonl', rows)}", sets))
    assert (checked.train[0].dataset, len(checked.tests["more"])) == ("cols", 10)
    assert checked.tests["svamp"][0].question == "It is 1. How many is 2?"


@pytest.mark.parametrize("train", ["sums.jsonl", "world:train"])
def test_named_columns_that_no_data_set_has(make_config, tmp_path: Path, train: str):
    name = train if train.startswith("world:") else f"{tmp_path}/{train}"
    with pytest.raises(DataError, match=r"no column 'text'; it has 'question', 'answer'|has no splits and columns"):
        check(make_config(*COLUMNS, f"data.train={name}"))


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


@pytest.mark.parametrize("name", ["./gone", "/gone", "~/gone", "models/small/v2", "small model", "s3://bucket/model"])
def test_a_model_that_can_only_be_a_directory_has_to_be_there(make_config, name: str):
    """Even for a plan, which does without the Hub."""
    with pytest.raises(ModelError, match=r"student\.model: there is no directory .*(gone|v2|model)"):
        check(make_config(f"student.model={name}"), offline_is_fine=True)


def test_a_model_below_the_home_directory(make_config, tiny_model: str, monkeypatch: pytest.MonkeyPatch):
    home, _, name = tiny_model.rpartition("/")
    monkeypatch.setenv("HOME", home)
    assert check(make_config(f"student.model=~/{name}")).models["student"].name == tiny_model


def test_a_model_directory_that_is_broken(make_config, tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"student\.model: .*broken cannot be loaded"):
        check(make_config(f"student.model={tmp_path}/broken"))


def test_a_model_without_an_end_of_sequence_token(make_config, make_model):
    with pytest.raises(ModelError, match=r"no end-of-sequence token.*eos_token"):
        check(make_config(f"student.model={make_model('endless', eos=None)}"))


def test_a_system_prompt_that_no_template_takes(make_config, make_model):
    for model in (make_model("plain"), "world:student"):
        with pytest.raises(ModelError, match=r"student\.model: .* has no chat template, so system_prompt"):
            check(make_config(f"student={{model: '{model}', system_prompt: Be brief.}}"))


def test_a_tokenizer_that_is_larger_than_its_model(make_config, make_model):
    with pytest.raises(ModelError, match=r"tokens in its tokenizer and 320 in the model.*do not belong together"):
        check(make_config(f"student.model={make_model('mixed-up', num_extra_tokens=200)}"))


def test_a_student_that_could_not_be_trained_on_packed_rows(make_config, make_model):
    from transformers import BloomConfig

    student = make_model("bloom")
    BloomConfig(vocab_size=320, hidden_size=128, n_head=4, n_layer=2).save_pretrained(student)
    with pytest.raises(ModelError, match=r"A student of type bloom .*cannot be trained.*Set student\.model"):
        check(make_config(f"student.model={student}"))


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


def test_a_model_that_the_hub_does_not_have_is_an_error_for_a_plan_too(make_config, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("some-owner/some-model is not a valid model identifier")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refuse)
    with pytest.raises(ModelError, match="not a valid model identifier"):
        check(make_config("student.model=some-owner/some-model"), offline_is_fine=True)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.test=[some-owner/problems, /nowhere/svamp.json]", r"/nowhere/svamp\.json"),
        ("teacher.path=/nowhere/rationales.jsonl", r"/nowhere/rationales\.jsonl"),
        ("start_from=/nowhere:1", r"/nowhere is no run directory"),
        (None, None),
    ],
)
def test_a_plan_without_its_training_problems_looks_at_what_is_here(make_config, monkeypatch, override, words):
    def unreachable(name: object, shown: str) -> None:
        raise UnreachableError(f"no network for {shown}")

    monkeypatch.setattr("siked_ray.data.loaders.sources.read_hub", unreachable)
    on_the_hub = "data.train=some-owner/problems"
    if override is None:
        assert check(make_config(on_the_hub), offline_is_fine=True).notes == ["no network for some-owner/problems"]
        return
    with pytest.raises(UserError, match=words):
        check(make_config(on_the_hub, override), offline_is_fine=True)


def test_a_row_of_training_that_is_too_short_for_any_prompt(make_config):
    with pytest.raises(ConfigError, match=r"training\.max_seq_len is 8 tokens.*shortest prompt has \d+.*raise it"):
        check(make_config("training.max_seq_len=8"))


def test_a_base_in_4_bits_wants_gpus_and_its_package(make_config, monkeypatch: pytest.MonkeyPatch):
    on_cpus = make_config("training.base_precision=nf4")
    with pytest.raises(ConfigError, match=r"is for GPUs.*set training\.gpus_per_worker to 1"):
        check(on_cpus)
    on_gpus = make_config("training.base_precision=nf4", "training.gpus_per_worker=1")
    monkeypatch.setattr("siked_ray.preflight.check.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"bitsandbytes; install siked-ray\[qlora\]"):
        check(on_gpus)
    monkeypatch.setattr("siked_ray.preflight.check.find_spec", lambda name: object())
    assert check(on_gpus).train


def test_an_adapter_without_its_model_is_refused(make_config, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"LoRA adapter without its model.*Merge it"):
        check(make_config(f"student.model={folder}"))


def test_rationales_of_several_files(make_config, tmp_path: Path):
    more = [
        {"question": f"What is {i} plus {i + 1}?", "strategy": "cot", "rationale": f"It is {2 * i + 1}."}
        for i in (1, 2)
    ]
    file = write_jsonl(tmp_path / "more_rationales.jsonl", more)
    both = make_config(f"teacher.path=[{make_config().teacher.path}, {file}]")
    checked = check(both)
    (source,) = written(both)
    (before,) = written(make_config())
    assert len(source.rationales(checked.train)) - len(before.rationales(checked.train)) in (1, 2)
    missing = tmp_path / "nothing.jsonl"
    with pytest.raises(DataError, match=r"nothing\.jsonl"):
        check(make_config(f"teacher.path=[{file}, {missing}]"))


def test_a_gguf_file_on_a_hub_that_cannot_be_reached(make_config):
    config = make_config("student.model=me/tiny-GGUF:Tiny.Q8_0.gguf")
    facts = check(config, offline_is_fine=True).models["student"]
    assert not facts.known and "cannot be reached" in facts.note
    with pytest.raises(
        ModelError, match=r"student\.model: me/tiny-GGUF:Tiny\.Q8_0\.gguf cannot be fetched from the Hub"
    ):
        check(config)
