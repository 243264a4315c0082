"""A student with its model card: into its directory, and to the Hub."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError, DataError, UnreachableError
from siked_ray.report.model_card import model_card
from siked_ray.report.view import recipe_title
from siked_ray.report.what_if import read_config

_CARD = "README.md"


def write_model_card(storage: Storage, iteration: int) -> None:
    """Write the card of an iteration's student into its directory."""
    storage.write_text(f"{names.student(iteration)}/{_CARD}", _card(storage, iteration))


def push_student(run_dir: str, repository: str, *, iteration: int | None, private: bool) -> str:
    """Upload a student (default: the best one) with its card to a model repository; returns its address.

    The repository is made where there is none. Raises DataError, ConfigError or UnreachableError.
    """
    storage = Storage(run_dir)
    made_by = recipe_title(read_config(storage).recipe)
    number = chosen_iteration(storage, iteration)
    with _local_folder(storage, number) as folder:
        (folder / _CARD).write_text(_card(storage, number), encoding="utf-8")
        return _upload(folder, repository, private, f"{made_by} student of iteration {number}")


def chosen_iteration(storage: Storage, iteration: int | None) -> int:
    """The iteration that a user names, else the best one; DataError where it has no student."""
    best = storage.read_json(names.SUMMARY)["best_iteration"] if storage.exists(names.SUMMARY) else None
    number = best if iteration is None else iteration
    if number is None:
        raise DataError(f"{storage.root} has decided on no best iteration yet; name one with --iteration.")
    if not storage.exists(f"{names.student(number)}/config.json"):
        raise DataError(f"{storage.root} has no student of iteration {number}; choose one that was trained.")
    return int(number)


def _card(storage: Storage, iteration: int) -> str:
    return model_card(storage.read_json(names.SUMMARY), read_config(storage).model_dump(mode="json"), iteration)


@contextmanager
def _local_folder(storage: Storage, iteration: int) -> Iterator[Path]:
    """A copy of the student's directory that can be added to; weights are linked where they lie on this machine."""
    with tempfile.TemporaryDirectory(prefix="siked-push-") as scratch:
        copy = Storage(scratch)
        for name in storage.files(names.student(iteration)):
            copy.link(storage, name)
        folder = Path(scratch) / names.student(iteration)
        card = folder / _CARD
        if card.exists():
            card.unlink()  # it may be a link to the run's own
        yield folder


def _upload(folder: Path, repository: str, private: bool, message: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalTokenNotFoundError

    api = HfApi()
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=address.repo_id, folder_path=folder, commit_message=message)
    except (HFValidationError, LocalTokenNotFoundError) as error:
        raise ConfigError(f"Cannot push to {repository}: {_first_line(error)}") from None
    except HfHubHTTPError as error:
        remedy = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"
        raise ConfigError(f"The Hub refused {repository}: {_first_line(error)}; {remedy}.") from None
    except HTTPError as error:
        raise UnreachableError(f"The Hub at {api.endpoint} cannot be reached ({_first_line(error)}).") from None
    return str(address)


def _first_line(error: Any) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
