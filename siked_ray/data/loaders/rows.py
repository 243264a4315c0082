"""What passes between the readers: rows as dictionaries, and the question and answer taken from a row."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from siked_ray.errors import DataError

Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """Rows of one source in its order. `name` is the source's own name, `shown` what the user wrote."""

    name: str
    shown: str
    rows: list[Row]

    def columns(self) -> list[str]:
        """All column names, in order of appearance; those within a mapping with a dot, as in `answer.value`."""
        return list(dict.fromkeys(name for row in self.rows for name in _names(row)))


@dataclass(frozen=True, kw_only=True, slots=True)
class RawProblem:
    """Question as text and answer as it stands in the source."""

    question: str
    answer: object


def cell(row: Row, column: str) -> object:
    """The value of a column; `answer.value` is the value within the mapping `answer`. None where it is missing."""
    if column in row or "." not in column:
        return row.get(column)
    outer, _, inner = column.partition(".")
    found = row.get(outer)
    return cell(found, inner) if isinstance(found, dict) else None


def _names(row: Row, prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")


def text(value: object) -> str:
    """A cell as text: stripped; empty where the cell is. Bytes are read as UTF-8."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return "" if value is None else str(value).strip()


def check_texts(
    table: SourceTable, columns: Iterable[str], *, unless: Callable[[object], bool] = lambda value: False
) -> None:
    """Raises `DataError` for the first cell of these columns that cannot be read as text, `unless` it may be so."""
    names = tuple(columns)
    for number, row in enumerate(table.rows, start=1):
        for name in names:
            value = cell(row, name)
            found = None if unless(value) else _no_text(value)
            if found:
                raise DataError(
                    f"{table.shown}, row {number}: the column '{name}' holds {found} where text is needed. "
                    "Write it as text, or remove the row."
                )


def _no_text(value: object) -> str | None:
    """What a cell holds that cannot be read as text; None where it can."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        if isinstance(value, bytes):
            value.decode()
        elif isinstance(value, str):
            value.encode()
    except UnicodeDecodeError:
        return "bytes that are not UTF-8"
    except UnicodeEncodeError:
        return "half of a character (a lone surrogate)"
    return None


def quoted(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(f"'{name}'" for name in names) or "none"
