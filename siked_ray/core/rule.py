"""Rules by which a table is selected from others: SQL over tables of any size. Only figures leave the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from siked_ray.core.problem import Split


class Sql(Protocol):
    """The engine in which a rule's tables lie; they have the names under which they were given to `select`."""

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement, such as one that makes a temporary table."""

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The answer to a query for a few figures."""

    def sha256(self, query: str) -> str:
        """SHA-256 of the query's one column of texts, in its order, separated as in `core.ids.content_hash`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """What a rule selects: a query for its rows, and the figures of its stage's record."""

    query: str
    figures: Mapping[str, Any] = field(default_factory=dict)


class Rule(Protocol):
    """How the rows of a table are found."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the finished rows, all of them texts."""

    @property
    def problem_set(self) -> str:
        """The set whose problems are the table `problems`."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What makes this rule this one, as plain values for the record."""

    def apply(self, sql: Sql) -> Selected:
        """Decide what is selected. Raises UserError where nothing can be."""

    def max_rows(self, tables: Mapping[str, int]) -> int:
        """The most rows that can be selected, from the most rows that each table can have; for forecasts."""

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A finished row out of one of the query's: where texts are put together that SQL should not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlRule:
    """One query, and its rows as they are. It gives no row more often than its tables have it, in all: a rule that
    does is a class of its own, with its own `max_rows`."""

    sql: str
    columns: tuple[str, ...]
    problem_set: str = Split.TRAIN.value

    @property
    def arguments(self) -> Mapping[str, Any]:
        of_others = {} if self.problem_set == Split.TRAIN.value else {"problem_set": self.problem_set}
        return {"sql": self.sql, **of_others}

    def apply(self, sql: Sql) -> Selected:
        return Selected(query=self.sql, figures=sql.rows(f"SELECT count(*) AS rows FROM ({self.sql})")[0])

    def max_rows(self, tables: Mapping[str, int]) -> int:
        return sum(tables.values())

    def finish(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row
