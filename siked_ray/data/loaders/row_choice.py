"""A part of a source by its rows: `FILE#split=train`, `FILE#question~0-30`, several with `&`.

`COLUMN=VALUE` takes the rows that have this value. `COLUMN~FROM-TO` takes those whose value, by its hash, lies between
two percentages: parts of a data set that has no splits of its own, the same on every machine.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from siked_ray.core.ids import unit_interval
from siked_ray.data.loaders.rows import Row, cell, quoted, text
from siked_ray.errors import DataError

_CONDITION = re.compile(r"(?P<column>[\w.]+)(?:=(?P<value>[^&]*)|~(?P<low>\d+(?:\.\d+)?)-(?P<high>\d+(?:\.\d+)?))")
_FORMS = "Write FILE#column=value, or FILE#column~0-30 for 30 % of the rows by a hash of the column."


@dataclass(frozen=True, kw_only=True, slots=True)
class RowChoice:
    """Which rows of a source are taken; without conditions all of them."""

    conditions: tuple[tuple[str, Callable[[str], bool]], ...]

    def of(self, rows: list[Row], shown: str) -> list[Row]:
        """The rows, in their order. Raises DataError for a column that there is not, and where no row is left."""
        if not self.conditions:
            return rows
        for column, _ in self.conditions:
            if not any(_has(row, column) for row in rows):
                names = quoted(dict.fromkeys(name for row in rows for name in row))
                raise DataError(f"{shown}: there is no column '{column}' to select by; there are {names}.")
        taken = [row for row in rows if all(holds(text(cell(row, name))) for name, holds in self.conditions)]
        if not taken:
            raise DataError(f"{shown} selects none of the {len(rows)} rows. {_FORMS}")
        return taken


def split_choice(name: str) -> tuple[str, RowChoice]:
    """The source's own name, and what is taken of it. Raises DataError for what cannot be understood."""
    path, mark, conditions = name.partition("#")
    if not mark:
        return name, RowChoice(conditions=())
    return path, RowChoice(conditions=tuple(_conditions(conditions.split("&"), name)))


def _conditions(parts: Iterable[str], shown: str) -> Iterable[tuple[str, Callable[[str], bool]]]:
    for part in parts:
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise DataError(f"{shown}: '{part}' does not say which rows. {_FORMS}")
        yield match["column"], _equals(match["value"]) if match["low"] is None else _between(match, shown)


def _equals(value: str) -> Callable[[str], bool]:
    return lambda found: found == value.strip()


def _between(match: re.Match[str], shown: str) -> Callable[[str], bool]:
    low, high = float(match["low"]) / 100, float(match["high"]) / 100
    if not low < high <= 1:
        raise DataError(f"{shown}: {match['low']}-{match['high']} is no part of 0-100 %. {_FORMS}")
    return lambda found: low <= unit_interval("part", " ".join(found.split())) < high


def _has(row: Row, column: str) -> bool:
    return column in row or cell(row, column) is not None
