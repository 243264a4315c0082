"""What servers with OpenAI's interface do not take of a request, and what they get instead.

OpenAI's reasoning models want another name for the limit of tokens, and some servers refuse a seed. Each says so of the
first request; later ones are put right beforehand.
"""

import re
from collections.abc import Mapping
from typing import Any

#: Option → what it is called otherwise; None: it is left out.
_OTHERWISE = {"max_tokens": "max_completion_tokens", "seed": None}
#: How servers say that they do not know an option, as opposed to its value.
_NOT_KNOWN = re.compile(
    r"unsupported|not supported|unrecogni[sz]ed|unknown|unexpected|extra_forbidden|extra inputs|not permitted", re.I
)


class Dialect:
    """What one server was found not to take."""

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def spoken(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options as the server takes them."""
        named = {(_OTHERWISE[name] if name in self._refused else name): value for name, value in options.items()}
        return {name: value for name, value in named.items() if name is not None}

    def learn(self, sent: Mapping[str, Any], refusal: str) -> bool:
        """Take in what a server says of a request; True when it is worth another try."""
        if not _NOT_KNOWN.search(refusal):
            return False
        refused = {name for name in _OTHERWISE if name in sent and re.search(rf"\b{name}\b", refusal)}
        self._refused |= refused
        return bool(refused)
