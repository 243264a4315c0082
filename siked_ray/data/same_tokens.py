"""Whether two tokenizers give the same tokens the same numbers, and where they differ."""

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from siked_ray.errors import ModelError


def tokens_differ(one: Any, other: Any) -> str | None:
    """The first difference of two tokenizers, as a sentence about the first and the second; None where a text has the
    same token ids in both. Compares what they hold, not what they are called."""
    ours, theirs = (_by_id(tokenizer) for tokenizer in (one, other))
    sizes = f"the first has {len(ours):,} tokens, the second {len(theirs):,}"
    differing = [number for number in sorted(ours.keys() | theirs.keys()) if ours.get(number) != theirs.get(number)]
    if differing:
        first = differing[0]
        names = [_shown(tokens.get(first)) for tokens in (ours, theirs)]
        return f"{sizes}; token {first} is {names[0]} in the first, {names[1]} in the second"
    for what, (mine, yours) in _rules(one, other).items():
        if mine != yours:
            return f"{sizes}, all of them the same; {what} differ: {_first_difference(mine, yours)}"
    return None


def ends_differ(one: Any, other: Any) -> tuple[int, int] | None:
    """The ids of their end-of-sequence tokens, where two tokenizers with the same tokens end differently."""
    ends = (one.eos_token_id, other.eos_token_id)
    return None if ends[0] == ends[1] else ends


def _by_id(tokenizer: Any) -> dict[int, str]:
    return {number: token for token, number in tokenizer.get_vocab().items()}


def _rules(one: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    """How texts are cut, by name, of both; nothing of tokenizers that are not the fast ones."""
    ours, theirs = _whole(one), _whole(other)
    if ours is None or theirs is None:
        return {}
    merges = {"their merges": (ours["model"].get("merges") or [], theirs["model"].get("merges") or [])}
    return merges | {f"their {part}s": (ours[part], theirs[part]) for part in ("normalizer", "pre_tokenizer")}


def _whole(tokenizer: Any) -> dict[str, Any] | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None else json.loads(backend.to_str())


def _first_difference(ours: Any, theirs: Any) -> str:
    if isinstance(ours, list) and isinstance(theirs, list):
        pairs = enumerate(zip_longest(ours, theirs))
        place, (mine, yours) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
        return f"number {place} is {mine!r} and {yours!r}"
    return f"{json.dumps(ours)[:100]} and {json.dumps(theirs)[:100]}"


def _shown(token: str | None) -> str:
    return "missing" if token is None else repr(token)


def check_same_tokenizers(base: Path, parts: Mapping[str, Path]) -> None:
    """Raises ModelError for a model directory whose tokens are not the base's; directories without a tokenizer pass."""
    from siked_ray.data.encoding import load_tokenizer

    if not _has_tokenizer(base):
        return
    ours = load_tokenizer(str(base))
    for name, folder in parts.items():
        if _has_tokenizer(folder) and (difference := tokens_differ(ours, load_tokenizer(str(folder)))):
            raise ModelError(f"{name} has other tokens than the base: {difference}. Merge models of one tokenizer.")


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer.json").exists() or (folder / "tokenizer_config.json").exists()
