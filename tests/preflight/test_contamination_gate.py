"""What is learnt from, or selects, and is in a test set: removed, refused or allowed, and told."""

import random
from pathlib import Path

import pytest

from siked_ray.cli import main
from siked_ray.config import config_sha256, load_config
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.inputs import write_inputs
from siked_ray.errors import ConfigError, DataError
from siked_ray.preflight.check import Checked, check
from tests.conftest import additions, write_jsonl

LONG = (
    "On day {} Mia packs {} boxes of pens for the school in the old town and sells the rest of them at noon. How many?"
)
NEAR = LONG.replace("old town", "new town")
TEST = [
    {"question": "What is 1 plus 2?", "answer": "3"},
    {"question": LONG.format(1, 20), "answer": "20"},
    {"question": "What is 900 plus 901?", "answer": "1801"},
]


@pytest.fixture
def test_set(tmp_path: Path) -> str:
    """Three problems, of which the training problems have one word for word; `with_near` has the second one, nearly."""
    return f"data.test={write_jsonl(tmp_path / 'exam.jsonl', TEST)}"


@pytest.fixture
def with_near(tmp_path: Path) -> str:
    """40 sums, and a problem that differs from a test problem by one word."""
    rows = [*additions(40), {"question": NEAR.format(1, 20), "answer": "20"}]
    random.Random(0).shuffle(rows)
    return f"data.train={write_jsonl(tmp_path / 'near.jsonl', rows)}"


def questions(checked: Checked) -> set[str]:
    return {problem.question for problem in (*checked.train, *checked.validation)}


def test_what_is_in_a_test_set_is_removed_and_listed(make_config, test_set: str, with_near: str):
    checked = check(make_config(test_set, with_near))
    left_out = {one.question: (one.reason.value, one.test_set, one.test_question) for one in checked.excluded}
    assert left_out == {
        "What is 1 plus 2?": ("question of a test set", "exam", "What is 1 plus 2?"),
        NEAR.format(1, 20): ("nearly a question of a test set", "exam", LONG.format(1, 20)),
    }
    assert questions(checked) == {row["question"] for row in additions(40)} - left_out.keys()
    assert [one.question for one in checked.tests["exam"]] == [row["question"] for row in TEST]
    (note,) = checked.notes
    assert note.startswith("problems of data.train are in test sets (exam: 2 (1 by their words, 1 by their 8-grams")
    assert 'such as "What is 1 plus 2?"' in note and "problems/excluded.parquet lists them" in note
    assert checked.contamination is not None
    assert {key: value for key, value in checked.contamination.items() if key != "test_sets"} == {
        "setting": "remove",
        "training_problems": len(checked.train) + 2 - checked.contamination["test_sets"]["exam"]["held_out"],
        "held_out_problems": len(checked.validation) + checked.contamination["test_sets"]["exam"]["held_out"],
        "prompt_texts": 1,
        "removed": 2,
        "left": 0,
        "prompts": [],
    }


def test_the_others_stay_where_they_were(make_config, test_set: str, with_near: str):
    allowed = check(make_config(test_set, with_near, "data.contamination=allow"))
    removed = check(make_config(test_set, with_near))
    for before, after in ((allowed.train, removed.train), (allowed.validation, removed.validation)):
        assert [one for one in before if one.question in questions(removed)] == list(after)


def test_removing_again_removes_nothing(make_config, tmp_path: Path, test_set: str, with_near: str):
    first = check(make_config(test_set, with_near))
    rows = [{"question": one.question, "answer": one.answer} for one in (*first.train, *first.validation)]
    second = check(make_config(test_set, f"data.train={write_jsonl(tmp_path / 'clean.jsonl', rows)}"))
    assert (questions(second), list(second.excluded), second.notes) == (questions(first), [], [])


def test_held_out_problems_select_and_are_removed_too(make_config, tmp_path: Path):
    rows = [{"question": one.question, "answer": one.answer} for one in check(make_config()).validation]
    test_set = f"data.test={write_jsonl(tmp_path / 'seen.jsonl', rows)}"
    (note,) = check(make_config(test_set, "data.contamination=allow")).notes
    assert f"{len(rows)} of the {len(rows)} problems of the test set seen are in the held-out split" in note
    checked = check(make_config(test_set))
    assert checked.contamination is not None
    assert checked.contamination["test_sets"]["seen"]["held_out"] == len(rows)
    assert questions(checked).isdisjoint(row["question"] for row in rows)
    assert len(checked.validation) == 1, "of what is left one problem is held out"


def test_refusing_says_what_and_where(make_config, test_set: str, with_near: str):
    sentence = r"refuse, and problems of data\.train are in test sets \(exam: 2 \(1 by their words, .*set data\.contam"
    with pytest.raises(DataError, match=sentence):
        check(make_config(test_set, with_near, "data.contamination=refuse"))
    assert check(make_config("data.contamination=refuse")).notes == []


def test_what_is_allowed_is_said(make_config, settings_file: Path):
    train = settings_file.with_name("sums.jsonl")
    checked = check(make_config(f"data.test={train}", "data.contamination=allow"))
    num_train, num_held_out = len(checked.train), len(checked.validation)
    trained, selecting = checked.notes
    assert trained.startswith(f"{num_train} of the 40 problems of the test set sums are training problems too")
    assert selecting.startswith(f"{num_held_out} of the 40 problems of the test set sums are in the held-out split")
    assert (num_train + num_held_out, list(checked.excluded)) == (40, [])
    assert checked.contamination is not None and checked.contamination["left"] == 40


