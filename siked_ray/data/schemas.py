"""Columns of the Parquet tables in a run directory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS: dict[str, dict[str, str]] = {
    "problems": dict.fromkeys(("problem_id", "dataset", "split", "question", "answer"), "string"),
    "excluded": dict.fromkeys(("dataset", "question", "answer", "reason"), "string"),
    "rollouts": {
        "request_id": "string",
        "problem_id": "string",
        "requested": "string",
        "strategy": "string",
        "sample_index": "int32",
        "seed": "int64",
        "prompt": "string",
        "completion": "string",
        "num_tokens": "int32",
        "truncated": "bool",
        "verdict": "string",
        "predicted": "string",
        "reason": "string",
        "model": "string",
        "engine": "string",
        "num_prompt_tokens": "int32",
    },
    "quarantine": dict.fromkeys(("stage", "problem_id", "strategy", "reason"), "string"),
    "mixture": dict.fromkeys(("problem_id", "strategy", "source", "prompt", "response", "request_id"), "string"),
}


def table(kind: str, rows: Sequence[Any]) -> "pa.Table":
    """Rows (mappings or dataclasses) as a table with the columns of its kind, in their order."""
    import pyarrow as pa

    schema = empty_table(kind).schema
    arrays = [pa.array([_value(row, field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _value(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, dict) else getattr(row, name)


def empty_table(kind: str) -> "pa.Table":
    """A table of a kind without rows."""
    import pyarrow as pa

    types = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "bool": pa.bool_()}
    return pa.schema([(name, types[type_]) for name, type_ in _COLUMNS[kind].items()]).empty_table()
