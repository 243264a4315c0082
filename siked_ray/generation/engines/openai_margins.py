"""How sure a server was of a completion: OpenAI's `logprobs`, of chats and of completions."""

from collections.abc import Mapping
from typing import Any

from siked_ray.core.margin import DecodedToken, Margin, margin_of
from siked_ray.generation.engines.openai_answers import Garbled

_TIMEOUT_S = 60.0


def margin_options(api: str) -> dict[str, Any]:
    """Options of a request that asks for the two most likely tokens at each place."""
    return {"logprobs": True, "top_logprobs": 2} if api == "chat" else {"logprobs": 2}


def read_margin(answer: Any, margin: Margin) -> float | None:
    """In nats; None for an empty completion. Garbled where an answer has no log-probabilities."""
    try:
        return margin_of(margin, _places(answer["choices"][0]["logprobs"]))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise Garbled(f"no logprobs in {str(answer)[:80]}") from None


def _places(said: Mapping[str, Any]) -> list[DecodedToken]:
    if "content" in said:
        chat = said["content"] or []
        return [DecodedToken(one["token"], _gap([best["logprob"] for best in one["top_logprobs"]])) for one in chat]
    pairs = zip(said["tokens"], said["top_logprobs"], strict=True)
    return [DecodedToken(token, _gap(list((best or {}).values()))) for token, best in pairs]


def _gap(log_probs: list[float]) -> float | None:
    """Some servers add the decoded token to the two that were asked for."""
    best = sorted(map(float, log_probs), reverse=True)
    return best[0] - best[1] if len(best) > 1 else None


def why_no_margins(client: Any, model: str, api: str) -> str | None:
    """Why a server cannot say how sure its model is, as the end of a sentence; None where it can."""
    body = {"max_tokens": 1, "temperature": 0, **margin_options(api)}
    try:
        if api == "chat":
            said = client.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": "1 + 1 ="}], extra_body=body, timeout=_TIMEOUT_S
            )
        else:
            said = client.completions.with_raw_response.create(
                model=model, prompt="1 + 1 =", extra_body=body, timeout=_TIMEOUT_S
            )
        found = read_margin(said.http_response.json(), Margin.FIRST_TOKEN)
    except Garbled:
        found = None
    except Exception as error:
        return f"gives no log-probabilities: {' '.join(str(error).split())[:200]}"
    return None if found is not None else "gives no log-probabilities of two tokens (logprobs)"
