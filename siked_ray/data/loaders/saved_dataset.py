"""Directories written by `datasets`' `save_to_disk`: one data set, or a dictionary of splits."""

from siked_ray.data.loaders.location import Location
from siked_ray.data.loaders.rows import Row, quoted
from siked_ray.errors import DataError


def is_saved_dataset(location: Location) -> bool:
    """Whether the directory was written by `save_to_disk`."""
    return location.has_file("dataset_dict.json") or location.has_file("state.json")


def read_saved_dataset(location: Location, split: str | None) -> list[Row]:
    """Rows of the data set, or of one of its splits. Raises `DataError`."""
    from datasets import load_from_disk

    target = location.shown if "://" in location.shown else location.path
    try:
        dataset = load_from_disk(target)
    except Exception as error:  # a damaged directory fails in many ways, all of them inside `datasets`
        raise DataError(f"Cannot load {location.shown} as a saved data set: {error}. Save it again.") from error
    return rows_of(dataset, split, location.shown)


def rows_of(dataset: object, split: str | None, shown: str) -> list[Row]:
    """Rows of a `Dataset`, or of the chosen split of a `DatasetDict`. Raises `DataError` where a split is to choose."""
    from datasets import Dataset, DatasetDict

    if isinstance(dataset, DatasetDict):
        dataset = _choose(dataset, split, shown)
    elif split is not None:
        raise DataError(f"{shown} is one data set without splits. Leave `split` out.")
    assert isinstance(dataset, Dataset), f"unexpected kind of data set: {type(dataset).__name__}"
    return dataset.to_list()


def _choose(splits: object, split: str | None, shown: str) -> object:
    from datasets import DatasetDict

    assert isinstance(splits, DatasetDict)
    if split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if split in splits:
        return splits[split]
    names, first = quoted(map(str, splits)), next(iter(splits))
    wrong = "" if split is None else f"no split '{split}', but "
    raise DataError(f"{shown} has {wrong}the splits {names}. Name one of them: {shown.rstrip('/')}/{first}.")
