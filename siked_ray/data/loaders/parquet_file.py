"""Parquet files, and directories of them."""

import re

from siked_ray.data.loaders.location import Location
from siked_ray.data.loaders.rows import Row, quoted
from siked_ray.errors import DataError

_SPLIT_OF_FILE = re.compile(r"(train|validation|valid|dev|test)(?=[-_./]|$)")


def read_parquet(location: Location) -> list[Row]:
    """Rows of one file. Raises `DataError` where it is not Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with location.filesystem.open_input_file(location.path) as file:
            return pq.read_table(file).to_pylist()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read {location.shown} as Parquet: {error}. Write the file again.") from error


def read_parquet_directory(location: Location, split: str | None) -> list[Row]:
    """Rows of all files in order of their paths.

    Files named after splits, as in a copy of a Hub repository (`train-00000-of-00001.parquet`, `test/0.parquet`), are
    never mixed: test problems must not be trained on by accident. Raises `DataError` where a split has to be chosen.
    """
    files = location.files(suffix=".parquet")
    if not files:
        raise DataError(f"{location.shown} is a directory without Parquet files. Name a file or another directory.")
    by_split: dict[str | None, list[Location]] = {}
    for file in files:
        by_split.setdefault(_split_of(file.path[len(location.path) :].lstrip("/")), []).append(file)
    chosen = _choose_split(by_split, split, location.shown)
    return [row for file in chosen for row in read_parquet(file)]


def _split_of(relative_path: str) -> str | None:
    names = (_SPLIT_OF_FILE.match(part) for part in relative_path.split("/"))
    return next((name.group(1) for name in names if name), None)


def _choose_split(by_split: dict[str | None, list[Location]], split: str | None, shown: str) -> list[Location]:
    if split is None and len(by_split) == 1:
        return next(iter(by_split.values()))
    if split in by_split and split is not None:
        return by_split[split]
    names = quoted(str(name) for name in by_split if name)
    if split is None:
        raise DataError(f"{shown} holds several splits: {names}. Name one file, or the folder of one split.")
    raise DataError(f"{shown} has no split '{split}' (found: {names}). Choose one of those, or leave `split` out.")
