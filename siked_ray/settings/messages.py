"""What is wrong with settings, in sentences."""

import difflib
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError

from siked_ray.settings.run import Config


def sentences(error: ValidationError) -> list[str]:
    """A sentence per setting; what the alternatives of a setting say of its value is put together."""
    by_key: dict[str, list[Any]] = {}
    for issue in error.errors():
        by_key.setdefault(".".join(map(str, _place(issue["loc"])[0])), []).append(issue)
    return [_sentence(key, issues) for key, issues in by_key.items()]


def _sentence(key: str, issues: Sequence[Any]) -> str:
    issue = issues[0]
    if issue["type"] == "extra_forbidden":
        return f"unknown setting {key}{_suggestion(issue['loc'])}"
    if issue["type"] == "missing":
        wanted = " and ".join(f"{key}.{name}" for name in _required_keys(issue["loc"])) or key
        return f"{wanted} is required; set it in the file or as {wanted.partition(' ')[0]}=…"
    message = ", or ".join(issue["msg"].removeprefix("Value error, ") for issue in issues)
    is_of_section = issue["type"] == "value_error" and isinstance(issue["input"], dict)
    found = "" if is_of_section else f" (it is {issue['input']!r:.200})"
    return f"{key}: {message}{found}" if key else message


def _place(location: Sequence[str | int]) -> tuple[list[str | int], Any]:
    """The keys of a place in the settings, without pydantic's names for the alternatives of a type, and what is there:
    the class of a section, or the type of a value."""
    keys: list[str | int] = []
    kind: Any = Config
    for part in location:
        if _is_union(kind):  # `part` names the alternative
            kind = None
            continue
        fields = getattr(kind, "model_fields", None)
        keys.append(part)
        if fields is not None:
            kind = _without_none(fields[part].annotation) if part in fields else None
        else:
            kind = next(reversed(get_args(kind)), None)  # values of a mapping, items of a list
    return keys, kind


def _without_none(annotation: Any) -> Any:
    """What a setting holds where it holds something."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if _is_union(annotation) and len(kinds) == 1 else annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _required_keys(location: Sequence[str | int]) -> list[str]:
    fields = getattr(_place(location)[1], "model_fields", {})
    return [name for name, field in fields.items() if field.is_required()]


def _suggestion(location: Sequence[str | int]) -> str:
    known = list(getattr(_place(location[:-1])[1], "model_fields", {}))
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (known here: {', '.join(known)})" if known else ""
