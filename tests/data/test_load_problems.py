"""Any table with questions and answers, in any container; what is wrong with one is said in a sentence."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from siked_ray.core.ids import problem_id
from siked_ray.core.problem import Problem
from siked_ray.data import Exclusion, ExclusionReason, ProblemSet, load_problems
from siked_ray.errors import DataError

ROWS: list[dict[str, object]] = [
    {"question": "How much is 1 + 1?", "answer": "2"},
    {"question": 'She says "1,\n2". How many?', "answer": "1,002.50"},
    {"question": "How much is 5 - 5?", "answer": "0"},
]
Row = dict[str, object]


def write_jsonl(path: Path, rows: list[Row]) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")


def write_jsonl_gz(path: Path, rows: list[Row]) -> None:
    path.write_bytes(gzip.compress("\r\n".join(json.dumps(row) for row in rows).encode()))


def write_json(path: Path, rows: list[Row]) -> None:
    path.write_text("\ufeff\n" + json.dumps(rows, indent=2), encoding="utf-8")


def write_csv(path: Path, rows: list[Row], delimiter: str = ",") -> None:
    lines: list[list[object]] = [list(rows[0]), *(list(row.values()) for row in rows)]
    cells = [['"' + str(cell).replace('"', '""') + '"' for cell in line] for line in lines]
    path.write_text("\r\n".join(delimiter.join(line) for line in cells) + "\r\n", encoding="utf-8", newline="")


def write_tsv(path: Path, rows: list[Row]) -> None:
    write_csv(path, rows, delimiter="\t")


def write_parquet(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_parquet_directory(path: Path, rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        write_parquet(path / f"part-{number}.parquet", [row])


def write_saved_dataset(path: Path, rows: list[Row]) -> None:
    from datasets import Dataset

    Dataset.from_list(rows).save_to_disk(str(path))


WRITERS: dict[str, Callable[[Path, list[Row]], None]] = {
    "mine.jsonl": write_jsonl,
    "mine.jsonl.gz": write_jsonl_gz,
    "mine.json": write_json,
    "mine.csv": write_csv,
    "mine.tsv": write_tsv,
    "mine.parquet": write_parquet,
    "mine": write_parquet_directory,
    "mine.saved": write_saved_dataset,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_container_gives_the_same_problems(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    problems = load_problems(str(tmp_path / name))
    assert problems.dataset == "mine"
    assert [p.answer for p in problems] == ["2", "1002.5", "0"]
    assert [p.question for p in problems] == [row["question"] for row in ROWS]
    assert problems.excluded == ()


def test_urls_go_through_file_systems(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://bucket/mine.jsonl", "w") as file:
        file.write("\n".join(json.dumps(row) for row in ROWS))
    write_jsonl(tmp_path / "mine.jsonl", ROWS)
    from_memory = load_problems("memory://bucket/mine.jsonl")
    assert (
        from_memory == load_problems((tmp_path / "mine.jsonl").as_uri()) == load_problems(str(tmp_path / "mine.jsonl"))
    )
    with pytest.raises(DataError, match=r"No file or directory memory://bucket/other\.jsonl"):
        load_problems("memory://bucket/other.jsonl")
    with pytest.raises(DataError, match="No file system serves nowhere://x"):
        load_problems("nowhere://x/y.jsonl")


def load(tmp_path: Path, rows: list[Row], **columns: Any) -> ProblemSet:
    write_jsonl(tmp_path / "mine.jsonl", rows)
    return load_problems(str(tmp_path / "mine.jsonl"), **columns)


@pytest.mark.parametrize("question", ["question", "Problem", "prompt", "input", "query"])
@pytest.mark.parametrize("answer", ["Answer", "final_answer", "target", "output", "solution"])
def test_usual_column_names(tmp_path: Path, question: str, answer: str) -> None:
    assert load(tmp_path, [{"id": 7, question: "How many?", answer: 3}])[0].answer == "3"


def test_chosen_columns(tmp_path: Path) -> None:
    rows: list[Row] = [{"question": "a?", "text": "b?", "answer": "1", "n": 2, "solution": "…"}]
    assert load(tmp_path, rows, question_column="text", answer_column="n")[0].question == "b?"
    assert load(tmp_path, rows, answer_column="answer")[0].answer == "1"


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        (
            {"question": "a?", "answer": 1, "solution": 2},
            {},
            "'answer', 'solution' could all be meant. Set data.answer_column",
        ),
        (
            {"question": "a?", "prompt": "b?", "answer": 1},
            {},
            "'question', 'prompt' could all be meant. Set data.question_col",
        ),
        (
            {"text": "a?", "answer": 1},
            {},
            "has none of the columns 'question', .*; it has 'text', 'answer'. Set data.question_col",
        ),
        (
            {"question": "a?", "n": 1},
            {},
            "has none of the columns 'answer', .*; it has 'question', 'n'. Set data.answer_column",
        ),
        (
            {"question": "a?", "n": 1},
            {"answer_column": "m"},
            "no column 'm'; it has 'question', 'n'. Set data.answer_column",
        ),
    ],
)
def test_unclear_columns_are_named(tmp_path: Path, row: Row, columns: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, [row], **columns)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (["How many?"], "a list"),
        ({"text": "How many?"}, "a mapping"),
        ("How many \ud83d?", "half of a character"),
    ],
)
@pytest.mark.parametrize("answer", ["5", "Five.\n#### 5"])
def test_what_is_no_text_is_no_question(tmp_path: Path, question: object, found: str, answer: str) -> None:
    rows: list[Row] = [{"question": "one?", "answer": answer}, {"question": question, "answer": answer}]
    with pytest.raises(DataError, match=f"mine.jsonl, row 2: the column 'question' holds {found}"):
        load(tmp_path, rows)


_CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
_SOLUTION = "3 + 4 = 7.\n#### 7\nThe answer is: 7"


@pytest.mark.parametrize(
    ("row", "columns", "question"),
    [
        ({"instruction": "Solve.", "input": "3 + 4", "output": _SOLUTION}, {}, "Solve.\n\n3 + 4"),
        ({"instruction": "How many?", "input": "", "output": "The answer is 7."}, {}, "How many?"),
        (
            {"query": "How many?", "response": _SOLUTION, "type": "GSM_AnsAug", "original_question": "?"},
            {},
            "How many?",
        ),
        ({"source": "amc", "problem": "How many?", "solution": r"So $\boxed{7}$.", "messages": _CHAT}, {}, "How many?"),
        ({"problem": "How many?", "solution": "By hand.", "answer": "$7$", "source": "amc"}, {}, "How many?"),
        ({"problem": "How many?", "solution": r"\boxed{7}", "answer": ""}, {}, "How many?"),
        ({"messages": [*_CHAT, {"role": "assistant", "content": _SOLUTION}]}, {}, "How many?"),
        (
            {"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "The answer is: 7"}]},
            {},
            "How many?",
        ),
        (
            {"prompt": _CHAT, "reward_model": {"style": "rule", "ground_truth": "7"}},
            {"answer_column": "reward_model.ground_truth"},
            "How many?",
        ),
        ({"question": "How many?", "answer": {"value": 7}}, {"answer_column": "answer.value"}, "How many?"),
        (
            {"a.b": "7", "q": {"text": {"en": "How many?"}}},
            {"question_column": "q.text.en", "answer_column": "a.b"},
            "How many?",
        ),
    ],
)
def test_the_forms_in_which_teachers_data_come(
    tmp_path: Path, row: Row, columns: dict[str, str], question: str
) -> None:
    problems = load(tmp_path, [row], **columns)
    assert [(p.dataset, p.question, p.answer) for p in problems] == [("mine", question, "7")]


def test_a_conversation_with_several_questions_is_no_problem(tmp_path: Path) -> None:
    more = {"messages": [*_CHAT, {"role": "assistant", "content": "7"}, {"role": "user", "content": "And now?"}]}
    problems = load(tmp_path, [{"messages": [*_CHAT, {"role": "assistant", "content": "7"}]}, more])
    assert len(problems) == 1 and problems.exclusion_counts() == {"no question": 1}


def test_a_mapping_of_answers_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"'answer' holds mappings. Set data.answer_column .*: 'answer.value', 'answer.u'"
    ):
        load(tmp_path, [{"question": "How many?", "answer": {"value": 7, "u": "cm"}}])


def test_binary_columns_are_text_in_utf8(tmp_path: Path) -> None:
    write_parquet(tmp_path / "mine.parquet", [{"question": "Café?".encode(), "answer": b"5"}])
    assert [(p.question, p.answer) for p in load_problems(str(tmp_path / "mine.parquet"))] == [("Café?", "5")]
    write_parquet(tmp_path / "mine.parquet", [{"question": "Café?".encode("latin-1"), "answer": b"5"}])
    with pytest.raises(DataError, match="row 1: the column 'question' holds bytes that are not UTF-8"):
        load_problems(str(tmp_path / "mine.parquet"))


def test_half_of_a_character_in_an_answer_is_an_exclusion_that_can_be_written_down(tmp_path: Path) -> None:
    problems = load(tmp_path, [{"question": "one?", "answer": 1}, {"question": "two?", "answer": "2\ud83d"}])
    assert [exclusion.answer for exclusion in problems.excluded] == ["2?"]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_blank_lines_of_a_table_are_skipped(tmp_path: Path, separator: str) -> None:
    lines = ["", "  ", "question,answer", " ", "a?,1", "", "b?,2", "   "]
    (tmp_path / "mine.csv").write_text("\n".join(lines).replace(",", separator))
    assert [(p.question, p.answer) for p in load_problems(str(tmp_path / "mine.csv"))] == [("a?", "1"), ("b?", "2")]


def test_every_record_is_a_problem_or_is_excluded_with_its_reason(tmp_path: Path) -> None:
    problems = load(
        tmp_path,
        [
            {"question": "one?", "answer": "1"},
            {"question": "", "answer": "1"},
            {"question": "none?", "answer": None},
            {"question": "missing?"},
            {"question": " one? ", "answer": 1.0},
            {"question": "who?", "answer": "Tom"},
            {"question": "two  or\nthree?", "answer": "2"},
            {"question": "two or three?", "answer": "3"},
            {"question": "last?", "answer": 0},
        ],
    )
    assert [(p.question, p.answer) for p in problems] == [("one?", "1"), ("last?", "0")]
    assert [(e.question, e.answer, e.reason) for e in problems.excluded] == [
        ("", "1", ExclusionReason.NO_QUESTION),
        ("none?", "", ExclusionReason.NO_ANSWER),
        ("missing?", "", ExclusionReason.NO_ANSWER),
        ("one?", "1", ExclusionReason.DUPLICATE),
        ("who?", "Tom", ExclusionReason.NOT_A_NUMBER),
        ("two  or\nthree?", "2", ExclusionReason.CONFLICT),
        ("two or three?", "3", ExclusionReason.CONFLICT),
    ]
    assert isinstance(problems.excluded[0], Exclusion)
    assert problems.exclusion_counts()["conflicting answers to the same question"] == 2


def test_a_problem_set_is_a_sequence(tmp_path: Path) -> None:
    problems = load(tmp_path, ROWS)
    assert len(problems) == 3 and problems[-1] in problems and problems[:2] == problems.problems[:2]
    assert problems[0] == Problem(
        problem_id=problem_id("mine", "How much is 1 + 1?"), dataset="mine", question="How much is 1 + 1?", answer="2"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.jsonl", '{"question": "a?", "answer": 1}\n{"question": "b', r"mine.jsonl, line 2: not valid JSON"),
        ("mine.jsonl", 'question: "a?"', "mine.jsonl, line 1: not valid JSON"),
        ("mine.jsonl", '{"question": "a?", "answer": 1}\n\n[1]\n', "mine.jsonl, line 3: found a list where an object"),
        ("mine.json", '[{"question": "a?",\n"answer"}]', "mine.json, line 2: not valid JSON"),
        ("mine.json", f'[{{"question": "a?", "answer": {"1" * 5000}}}]', "mine.json cannot .* too many digits"),
        ("mine.jsonl", f'\n{{"question": "a?", "answer": {"1" * 5000}}}', "mine.jsonl, line 2: .*too many digits"),
        ("mine.json", "[" * 100_000, "mine.json cannot be read as JSON: too many levels of nesting"),
        ("mine.jsonl", '{"answer": ' + "[" * 100_000, "mine.jsonl, line 1: .*too many levels of nesting"),
        ("mine.csv", '""', "mine.csv has no rows"),
        ("mine.json", '["a?"]', "mine.json, item 1: found a text where an object"),
        ("mine.csv", 'question,answer\n"a?",1\n"b, c?",1,2\n', "mine.csv, line 3: 3 cells where the header names 2"),
        ("mine.csv", 'question,answer\n"a?"x,1\n', "mine.csv, line 2: not valid CSV"),
        ("mine.csv", "question,answer\n", "mine.csv has no rows"),
        ("mine.jsonl", "", "mine.jsonl has no rows"),
        ("mine.json", "[]", "mine.json has no rows"),
        ("mine.txt", "a?\nb?\n", "has none of the columns 'question'"),
        ("mine.xml", "<a><b/></a>", "XML without <Problem> elements; only ASDiv.xml"),
        ("mine.xml", "<a><b></a>", "mine.xml: not valid XML"),
        ("mine.parquet", "PAR1 and then nothing", "Cannot read .*mine.parquet as Parquet"),
    ],
)
def test_unreadable_files_say_where(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load_problems(str(tmp_path / name))


def test_text_in_another_encoding_says_where(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes("question,answer\nCafé?,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"mine\.csv, line 2: not UTF-8 text"):
        load_problems(str(tmp_path / "mine.csv"))


def test_nothing_usable_shows_an_example(tmp_path: Path) -> None:
    message = r"no usable problem: answer is not a plain number \(2\) \(the first answer reads 'Tom'\)"
    with pytest.raises(DataError, match=message):
        load(tmp_path, [{"question": "who?", "answer": "Tom"}, {"question": "and who?", "answer": "Ann"}])


@pytest.mark.parametrize("path", ["/no/such/file.jsonl", "data/train.jsonl", "nothing", "./owner/name", "~/no/such"])
def test_missing_files(path: str) -> None:
    with pytest.raises(DataError, match=r"No file or directory .*owner/name:config/split"):
        load_problems(path)


def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="limit must be at least 1, but is 0"):
        load_problems(str(tmp_path), limit=0)


def test_splits_of_a_parquet_directory_are_never_mixed(tmp_path: Path) -> None:
    write_parquet(tmp_path / "copy" / "data" / "train-00000-of-00001.parquet", ROWS[:2])
    write_parquet(tmp_path / "copy" / "data" / "test-00000-of-00001.parquet", ROWS[2:])
    folder = str(tmp_path / "copy")
    assert len(load_problems(folder, split="train")) == 2
    assert len(load_problems(folder, split="test")) == 1
    with pytest.raises(DataError, match=r"several splits: 'test', 'train'\. Name one file"):
        load_problems(folder)
    with pytest.raises(DataError, match="no split 'dev'"):
        load_problems(folder, split="dev")


def test_splits_of_a_saved_dictionary(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    splits = DatasetDict({"train": Dataset.from_list(ROWS[:2]), "test": Dataset.from_list(ROWS[2:])})
    splits.save_to_disk(str(tmp_path / "mine"))
    folder = str(tmp_path / "mine")
    assert len(load_problems(folder, split="train")) == 2
    with pytest.raises(DataError, match=rf"has the splits 'train', 'test'\. Name one of them: {folder}/train\."):
        load_problems(folder)
    assert len(load_problems(f"{folder}/train")) == 2
    with pytest.raises(DataError, match="no split 'dev', but the splits"):
        load_problems(folder, split="dev")


def test_a_damaged_saved_dataset(tmp_path: Path) -> None:
    write_saved_dataset(tmp_path / "mine", ROWS)
    (tmp_path / "mine" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"Cannot load .*mine as a saved data set"):
        load_problems(str(tmp_path / "mine"))


def test_one_table_has_no_splits(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "mine.jsonl", ROWS)
    write_saved_dataset(tmp_path / "saved", ROWS)
    for name, message in (("mine.jsonl", "is one file and has no split"), ("saved", "one data set without splits")):
        with pytest.raises(DataError, match=message):
            load_problems(str(tmp_path / name), split="train")


def test_a_directory_without_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a directory without Parquet files"):
        load_problems(str(tmp_path))


def test_the_embedded_world() -> None:
    pytest.importorskip("siked_ray.world.word_problems")
    train, test = load_problems("world:train"), load_problems("world:test", limit=5)
    assert len(train) >= 1000 and len(test) == 5 and train.dataset == "world"
    with pytest.raises(DataError, match="world:train"):
        load_problems("world:nowhere")
    with pytest.raises(DataError, match="no splits"):
        load_problems("world:train", split="train")


def test_the_import_is_light() -> None:
    heavy = ("pyarrow", "pandas", "datasets", "torch", "fsspec", "ray")
    code = f"import sys, siked_ray.data; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
