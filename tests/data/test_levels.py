"""Which column says how hard a problem is."""

from pathlib import Path

import pytest

from siked_ray.data.problems import load_problems
from siked_ray.errors import DataError
from siked_ray.preflight.problem_sets import check_columns, load_problem_set, load_test_sets
from tests.conftest import write_jsonl

ASDIV = """<Machine-Reading-Corpus-File><ProblemSet>
<Problem ID="1" Grade="1"><Body>Seven and two.</Body><Question>How many?</Question><Solution-Type>Add</Solution-Type>
<Answer>9 (apples)</Answer><Formula>7+2=9</Formula></Problem>
<Problem ID="2" Grade="6"><Body>Seven less two.</Body><Question>How many?</Question><Solution-Type>Sub</Solution-Type>
<Answer>5 (apples)</Answer><Formula>7-2=5</Formula></Problem></ProblemSet></Machine-Reading-Corpus-File>"""


def rows(**columns: list) -> list[dict]:
    number = len(next(iter(columns.values())))
    own = [{name: values[index] for name, values in columns.items()} for index in range(number)]
    return [{"question": f"What is {index}?", "answer": str(index), **one} for index, one in enumerate(own)]


def levels(path: str, **options: str) -> list[str | None]:
    return [one.level for one in load_problems(path, **options)]


def test_the_authors_columns(tmp_path: Path):
    asdiv = tmp_path / "ASDiv.xml"
    asdiv.write_text(ASDIV)
    assert levels(str(asdiv)) == ["1", "6"]
    assert levels(str(asdiv), level_column="solution_type") == ["Add", "Sub"]
    of_svamp = [
        {"Body": f"A has {i}.", "Question": "How many?", "Answer": i, "Equation": "", "Type": kind}
        for i, kind in enumerate(["Addition", "Subtraction"])
    ]
    assert levels(write_jsonl(tmp_path / "SVAMP.json", of_svamp)) == ["Addition", "Subtraction"]
    of_math = [
        {"problem": f"What is {i}?", "solution": rf"\boxed{{{i}}}", "level": f"Level {i + 1}", "type": kind}
        for i, kind in enumerate(["Algebra", "Geometry"])
    ]
    math = write_jsonl(tmp_path / "math.jsonl", of_math)
    assert levels(math) == ["Level 1", "Level 2"]
    assert levels(math, level_column="type") == ["Algebra", "Geometry"]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ({"level": ["a", "a"]}, [None, None]),
        ({"Difficulty": [1, 2]}, ["1", "2"]),
        ({"level": [["x"], ["y"]]}, [None, None]),
        ({"level": ["same", "same"], "category": ["a", None]}, [None, None]),
        ({"category": ["a", "b"], "subject": ["c", "d"]}, ["a", "b"]),
    ],
)
def test_what_tells_nothing_apart_is_no_level(tmp_path: Path, column: dict, found: list):
    assert levels(write_jsonl(tmp_path / "t.jsonl", rows(**column))) == found


def test_too_many_values_are_levels_only_where_a_setting_says_so(tmp_path: Path):
    path = write_jsonl(tmp_path / "t.jsonl", rows(level=list(range(31))))
    assert set(levels(path)) == {None}
    assert len(set(levels(path, level_column="level"))) == 31


def test_a_column_that_no_data_set_has(tmp_path: Path, make_config):
    path = write_jsonl(tmp_path / "t.jsonl", rows(depth=[1, 2]))
    with pytest.raises(DataError, match="no column 'tier'"):
        load_problems(path, level_column="tier")
    config = make_config(f"data.test=[{path}]", "data.level_column=depth")
    check_columns(config)
    assert [one.level for one in load_test_sets(config)["t"]] == ["1", "2"]
    assert {one.level for one in load_problem_set(config.data.train_names[0], config)} == {None}
    with pytest.raises(DataError, match=r"data\.level_column: no data set has a column 'tier'"):
        check_columns(make_config(f"data.test=[{path}]", "data.level_column=tier"))
