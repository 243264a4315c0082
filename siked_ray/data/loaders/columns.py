"""Any other table: one column of questions and one of answers, found by their usual names."""

from collections.abc import Callable

from siked_ray.data.loaders.rows import RawProblem, Row, Table, check_texts, quoted, text
from siked_ray.errors import DataError

QUESTION_NAMES = ("question", "problem", "prompt", "input", "query")
ANSWER_NAMES = ("answer", "final_answer", "final_ans", "target", "output", "solution", "gold", "label")


def reader(table: Table, question_column: str | None, answer_column: str | None) -> Callable[[Row], RawProblem]:
    """How to read a row of the table. Raises `DataError` where a column is missing, unclear or holds no text."""
    question = find_column(table, question_column, QUESTION_NAMES, remedy="Set data.question_column to one of them")
    answer = find_column(table, answer_column, ANSWER_NAMES, remedy="Set data.answer_column to one of them")
    check_texts(table, [question])
    return lambda row: RawProblem(question=text(row.get(question)), answer=row.get(answer))


def find_column(table: Table, wanted: str | None, names: tuple[str, ...], *, remedy: str) -> str:
    """The wanted column, or the only one with one of the usual names, in any case of letters. Raises `DataError`."""
    columns = table.columns()
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise DataError(f"{table.shown} has no column '{wanted}'; it has {quoted(columns)}. {remedy}.")
    found = [column for column in columns if column.lower() in names]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{table.shown}: {quoted(found)} could all be meant. {remedy}.")
    raise DataError(f"{table.shown} has none of the columns {quoted(names)}; it has {quoted(columns)}. {remedy}.")
