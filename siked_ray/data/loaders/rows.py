"""What passes between the readers: rows as dictionaries, and the question and answer taken from a row."""

from collections.abc import Iterable
from dataclasses import dataclass

Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of one source in its order. `name` is the source's own name, `shown` what the user wrote."""

    name: str
    shown: str
    rows: list[Row]

    def columns(self) -> list[str]:
        """All column names, in order of appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


@dataclass(frozen=True, kw_only=True, slots=True)
class RawProblem:
    """Question as text and answer as it stands in the source."""

    question: str
    answer: object


def text(value: object) -> str:
    """A cell as text: stripped; empty where the cell is."""
    return "" if value is None else str(value).strip()


def quoted(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(f"'{name}'" for name in names) or "none"
