"""Columns of the Parquet tables in a run directory."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_type_hints

from siked_ray.core.margin import Margin
from siked_ray.core.reasoning import Steps
from siked_ray.core.rollout import Long, Rollout, RolloutWithMargin
from siked_ray.core.verdict import Verdict

if TYPE_CHECKING:
    import pyarrow as pa

#: What a field of a record is stored as.
_STORED: dict[Any, str] = {
    str: "string",
    str | None: "string",
    Verdict: "string",
    int: "int32",
    Long: "int64",
    bool: "bool",
    bool | None: "bool",
    float | None: "float32",
    Steps | None: "steps",
}


def _columns_of(record: type) -> dict[str, str]:
    return {name: _STORED[hint] for name, hint in get_type_hints(record, include_extras=True).items()}


_COLUMNS: dict[str, dict[str, str]] = {
    "problems": dict.fromkeys(("problem_id", "dataset", "split", "question", "answer", "level"), "string"),
    "excluded": dict.fromkeys(("dataset", "question", "answer", "reason", "test_set", "test_question"), "string"),
    "asks": dict.fromkeys(("problem_id", "requested", "context"), "string"),
    "rollouts": _columns_of(Rollout),
    "rollouts_with_margin": _columns_of(RolloutWithMargin),
    "quarantine": dict.fromkeys(("stage", "problem_id", "strategy", "reason", "ask_id"), "string"),
    "mixture": dict.fromkeys(("problem_id", "strategy", "source", "prompt", "response", "request_id"), "string"),
}
#: Columns that a row may lack.
_OPTIONAL = {"level"}


def kind_of_rollouts(margin: Margin | None) -> str:
    """The kind of a stage's rollouts, which may say how sure the model was."""
    return "rollouts" if margin is None else "rollouts_with_margin"


def table(kind: str, rows: Sequence[Any]) -> "pa.Table":
    """Rows (mappings or dataclasses) as a table with the columns of its kind, in their order."""
    import pyarrow as pa

    schema = empty_table(kind).schema
    arrays = [pa.array([_value(row, field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _value(row: Any, name: str) -> Any:
    if isinstance(row, dict):
        return row.get(name) if name in _OPTIONAL else row[name]
    value = getattr(row, name)
    return asdict(value) if isinstance(value, Steps) else value


def empty_table(kind: str) -> "pa.Table":
    """A table of a kind without rows."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "float32": pa.float32(),
        "steps": pa.struct([("stated", pa.int32()), ("true", pa.int32()), ("reaches_answer", pa.bool_())]),
    }
    return pa.schema([(name, types[type_]) for name, type_ in _COLUMNS[kind].items()]).empty_table()
