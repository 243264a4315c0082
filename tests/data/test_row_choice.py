"""Parts of a source by its rows, and several sources as one."""

from pathlib import Path

import pytest

from siked_ray.data.loaders.sources import read_table
from siked_ray.data.problems import load_problems
from siked_ray.errors import DataError
from siked_ray.preflight.problem_sets import load_training_set
from tests.conftest import write_jsonl


@pytest.fixture
def file(tmp_path: Path) -> str:
    rows = [
        {
            "question": f"What is {i} + 1?",
            "answer": str(i + 1),
            "split": "train" if i % 3 else "test",
            "kind": str(i % 2),
        }
        for i in range(300)
    ]
    return write_jsonl(tmp_path / "sums.jsonl", rows)


def questions(name: str) -> set[str]:
    return {str(row["question"]) for row in read_table(name).rows}


def test_rows_by_a_value(file: str) -> None:
    table = read_table(f"{file}#split=test")
    assert (table.name, len(table.rows)) == ("sums", 100)
    assert {(row["split"], row["kind"]) for row in read_table(f"{file}#split=test&kind=1").rows} == {("test", "1")}
    assert load_problems(f"{file}#split=test").dataset == "sums"


def test_parts_by_a_hash_are_disjoint_and_make_the_whole(file: str) -> None:
    parts = [questions(f"{file}#question~{low}-{high}") for low, high in ((0, 30), (30, 62.5), (62.5, 100))]
    assert sum(map(len, parts)) == 300 and set().union(*parts) == questions(file)
    assert 60 < len(parts[0]) < 120
    assert questions(f"{file}#question~0-10") < parts[0]


def test_a_file_whose_name_has_the_sign_is_itself(file: str, tmp_path: Path) -> None:
    other = tmp_path / "sums#2.jsonl"
    other.write_text(Path(file).read_text())
    assert len(read_table(str(other)).rows) == 300
    assert len(read_table(f"{other}").rows) > len(read_table(f"{file}#split=train").rows)


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("splitt=train", r"no column 'splitt' to select by; there are 'question', 'answer', 'split', 'kind'"),
        ("split=validation", r"selects none of the 300 rows"),
        ("split", r"'split' does not say which rows"),
        ("question~30-10", r"30-10 is no part of 0-100 %"),
        ("question~0-130", r"0-130 is no part"),
    ],
)
def test_what_selects_nothing_is_said(file: str, selection: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_table(f"{file}#{selection}")


def test_a_table_of_rationales_has_a_row_for_each_strategy(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {i} + 1?", "answer": str(i + 1), "strategy": strategy, "rationale": "…"}
        for i in range(4)
        for strategy in ("cot", "pot")
    ]
    problems = load_problems(write_jsonl(tmp_path / "rationales.jsonl", rows))
    assert (len(problems), problems.excluded) == (4, ())


def test_several_sets_are_learnt_from_and_no_question_twice(make_config, file: str, tmp_path: Path) -> None:
    more = write_jsonl(
        tmp_path / "more_sums.jsonl",
        [{"question": "What is  5 + 1?", "answer": "6"}, {"question": "And 7 + 7?", "answer": "14"}],
    )
    problems = load_training_set(make_config(f"data.train=[{file}#split=train, {more}]"))
    assert problems.dataset == "sums + more_sums"
    assert len(problems) == 201 and problems[-1].question == "And 7 + 7?"
    assert problems.exclusion_counts() == {"duplicate question": 1}