def test_nothing_is_left(make_config, settings_file: Path):
    with pytest.raises(DataError, match=r"0 training and 0 held-out problems, without 40 that are in test sets"):
        check(make_config(f"data.test={settings_file.with_name('sums.jsonl')}"))


def test_a_problem_in_two_test_sets_is_left_out_once(make_config, tmp_path: Path, test_set: str):
    other = write_jsonl(tmp_path / "quiz.jsonl", TEST[:1])
    checked = check(make_config(f"data.test=[{tmp_path}/exam.jsonl, {other}]"))
    assert [(one.question, one.test_set) for one in checked.excluded] == [("What is 1 plus 2?", "exam")]
    assert checked.contamination is not None
    found = checked.contamination["test_sets"]
    assert {name: one["equal"] for name, one in found.items()} == {"exam": 1, "quiz": 1}


TEACHER = "teacher={source: vllm, model: 'world:teacher'}"


@pytest.mark.parametrize("setting", ["remove", "refuse"])
@pytest.mark.parametrize(
    ("key", "override"),
    [
        ("prompts.strategies.cot.demonstrations", f"=[{{question: '{NEAR.format(1, 20)}', rationale: '20'}}]"),
        ("prompts.strategies.l2m.instruction", f"='Solve it as {LONG.format(1, 20)} is solved.'"),
        ("prompts.student", f"='As {LONG.format(1, 20)} is solved, solve {{question}}'"),
    ],
)
def test_a_prompt_with_a_test_problem_is_refused(make_config, tmp_path: Path, setting: str, key: str, override: str):
    exam = f"data.test={write_jsonl(tmp_path / 'exam.jsonl', TEST[1:])}"
    overrides = (exam, TEACHER, f"{key}{override}")
    with pytest.raises(ConfigError, match=rf"{key} shows a problem of the test set exam, \"On day 1 Mia.*to allow"):
        check(make_config(*overrides, f"data.contamination={setting}"))
    checked = check(make_config(*overrides, "data.contamination=allow"))
    assert checked.notes == [f"{key} shows a problem of the test set exam."]
    assert checked.contamination is not None and checked.contamination["prompts"] == [key]


def test_demonstrations_that_nobody_is_shown_are_not_compared(make_config, tmp_path: Path):
    exam = f"data.test={write_jsonl(tmp_path / 'exam.jsonl', TEST[1:])}"
    key = "prompts.strategies.cot.demonstrations"
    assert check(make_config(exam, f"{key}=[{{question: '{LONG.format(1, 20)}', rationale: '20'}}]")).notes == []


def test_a_run_keeps_what_was_found(make_config, test_set: str, with_near: str):
    config = make_config(test_set, with_near)
    checked, storage = check(config), Storage(config.run_dir)
    write_inputs(config, checked, storage)
    assert storage.read_json(names.CONTAMINATION) == checked.contamination
    rows = storage.read_parquet(names.EXCLUDED).to_pylist()
    assert {(row["reason"], row["test_set"]) for row in rows} == {
        ("question of a test set", "exam"),
        ("nearly a question of a test set", "exam"),
    }


def test_a_run_that_has_begun_keeps_its_problems(make_config, test_set: str):
    """As one of 0.1, which has stored problems that are in its test set."""
    config = make_config(test_set)
    before = check(make_config(test_set, "data.contamination=allow"))
    write_inputs(config, before, Storage(config.run_dir))
    Path(config.run_dir, names.CONTAMINATION).unlink()
    again = check(config)
    assert (list(again.train), list(again.validation)) == (list(before.train), list(before.validation))
    assert "are training problems too" in "".join(again.notes) or "held-out split" in "".join(again.notes)
    write_inputs(config, again, Storage(config.run_dir))
    assert not Storage(config.run_dir).exists(names.CONTAMINATION)


def test_refusing_refuses_no_run_that_has_begun(make_config, test_set: str):
    config = make_config(test_set, "data.contamination=refuse")
    begun = check(make_config(test_set, "data.contamination=allow"))
    write_inputs(config, begun, Storage(config.run_dir))
    assert list(check(config).train) == list(begun.train)


def test_a_plan_says_it(settings_file: Path, test_set: str, with_near: str, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", str(settings_file), test_set, with_near]) == 0
    shown = capsys.readouterr()
    assert "removed, in test set exam          2 (1 by their words, 1 by their 8-grams" in shown.out
    assert 'such as "What is 1 plus 2?"' in shown.out
    assert "note: problems of data.train are in test sets" in shown.err
    assert main(["plan", str(settings_file), test_set, with_near, "data.contamination=allow"]) == 0
    assert "LEFT IN, in test set exam" in capsys.readouterr().out
    assert main(["plan", str(settings_file)]) == 0
    assert "of these in test sets              none" in capsys.readouterr().out
    assert main(["plan", str(settings_file), test_set, "data.contamination=refuse"]) == 2
    assert "data.contamination is refuse" in capsys.readouterr().err


@pytest.mark.parametrize("job", ["smoke", "demo"])
def test_the_demo_loses_no_problem(job: str, tmp_path: Path):
    config = load_config(Path(__file__).parents[2] / "jobs" / f"{job}.yaml", [f"run_dir={tmp_path}/run"])
    checked = check(config)
    assert checked.contamination is not None and checked.contamination["prompt_texts"] > 5
    assert (list(checked.excluded), checked.notes, checked.contamination["left"]) == ([], [], 0)
    assert len(checked.train) + len(checked.validation) == (config.data.limit or 3000)


def test_the_setting_changes_no_hash_of_before(make_config):
    assert config_sha256(make_config("data.contamination=remove")) == config_sha256(make_config())
    assert config_sha256(make_config("data.contamination=allow")) != config_sha256(make_config())
