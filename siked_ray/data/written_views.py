"""Annotations of data sets as views, by name: what their authors wrote beside each question.

`cot`, `l2m`, `pot`: solutions, sub-questions and programs of GSM8K (`siked_ray.data.rationales`) and of the world.
`equation`: GSM8K's marks, a line each, and the equation of SVAMP and MultiArith. `formula`: ASDiv's, as it is.
`operators`: a list such as MathQA's. None of them is checked here.
"""

import re
from collections.abc import Mapping

from siked_ray.core.problem import Problem
from siked_ray.data.loaders import asdiv, gsm8k, mathqa, multiarith, svamp
from siked_ray.data.loaders.gsm8k_program import annotations
from siked_ray.data.loaders.rows import Row, SourceTable, quoted, text
from siked_ray.data.loaders.sources import read_table
from siked_ray.data.problems import judge, load_problems, problems_of
from siked_ray.data.rationales import annotated_rationales
from siked_ray.errors import DataError

#: A problem, and its rationales by view.
Views = tuple[Problem, Mapping[str, str]]
_WORLD = "world:"
#: Floats of JSON files: `76.0` was written for 76.
_WHOLE = re.compile(r"(?<![\d.])(\d+)\.0(?!\d)")
_UNKNOWN = re.compile(r"\s*[A-Za-z]\s*=\s*")


def written_views(path_or_hub_name: str, *, socratic_path: str | None = None) -> list[Views]:
    """The views of each problem of a data set, in its order; problems without any are left out.

    Raises `DataError` where a data set has no annotations of a known kind.
    """
    if path_or_hub_name.startswith(_WORLD):
        return _of_world(path_or_hub_name)
    table = read_table(path_or_hub_name)
    if gsm8k.recognises(table):
        return _of_gsm8k(path_or_hub_name, table, socratic_path)
    found: list[Views] = [
        (problem, views) for problem, row in _problems_with_rows(table) if (views := _of_row(problem, row))
    ]
    if not found:
        raise DataError(
            f"{path_or_hub_name} has no annotated solutions; it has the columns {quoted(table.columns())}. "
            "Annotations are read from GSM8K's format (question, and answer with a solution that ends in '#### 72'), "
            "from the equations of SVAMP and MultiArith, from the formulas of ASDiv, and from a column "
            "'linear_formula' as MathQA has it."
        )
    return found


def _of_world(name: str) -> list[Views]:
    from siked_ray.world.word_problems import world_problems

    problems = load_problems(name)
    return [(problem, one.rationales) for problem, one in zip(problems, world_problems(name), strict=True)]


def _of_gsm8k(name: str, table: SourceTable, socratic_path: str | None) -> list[Views]:
    written: dict[str, dict[str, str]] = {}
    for one in annotated_rationales(name, socratic_path=socratic_path):
        written.setdefault(one.problem_id, {})[one.strategy] = one.rationale
    for problem, row in _problems_with_rows(table):
        if marks := annotations(text(row.get("answer"))):
            written.setdefault(problem.problem_id, {})["equation"] = "\n".join(marks)
    return [(problem, written[problem.problem_id]) for problem in problems_of(table) if problem.problem_id in written]


def _problems_with_rows(table: SourceTable) -> list[tuple[Problem, Row]]:
    """Each problem with the first row that it is in."""
    problem_set = problems_of(table)
    layout = next((one for one in (gsm8k, svamp, asdiv, multiarith, mathqa) if one.recognises(table)), None)
    if layout is None:
        return _by_question(table, list(problem_set))
    rows: dict[str, Row] = {}
    for row in table.rows:
        found = judge(problem_set.dataset, layout.read(row))
        if isinstance(found, Problem):
            rows.setdefault(found.problem_id, row)
    return [(problem, rows[problem.problem_id]) for problem in problem_set]


def _by_question(table: SourceTable, problems: list[Problem]) -> list[tuple[Problem, Row]]:
    """Of a table of any layout: a row is told by the cell that is the question."""
    rows: dict[str, Row] = {}
    for row in table.rows if mathqa.FORMULA in table.columns() else ():
        for value in row.values():
            if isinstance(value, str):
                rows.setdefault(value.strip(), row)
    return [(problem, rows[problem.question]) for problem in problems if problem.question in rows]


def _of_row(problem: Problem, row: Row) -> dict[str, str]:
    equations = row.get("lEquations")
    equation = equations[0] if isinstance(equations, list) and equations else row.get("Equation")
    views = {
        "equation": _plain(text(equation)),
        "formula": text(row.get("formula")),
        "operators": mathqa.operators(problem.question, text(row.get(mathqa.FORMULA))),
    }
    return {name: written for name, written in views.items() if written}


def _plain(equation: str) -> str:
    """`X=((32.0+42.0)-35.0)` → `((32+42)-35)`: without the unknown and the zeros of a float."""
    return _WHOLE.sub(r"\1", _UNKNOWN.sub("", equation, count=1)).strip()
