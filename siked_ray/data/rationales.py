"""Rationales that exist already: GSM8K's own annotations, and files of rationales from anywhere.

They stand in for a teacher and are verified like any teacher's completions.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from siked_ray.core.problem import Problem
from siked_ray.core.strategy import split_tag
from siked_ray.data.loaders import columns, gsm8k
from siked_ray.data.loaders.gsm8k_program import NoProgram, program_of, without_annotations
from siked_ray.data.loaders.rows import Row, SourceTable, check_texts, quoted, text
from siked_ray.data.loaders.sources import read_table
from siked_ray.data.problems import judge, problems_of
from siked_ray.errors import DataError

STRATEGIES = ("cot", "l2m", "pot")
_RATIONALE_NAMES = ("rationale", "completion", "response")
_SUB_QUESTION_END = re.compile(r"\s+\*\*(?:\s+|$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatedRationale:
    """A rationale for one (problem, strategy), without the strategy's tag; nobody has verified it yet."""

    problem_id: str
    strategy: str
    rationale: str


def annotated_rationales(
    path_or_hub_name: str,
    *,
    socratic_path: str | None = None,
    split: str | None = None,
    answer_marker: str = "The answer is",
) -> list[AnnotatedRationale]:
    """The authors' solutions of a GSM8K-like file as rationales, in the order of its problems.

    `cot`: the solution without calculator marks, closed by the line "The answer is 72." (`answer_marker`).
    `pot`: its annotated steps as a program, where they make one whose value is the answer.
    `l2m`: sub-questions with their solutions, where the file itself or `socratic_path` has them.
    Raises `DataError` where a file is not in GSM8K's format.
    """
    solutions = _solutions(path_or_hub_name, split)
    socratic = solutions if socratic_path is None else _solutions(socratic_path, split)
    socratic_text = {problem.problem_id: solution for problem, solution in socratic}
    rationales: list[AnnotatedRationale] = []
    for problem, solution in solutions:
        written = _rationales(problem, solution, socratic_text.get(problem.problem_id, ""), answer_marker)
        rationales += [
            AnnotatedRationale(problem_id=problem.problem_id, strategy=strategy, rationale=rationale)
            for strategy, rationale in written.items()
            if rationale is not None
        ]
    return rationales


def _solutions(path_or_hub_name: str, split: str | None) -> list[tuple[Problem, str]]:
    table = read_table(path_or_hub_name, split)
    if not gsm8k.recognises(table):
        raise DataError(
            f"{path_or_hub_name} has no annotated solutions; it has the columns {quoted(table.columns())}. "
            "GSM8K's format is needed: question, and answer with a solution that ends in '#### 72'."
        )
    check_texts(table, ["answer"])
    left = {problem.problem_id for problem in problems_of(table)}
    solutions: list[tuple[Problem, str]] = []
    for row in table.rows:
        problem = judge(gsm8k.DATASET, gsm8k.read(row))
        if isinstance(problem, Problem) and problem.problem_id in left:
            left.remove(problem.problem_id)
            solutions.append((problem, text(row.get("answer"))))
    return solutions


def _rationales(problem: Problem, solution: str, socratic: str, answer_marker: str) -> Mapping[str, str | None]:
    final_line = f"{answer_marker} {problem.answer}."
    return {
        "cot": _closed(_plain_lines(solution), final_line),
        "l2m": _closed([f"{question} {answer}" for question, answer in _socratic_steps(socratic)], final_line),
        "pot": _program(problem, solution),
    }


def _plain_lines(solution: str) -> list[str]:
    return [answer for _, answer in _socratic_steps(solution)] or _lines(solution)


def _socratic_steps(solution: str) -> list[tuple[str, str]]:
    """(sub-question, solution) of lines `question ** solution`; nothing where the lines are not in this form.

    The authors left a few sub-questions without a solution (and solved them in the next line): those are dropped.
    """
    steps = [_SUB_QUESTION_END.split(line, maxsplit=1) for line in _lines(solution)]
    if not all(len(step) == 2 for step in steps):
        return []
    return [(question, answer) for question, answer in steps if answer]


def _lines(solution: str) -> list[str]:
    """Lines before the final `#### …`, without calculator marks."""
    lines = without_annotations(solution.rpartition(gsm8k.MARKER)[0]).split("\n")
    return [line.strip() for line in lines if line.strip()]


def _closed(lines: list[str], final_line: str) -> str | None:
    return "\n".join([*lines, final_line]) if lines else None


def _program(problem: Problem, solution: str) -> str | None:
    try:
        return program_of(problem.question, solution, problem.answer)
    except NoProgram:
        return None


def existing_rationales(
    path_or_hub_name: str,
    problems: Iterable[Problem],
    *,
    split: str | None = None,
    strategies: Iterable[str] = STRATEGIES,
) -> list[AnnotatedRationale]:
    """Rationales of a table for these problems, in its order.

    Reads {problem_id or question, strategy, rationale | completion | response}; a leading tag `[cot]:` is taken off.
    Where both are there, a row whose id is not one of the problems' is told by its question. Rows of other problems
    and rows without a text are passed over. Raises `DataError` for a missing column, an unknown strategy, and where
    no row belongs to the problems.
    """
    table = read_table(path_or_hub_name, split)
    remedy = "Rename a column"
    strategy_column = columns.find_column(table, None, ("strategy",), remedy=remedy)
    rationale_column = columns.find_column(table, None, _RATIONALE_NAMES, remedy=remedy)
    check_texts(table, [rationale_column])
    find_id = _problem_finder(table, problems)
    known = tuple(strategies)
    rationales: list[AnnotatedRationale] = []
    for number, row in enumerate(table.rows, start=1):
        strategy = _known_strategy(row, strategy_column, known, f"{table.shown}, row {number}")
        problem_id, rationale = find_id(row), _untagged(text(row.get(rationale_column)), strategy)
        if problem_id is not None and rationale:
            rationales.append(AnnotatedRationale(problem_id=problem_id, strategy=strategy, rationale=rationale))
    if not rationales:
        raise DataError(
            f"None of the {len(table.rows)} rows of {table.shown} belongs to a problem of the training data. "
            "Their questions (or problem ids) have to be those of data.train."
        )
    return rationales


def _problem_finder(table: SourceTable, problems: Iterable[Problem]) -> Callable[[Row], str | None]:
    by_question = {_folded(problem.question): problem.problem_id for problem in problems}
    ids = set(by_question.values())
    names = table.columns()
    if "problem_id" in names and "question" not in map(str.lower, names):
        return lambda row: found if (found := text(row.get("problem_id"))) in ids else None
    column = columns.find_column(table, None, ("question",), remedy="Name the problem by problem_id or by question")

    def find(row: Row) -> str | None:
        found = text(row.get("problem_id"))
        return found if found in ids else by_question.get(_folded(text(row.get(column))))

    return find


def _folded(question: str) -> str:
    return " ".join(question.split())


def _known_strategy(row: Row, column: str, known: tuple[str, ...], where: str) -> str:
    strategy = text(row.get(column))
    if strategy not in known:
        raise DataError(f"{where}: unknown strategy '{strategy}'. Use one of {quoted(known)}.")
    return strategy


def _untagged(rationale: str, strategy: str) -> str:
    tag, rest = split_tag(rationale)
    return rest.strip() if tag == strategy else rationale
