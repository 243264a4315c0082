"""Data sets of the Hugging Face Hub by name: `owner/name[:config][/split]`, as in `openai/gsm8k:main/train`."""

import re
from dataclasses import dataclass

from siked_ray.data.loaders.rows import Row
from siked_ray.data.loaders.saved_dataset import rows_of
from siked_ray.errors import UnreachableError

_NAME = re.compile(
    r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(?::(?P<config>[\w.-]+))?(?:/(?P<split>\w+(?:\[[\w%:]+\])?))?"
)
_FILE_SUFFIX = re.compile(r"\.(?:jsonl?|csv|tsv|parquet|xml|txt|arrow)(?:\.\w+)?$", re.IGNORECASE)

#: Configurations taken where the name has none and the Hub would refuse to choose.
_DEFAULT_CONFIGS = {"openai/gsm8k": "main"}


@dataclass(frozen=True, kw_only=True, slots=True)
class HubName:
    """A data set of the Hub; None leaves the choice to the Hub, which refuses where there are several."""

    repository: str
    config: str | None
    split: str | None


def parse_hub_name(name: str) -> HubName | None:
    """The parts of a Hub name; None where the text is rather a path."""
    match = None if _FILE_SUFFIX.search(name) else _NAME.fullmatch(name)
    if match is None:
        return None
    repository = match["repository"]
    config = match["config"] or _DEFAULT_CONFIGS.get(repository)
    return HubName(repository=repository, config=config, split=match["split"])


def read_hub(name: HubName, shown: str) -> list[Row]:
    """Rows of the chosen split. Raises `DataError` without network, for unknown names and unchosen splits."""
    from datasets import load_dataset

    try:
        dataset = load_dataset(name.repository, name.config, split=name.split)
    except Exception as error:  # the network, the Hub and `datasets` fail with a dozen kinds of errors
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise UnreachableError(
            f"'{shown}' is no local file or directory, and loading it from the Hugging Face Hub failed: {reason}. "
            "Check the name (owner/name:config/split) and the network, or give the path of a local copy."
        ) from error
    return rows_of(dataset, None, shown)
