"""What a request to a server ends in when it is not tried again: its row is quarantined, or the stage ends.

Both say in a sentence what the server said.
"""

from typing import Any

from siked_ray.errors import StageError
from siked_ray.generation.engine import RequestRejected
from siked_ray.generation.engines.openai_answers import Garbled, storable
from siked_ray.generation.engines.openai_refusals import Fault, Refusal, ServerRefused, read_refusal
from siked_ray.generation.engines.openai_retries import (
    FIRST_TOKEN_TIMEOUT_S,
    MAX_SILENT_TRIES,
    MAX_TRIES,
    MAX_WAIT_S,
    TOKEN_TIMEOUT_S,
)


def refused(error: Any) -> ServerRefused:
    """The refusal in an `openai.APIStatusError`."""
    return ServerRefused(read_refusal(error.status_code, error.response.text, error.response.headers))


def final(server: str, error: Exception) -> Exception:
    """The row's own fault, or the end of the stage."""
    if isinstance(error, ServerRefused) and error.refusal.fault is Fault.ROW:
        return RequestRejected(f"the server refuses the request: {storable(error.refusal.words)}")
    if isinstance(error, Garbled) and error.is_cut_off:
        return RequestRejected(f"the server's answer is cut off or no JSON in {MAX_TRIES} tries: {error}")
    if isinstance(error, ValueError):
        return RequestRejected(f"the request cannot be sent: {storable(str(error))}")
    return StageError(explained(server, error))


def explained(server: str, error: Exception) -> str:
    """Why the stage ends, and what to set."""
    if isinstance(error, ServerRefused):
        return _refusal_explained(server, error.refusal)
    if isinstance(error, TimeoutError):
        return (
            f"{server} gave no answer to a request in {MAX_SILENT_TRIES} tries of {FIRST_TOKEN_TIMEOUT_S:g} s and "
            f"{TOKEN_TIMEOUT_S:g} s per token; check the server, or lower teacher.endpoint.max_concurrency."
        )
    if isinstance(error, Garbled):
        return f"{server} answers with something else than JSON ({error}); check teacher.endpoint.base_url."
    kind = type(error).__name__
    return f"{server} does not answer as it should ({kind}: {error}); check teacher.endpoint and the server."


def _refusal_explained(server: str, refusal: Refusal) -> str:
    words = storable(refusal.words)
    if refusal.fault is Fault.KEY:
        return f"{server} refuses the key ({words}); set the variable that teacher.endpoint.api_key_env names."
    if refusal.fault is Fault.QUOTA:
        return (
            f"{server} says that the account is used up ({words}); top it up, or set another key in the variable that "
            "teacher.endpoint.api_key_env names, and give the same command again."
        )
    if refusal.status == 429:
        return (
            f"{server} still limits the rate after {MAX_TRIES} tries, or for more than {MAX_WAIT_S:.0f} s ({words}); "
            "lower teacher.endpoint.max_concurrency, or give the same command later."
        )
    status = refusal.status
    return f"{server} does not answer as it should (status {status}: {words}); check teacher.endpoint and the server."
