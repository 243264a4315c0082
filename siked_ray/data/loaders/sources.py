"""From a path, URL or Hub name to rows, whatever the container; containers are told by content, not by file name."""

import re

from siked_ray.data.loaders.asdiv import read_xml
from siked_ray.data.loaders.csv_file import read_csv
from siked_ray.data.loaders.hub import HubName, parse_hub_name, read_hub
from siked_ray.data.loaders.json_file import read_json_lines, read_json_list
from siked_ray.data.loaders.location import Location, locate
from siked_ray.data.loaders.parquet_file import read_parquet, read_parquet_directory
from siked_ray.data.loaders.row_choice import split_choice
from siked_ray.data.loaders.rows import Row, SourceTable
from siked_ray.data.loaders.saved_dataset import is_saved_dataset, read_saved_dataset
from siked_ray.errors import DataError

_JSON_SUFFIX = re.compile(r"\.jsonl?(?:\.\w+)?$", re.IGNORECASE)


def read_table(path_or_hub_name: str, split: str | None = None) -> SourceTable:
    """All rows of a source, in its order.

    What exists as a path is read as one, even if it could be a Hub name. `NAME#split=train` takes a part of the rows
    (`siked_ray.data.loaders.row_choice`). Raises `DataError` for what is missing, unreadable or empty, and for a
    `split` of something that has none.
    """
    location = locate(path_or_hub_name)
    if "#" in path_or_hub_name and not location.exists():
        return _selected(path_or_hub_name, split)
    hub_name = parse_hub_name(path_or_hub_name)
    if location.exists():
        table = SourceTable(name=location.stem, shown=path_or_hub_name, rows=_read_location(location, split))
    elif hub_name is not None:
        name = _with_split(hub_name, split, path_or_hub_name)
        rows = read_hub(name, path_or_hub_name)
        table = SourceTable(name=name.repository.split("/")[1], shown=path_or_hub_name, rows=rows)
    else:
        raise DataError(
            f"No file or directory {path_or_hub_name}. Give a path, a URL, or the name of a data set "
            "on the Hugging Face Hub as owner/name:config/split."
        )
    if not table.rows:
        raise DataError(f"{path_or_hub_name} has no rows. Check that it is the right file and that it is complete.")
    return table


def _selected(shown: str, split: str | None) -> SourceTable:
    name, choice = split_choice(shown)
    table = read_table(name, split)
    return SourceTable(name=table.name, shown=shown, rows=choice.of(table.rows, shown))


def _with_split(name: HubName, split: str | None, shown: str) -> HubName:
    if split and name.split and split != name.split:
        raise DataError(f"{shown} names the split '{name.split}', but `split` is '{split}'. Leave one of them out.")
    return HubName(repository=name.repository, config=name.config, split=split or name.split)


def _read_location(location: Location, split: str | None) -> list[Row]:
    if location.is_directory():
        if is_saved_dataset(location):
            return read_saved_dataset(location, split)
        return read_parquet_directory(location, split)
    if split is not None:
        raise DataError(f"{location.shown} is one file and has no split '{split}'. Leave `split` out.")
    return _read_file(location)


def _read_file(location: Location) -> list[Row]:
    if location.first_bytes(4) == b"PAR1":
        return read_parquet(location)
    content = location.read_bytes()
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return read_xml(content, location.shown)
    return _read_text(_decode(content, location.shown), location)


def _read_text(content: str, location: Location) -> list[Row]:
    if not content.strip():
        return []
    if content.lstrip().startswith("["):
        return read_json_list(content, location.shown)
    if content.lstrip().startswith("{") or _JSON_SUFFIX.search(location.path):
        return read_json_lines(content, location.shown)
    return read_csv(content, location.shown)


def _decode(content: bytes, shown: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{shown}, line {line}: not UTF-8 text. Convert the file to UTF-8.") from error
