from dataclasses import fields

import pytest

from siked_ray.core.rollout import Rollout
from siked_ray.data.schemas import empty_table, table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import attach, rows, sql_engine
from siked_ray.errors import DataError


def test_files_are_one_table_and_no_files_an_empty_one(tmp_path):
    storage = Storage(str(tmp_path))
    for number in range(3):
        row = {"problem_id": f"p{number}", "dataset": "d", "split": "train", "question": "?", "answer": str(number)}
        storage.write_parquet(f"problems/part-{number}.parquet", table("problems", [row]))
    with sql_engine() as connection:
        attach(connection, storage, "problems", {"three": storage.files("problems"), "no_rows": []})
        assert rows(connection, "SELECT answer FROM three WHERE problem_id <> ? ORDER BY answer", ["p1"]) == [
            {"answer": "0"},
            {"answer": "2"},
        ]
        assert rows(connection, "SELECT count(*) AS n FROM no_rows") == [{"n": 0}]


def test_a_column_that_an_older_file_lacks_is_null(tmp_path):
    storage = Storage(str(tmp_path))
    quarantined = [{"stage": "s", "problem_id": "p", "strategy": "cot", "reason": "r", "ask_id": "cot"}]
    storage.write_parquet("q.parquet", table("quarantine", quarantined).drop_columns("reason"))
    with sql_engine() as connection:
        attach(connection, storage, "quarantine", {"q": ["q.parquet"]})
        assert rows(connection, "SELECT problem_id, reason FROM q") == [{"problem_id": "p", "reason": None}]


def test_every_field_of_a_rollout_is_a_column():
    stored = {field.name: str(field.type) for field in empty_table("rollouts").schema}
    assert list(stored) == [field.name for field in fields(Rollout)]
    assert {stored[name] for name in ("request_id", "verdict", "predicted", "ask_id")} == {"string"}
    assert [stored[name] for name in ("sample_index", "seed", "truncated")] == ["int32", "int64", "bool"]


def test_a_table_that_was_cut_short_is_named(tmp_path):
    storage = Storage(str(tmp_path))
    quarantined = [{"stage": "s", "problem_id": "p", "strategy": "cot", "reason": "r", "ask_id": "cot"}]
    storage.write_parquet("q.parquet", table("quarantine", quarantined))
    storage.write_bytes("q.parquet", storage.read_bytes("q.parquet")[:100])
    with pytest.raises(DataError, match=r"q\.parquet.* Restore it from a copy"), sql_engine() as connection:
        attach(connection, storage, "quarantine", {"q": ["q.parquet"]})
        rows(connection, "SELECT * FROM q")


def test_engines_share_nothing(tmp_path):
    with sql_engine() as first, sql_engine() as second:
        first.execute("CREATE TABLE t AS SELECT 1 AS x")
        assert rows(second, "SELECT count(*) AS n FROM duckdb_tables()") == [{"n": 0}]


def test_batches_are_written_as_one_file(tmp_path):
    import pyarrow as pa

    storage = Storage(str(tmp_path))
    whole = table(
        "quarantine",
        [dict.fromkeys(("problem_id", "strategy", "reason", "ask_id"), "") | {"stage": str(i)} for i in range(5)],
    )
    reader = pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=2))
    assert storage.write_parquet_batches("folder/one.parquet", reader) == 5
    assert storage.read_parquet("folder/one.parquet").equals(whole)
    assert storage.files("folder") == ["folder/one.parquet"]
