"""Any other table: one column of questions and one of answers, found by their usual names."""

from collections.abc import Callable

from siked_ray.data.loaders import chat
from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, cell, check_texts, quoted, text
from siked_ray.errors import DataError

QUESTION_NAMES = ("question", "problem", "prompt", "input", "query")
ANSWER_NAMES = ("answer", "final_answer", "final_ans", "target", "output", "solution", "gold", "label")


def reader(table: SourceTable, question_column: str | None, answer_column: str | None) -> Callable[[Row], RawProblem]:
    """How to read a row of the table. Raises `DataError` where a column is missing, unclear or holds no text.

    A question may be a conversation of one question; a column within a mapping is named with a dot (`answer.value`).
    """
    question = find_column(table, question_column, QUESTION_NAMES, remedy="Set data.question_column to one of them")
    answer = find_column(table, answer_column, ANSWER_NAMES, remedy="Set data.answer_column to one of them")
    _check_no_mapping(table, answer)
    check_texts(table, [question], unless=chat.is_chat)
    return lambda row: RawProblem(question=_question(cell(row, question)), answer=cell(row, answer))


def _question(value: object) -> str:
    return chat.question_in(value) if chat.is_chat(value) else text(value)


def _check_no_mapping(table: SourceTable, column: str) -> None:
    within = [name for name in table.columns() if name.startswith(f"{column}.")]
    if within:
        raise DataError(
            f"{table.shown}: the column '{column}' holds mappings. "
            f"Set data.answer_column to what is the answer in them: {quoted(within)}."
        )


def find_column(table: SourceTable, wanted: str | None, names: tuple[str, ...], *, remedy: str) -> str:
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
