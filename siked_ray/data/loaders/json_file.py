"""JSON lines and JSON lists of objects."""

import json

from siked_ray.data.loaders.rows import Row
from siked_ray.errors import DataError


def read_json_list(content: str, shown: str) -> list[Row]:
    """Rows of `[{…}, …]`. Raises `DataError` with the line of the first error."""
    try:
        values = json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(f"{shown}, line {error.lineno}: not valid JSON ({error.msg}). Repair the file.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown} cannot be read as JSON: {_limit(error)}. Repair the file.") from error
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise DataError(f"{shown}, item {number}: found {_kind(value)} where an object with columns is needed.")
    return values


def read_json_lines(content: str, shown: str) -> list[Row]:
    """Rows of one object per line; blank lines are skipped. Raises `DataError` with the line of the first error."""
    rows: list[Row] = []
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            rows.append(_read_line(line, shown, number))
    return rows


def _read_line(line: str, shown: str, number: int) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else _limit(error)
        raise DataError(
            f"{shown}, line {number}: not valid JSON ({reason}). "
            "Repair or remove the line; one JSON object per line is needed."
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{shown}, line {number}: found {_kind(value)} where an object with columns is needed.")
    return value


def _limit(error: ValueError | RecursionError) -> str:
    """What Python's JSON reader refuses although the format allows it."""
    return "too many levels of nesting" if isinstance(error, RecursionError) else "a number with too many digits"


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", type(None): "null", bool: "a truth value"}.get(type(value), "a number")
