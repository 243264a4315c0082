"""Credentials have no place in settings, ledgers, logs and reports: they come from the environment.

What looks like one is refused where settings are read, and blanked where a foreign message is passed on.
"""

import re
from collections.abc import Iterator
from typing import Any

_REDACTED = "***"
#: Each with the secret as its only group.
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\w[\w+.-]*://[^/\s@:]*:([^/\s@]+)@",  # scheme://user:password@host
        r"(?i)[?&;](?:[\w-]*(?:secret|password|token|api[_-]?key|access[_-]?key|signature)[\w-]*)=([^&\s]+)",
        r"\b((?:AKIA|ASIA)[A-Z0-9]{16})\b",  # an access key of AWS
        r"\b(hf_[A-Za-z0-9]{20,})\b",  # a token of the Hugging Face Hub
        r"\b(sk-[A-Za-z0-9_-]{20,})",  # a key of an OpenAI-compatible endpoint
        r"\b(gh[pousr]_[A-Za-z0-9]{30,})\b",  # a token of GitHub
    )
)


def holds_credentials(text: str) -> bool:
    """True when a text holds what looks like a password, key or token."""
    return any(pattern.search(text) for pattern in _PATTERNS)


def redacted(text: str) -> str:
    """The text with what looks like a credential blanked."""
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: match[0].replace(match[1], _REDACTED), text)
    return text


def keys_with_credentials(values: Any, prefix: str = "") -> Iterator[str]:
    """`key.path` of every text in nested settings that holds what looks like a credential."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from keys_with_credentials(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(values, list | tuple):
        for index, value in enumerate(values):
            yield from keys_with_credentials(value, f"{prefix}.{index}")
    elif isinstance(values, str) and holds_credentials(values):
        yield prefix
