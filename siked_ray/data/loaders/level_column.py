"""How hard a problem is, or of which type, by a column of its source."""

from collections.abc import Callable

from siked_ray.data.loaders.rows import Row, SourceTable, cell, quoted, text
from siked_ray.errors import DataError

#: Recognised in this order, in any case of letters: MATH has `level` and `type`, ASDiv `grade` and `solution_type`,
#: SVAMP `Type`.
NAMES = ("level", "difficulty", "grade", "category", "type", "solution_type", "subject")
#: More values than this are no levels, where no setting says that they are.
_MOST_VALUES = 30


def level_reader(table: SourceTable, column: str | None) -> Callable[[Row], str | None]:
    """A row's level: of the column that is named, else of the first with one of the usual names and between 2 and 30
    different values. Raises DataError for a named column that there is not."""
    if column is not None and column not in table.columns():
        raise DataError(
            f"{table.shown} has no column '{column}'; it has {quoted(table.columns())}. Set data.level_column to one "
            "of them, or leave it out."
        )
    found = column or _recognised(table)
    return (lambda row: text(cell(row, found)) or None) if found else lambda row: None


def _recognised(table: SourceTable) -> str | None:
    by_name = {column.lower(): column for column in table.columns() if "." not in column}
    for name in NAMES:
        values = [row.get(by_name[name]) for row in table.rows] if name in by_name else []
        plain = all(value is None or isinstance(value, str | int) for value in values)
        if plain and 2 <= len({text(value) for value in values} - {""}) <= _MOST_VALUES:
            return by_name[name]
    return None
