"""Fingerprints: what a stage's result depends on, as a short text."""

import json
from typing import Any

from siked_ray.core.ids import content_hash


def plain(value: Any) -> Any:
    """The value as JSON holds it, so that it compares equal to what was read back."""
    return json.loads(json.dumps(value, ensure_ascii=False))


def fingerprint(value: Any) -> str:
    """Hash of a plain value; the order of keys does not matter."""
    return content_hash(json.dumps(value, sort_keys=True, ensure_ascii=False))
