"""What a server says of a text's own tokens: vLLM's `prompt_logprobs`, an extension of OpenAI's completions."""

from collections.abc import Mapping, Sequence
from typing import Any

from siked_ray.data.payload import TopK
from siked_ray.generation.engines.openai_answers import Garbled

#: Tokens of the vocabulary that the server cuts in one request of a comparison.
_TOKENS_AT_ONCE = 2000
_TIMEOUT_S = 60.0


def scoring_options(top_k: int) -> dict[str, Any]:
    """Options of a request whose text is scored; one token is generated, as there has to be one."""
    return {"max_tokens": 1, "temperature": 0, "prompt_logprobs": top_k}


def read_scores(answer: Any, num_tokens: int, first: int, top_k: int) -> TopK:
    """The `top_k` most likely tokens at each place of a text from `first` on; Garbled where they are not there."""
    import numpy as np

    try:
        choice = answer["choices"][0]
        places = choice.get("prompt_logprobs") or answer.get("prompt_logprobs")
        if len(places) != num_tokens:
            raise ValueError(f"{len(places)} places")
        best = [_best(place, top_k) for place in places[first:]]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise Garbled(f"no prompt_logprobs of {num_tokens} tokens in {str(answer)[:80]}") from None
    return TopK.of(np.array([ids for ids, _ in best]), np.array([log_probs for _, log_probs in best]))


def _best(place: Mapping[str, Mapping[str, float]], top_k: int) -> tuple[list[int], list[float]]:
    """The text's own token is among them even where it is none of the most likely."""
    ranked = sorted(place.items(), key=lambda item: -item[1]["logprob"])[:top_k]
    if len(ranked) < top_k:
        raise ValueError("fewer than were asked for")
    return [int(token) for token, _ in ranked], [float(one["logprob"]) for _, one in ranked]


def why_not_scored(client: Any, model: str, tokenizer: Any, top_k: int) -> str | None:
    """Why a server cannot score texts that are cut by this tokenizer, as the end of a sentence; None where it can."""
    token_ids = tokenizer("1 + 2 = 3", add_special_tokens=False)["input_ids"]
    try:
        body = client.completions.with_raw_response.create(
            model=model, prompt=token_ids, extra_body=scoring_options(top_k), timeout=_TIMEOUT_S
        )
        read_scores(body.http_response.json(), len(token_ids), 1, top_k)
    except Garbled:
        return "gives no log-probabilities of a prompt (vLLM's server does: prompt_logprobs)"
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        return f"gives no {top_k} log-probabilities of a prompt: {words}"
    return _difference(client, model, tokenizer)


def _difference(client: Any, model: str, tokenizer: Any) -> str | None:
    """Whether each id is the same text for the server, and whether it cuts these texts into the same ids."""
    for ids in _vocabulary(tokenizer):
        spelled = tokenizer.decode(ids)
        text = " ".join(tokenizer.decode([one]) for one in ids).replace("\ufffd", "")
        ours = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        said = _of_server(client, "detokenize", "prompt", {"model": model, "tokens": ids})
        cut = _of_server(client, "tokenize", "tokens", {"model": model, "prompt": text, "add_special_tokens": False})
        if said is None or cut is None:
            return "does not say how it cuts texts into tokens (vLLM's server does: /tokenize and /detokenize)"
        near = None
        if said != spelled:
            place = _first_difference(spelled, said)
            near = spelled[max(place - 10, 0) : place + 10]
        elif cut != ours:
            place = _first_difference(ours, cut)
            near = tokenizer.decode(ours[place : place + 3])
        if near is not None:
            return f"has other tokens than the student ({len(tokenizer):,} tokens), first seen near {near!r}"
    return None


def _vocabulary(tokenizer: Any) -> list[list[int]]:
    """All ids, many at once, without those that texts do not have."""
    special = set(tokenizer.all_special_ids)
    ids = [one for one in range(len(tokenizer)) if one not in special]
    return [ids[first : first + _TOKENS_AT_ONCE] for first in range(0, len(ids), _TOKENS_AT_ONCE)]


def _first_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(ours), len(theirs)))


def _of_server(client: Any, path: str, key: str, body: Mapping[str, Any]) -> Any:
    """vLLM's server has these beside, not below, `/v1`. None where it has none."""
    import httpx
    import openai

    url = httpx.URL(str(client.base_url)).join(f"../{path}")
    try:
        answer = client.post(str(url), body=body, cast_to=httpx.Response, options={"timeout": _TIMEOUT_S}).json()
        return answer[key]
    except (openai.OpenAIError, KeyError, TypeError, ValueError):
        return None
