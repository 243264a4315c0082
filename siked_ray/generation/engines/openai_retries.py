"""When a request to a server is made again: decided here, waited for by the engine.

Worth it are rate limits, overload, lost connections, and answers that are cut off, with exponential back-off and jitter
or after what the server's Retry-After says. The client library does the same, but gives up where that is above two
minutes, and tries a server that says nothing as often as any other.
"""

import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from siked_ray.generation.engines.openai_answers import Garbled
from siked_ray.generation.engines.openai_refusals import Fault, ServerRefused

#: With pauses of 0.5, 1, 2, 4 and then 8 s, where the server asks for none: about a minute.
MAX_TRIES = 13
#: Of those without any answer.
MAX_SILENT_TRIES = 3
#: Seconds that the pauses a server asks for may add up to.
MAX_WAIT_S = 3600.0
#: Seconds for an answer: until its first token, on a server with a queue, and for each of its tokens.
FIRST_TOKEN_TIMEOUT_S = 120.0
TOKEN_TIMEOUT_S = 0.25
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
_JITTER = 0.25


@dataclass(slots=True)
class Retries:
    """What one request has gone through."""

    num_tries: int = 0
    num_silent: int = 0
    waited_s: float = 0.0

    def pause_s(self, error: Exception) -> float | None:
        """Seconds until the next try after this failure (TimeoutError: there was no answer); None for no more."""
        self.num_tries += 1
        self.num_silent += isinstance(error, TimeoutError)
        if self.num_tries >= MAX_TRIES or self.num_silent >= MAX_SILENT_TRIES:
            return None
        if not _is_worth_it(error):
            return None
        asked_s = asked_pause_s(error.refusal.headers) if isinstance(error, ServerRefused) else None
        pause_s = min(_FIRST_PAUSE_S * 2 ** (self.num_tries - 1), _LONGEST_PAUSE_S) if asked_s is None else asked_s
        self.waited_s += asked_s or 0.0
        # Later than asked for rather than earlier, and not all requests at the same moment.
        return None if self.waited_s > MAX_WAIT_S else pause_s * (1 + _JITTER * random.random())


def _is_worth_it(error: Exception) -> bool:
    """`x-should-retry` is how OpenAI's own server says it; a key or an account stays what it is, whatever that says."""
    import openai

    if not isinstance(error, ServerRefused):
        return isinstance(error, Garbled | openai.APIConnectionError | TimeoutError)
    fault, said = error.refusal.fault, error.refusal.headers.get("x-should-retry")
    if fault in (Fault.KEY, Fault.QUOTA):
        return False
    return said == "true" or (said != "false" and fault is Fault.PASSING)


def asked_pause_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; None where it asks for nothing that can be read."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(KeyError, ValueError):
            seconds = float(headers[name]) / per_second
            return seconds if seconds > 0 else None
    with suppress(KeyError, ValueError):
        seconds = parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
        return seconds if seconds > 0 else None
    return None


def answer_timeout_s(max_new_tokens: int) -> float:
    """Seconds in which an answer of so many tokens has to be there."""
    return FIRST_TOKEN_TIMEOUT_S + TOKEN_TIMEOUT_S * max_new_tokens
