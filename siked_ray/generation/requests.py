"""Which asks of a sampling stage are still missing, and their rows out of the tables.

The driver looks at ids only and says which rows are wanted; tasks read the questions and lay the rows out.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siked_ray.core.asks import Asks, ask_id
from siked_ray.data.storage import Storage
from siked_ray.generation.task import RowKey

if TYPE_CHECKING:
    import pyarrow as pa

_PROBLEM = ["problem_id", "question", "answer"]
_ASK = ["problem_id", "requested", "context"]

#: A Parquet file and the index of one of its row groups.
RowGroup = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestBlock:
    """Asks out of one row group: of a problem table, each problem with each of what is requested, or of a table of
    asks, whose problems then lie in the row groups `problems`. `wanted` are positions among them, None is all."""

    source: RowGroup
    num_rows: int
    wanted: tuple[int, ...] | None
    problems: tuple[RowGroup, ...] = ()

    def __len__(self) -> int:
        return self.num_rows


def missing_requests(storage: Storage, asks: Asks, finished: Set[RowKey]) -> tuple[list[RequestBlock], int]:
    """The asks that are not finished, and how many there are with those; each ask counts once."""
    if asks.table is None:
        return _of_problems(storage, asks, finished)
    return _of_table(storage, asks, asks.table, finished)


def lay_out(storage: Storage, asks: Asks, block: RequestBlock) -> "pa.Table":
    """The rows {problem_id, question, answer, requested, context, ask_id} of a block; what is asked of a problem side
    by side, as it shares a prompt."""
    import pyarrow as pa

    name, row_group = block.source
    if asks.table is None:
        source = storage.read_row_group(name, row_group, _PROBLEM)
        rows = _times(source, asks.requested, block.wanted)
    else:
        source = storage.read_row_group(name, row_group, _ASK)
        source = source if block.wanted is None else source.take(pa.array(block.wanted, pa.int64()))
        rows = _joined(storage, source, block.problems)
    ids = map(ask_id, rows["requested"].to_pylist(), rows["context"].to_pylist())
    return rows.append_column("ask_id", pa.array(list(ids), pa.string()))


def _of_problems(storage: Storage, asks: Asks, finished: Set[RowKey]) -> tuple[list[RequestBlock], int]:
    blocks: list[RequestBlock] = []
    seen: set[str] = set()
    names = [(requested, ask_id(requested)) for requested in asks.requested]
    for table, row_group, problems in _problem_ids(storage, asks):
        wanted: list[int] = []
        for index, problem in enumerate(problems):
            if problem not in seen:
                seen.add(problem)
                first = index * len(names)
                wanted += [first + j for j, (_, name) in enumerate(names) if (problem, name) not in finished]
        _append(blocks, (table, row_group), wanted, len(problems) * len(names))
    return blocks, len(seen) * len(names)


def _of_table(storage: Storage, asks: Asks, table: str, finished: Set[RowKey]) -> tuple[list[RequestBlock], int]:
    homes: dict[str, RowGroup] = {}
    for name, row_group, problems in _problem_ids(storage, asks):
        home = (name, row_group)
        for problem in problems:
            homes.setdefault(problem, home)
    blocks: list[RequestBlock] = []
    seen: set[RowKey] = set()
    for row_group, num_rows in enumerate(storage.row_group_sizes(table)):
        rows = storage.read_row_group(table, row_group, _ASK).to_pylist()
        wanted: list[int] = []
        needed: set[RowGroup] = set()
        for index, row in enumerate(rows):
            key = (row["problem_id"], ask_id(row["requested"], row["context"]))
            if key in seen or key[0] not in homes:
                continue
            seen.add(key)
            if key not in finished:
                wanted.append(index)
                needed.add(homes[key[0]])
        _append(blocks, (table, row_group), wanted, num_rows, tuple(sorted(needed)))
    return blocks, len(seen)


def _problem_ids(storage: Storage, asks: Asks) -> Iterator[tuple[str, int, list[str]]]:
    for table in asks.problems:
        for row_group, problems in enumerate(storage.row_groups(table, "problem_id")):
            yield table, row_group, problems


def _append(
    blocks: list[RequestBlock],
    source: RowGroup,
    wanted: Sequence[int],
    num_possible: int,
    problems: tuple[RowGroup, ...] = (),
) -> None:
    if wanted:
        positions = None if len(wanted) == num_possible else tuple(wanted)
        blocks.append(RequestBlock(source=source, num_rows=len(wanted), wanted=positions, problems=problems))


def _times(problems: "pa.Table", requested: Sequence[str], wanted: Sequence[int] | None) -> "pa.Table":
    """Problems with what is requested of each; positions count problem by problem."""
    import numpy as np
    import pyarrow as pa

    num_rows = problems.num_rows * len(requested)
    positions = np.arange(num_rows) if wanted is None else np.array(wanted, dtype=np.int64)
    names = pa.array(list(requested), pa.string()).take(pa.array(positions % len(requested)))
    rows = problems.take(pa.array(positions // len(requested)))
    return rows.append_column("requested", names).append_column("context", pa.nulls(len(names), pa.string()))


def _joined(storage: Storage, asks: "pa.Table", problems: Sequence[RowGroup]) -> "pa.Table":
    """Asks with the questions and answers of their problems."""
    import pyarrow as pa

    known: dict[str, dict[str, str]] = {}
    for name, row_group in problems:
        for row in storage.read_row_group(name, row_group, _PROBLEM).to_pylist():
            known.setdefault(row["problem_id"], row)
    own = [known[problem] for problem in asks["problem_id"].to_pylist()]
    columns = {name: pa.array([row[name] for row in own], pa.string()) for name in _PROBLEM}
    return pa.table(columns | {name: asks[name] for name in ("requested", "context")})
