"""Any server with OpenAI's interface behind the engine's Protocol: a hosted teacher, or vLLM's own server.

What is worth it is tried again (`openai_retries`); what still fails after that ends the stage, and nothing finished is
lost.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.data.payload import TopK
from siked_ray.errors import StageError
from siked_ray.generation.engine import Prompt, RequestRejected, Sample, SamplingParameters
from siked_ray.generation.engines.openai_answers import Garbled, read_answer, read_sample
from siked_ray.generation.engines.openai_dialect import Dialect
from siked_ray.generation.engines.openai_endings import explained, final, refused
from siked_ray.generation.engines.openai_margins import margin_options, read_margin, why_no_margins
from siked_ray.generation.engines.openai_refusals import ServerRefused
from siked_ray.generation.engines.openai_retries import Retries, answer_timeout_s
from siked_ray.generation.engines.openai_scoring import read_scores, scoring_options, why_not_scored

_CONNECT_TIMEOUT_S = 20.0
T = TypeVar("T")
#: What is read out of an answer, given the options that were sent.
Read = Callable[[Any, Mapping[str, Any]], T]


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointOptions:
    """Where the server is. The key is read from the environment variable `api_key_env` when the engine opens. Requests
    are chats as `chat` has them, and have the fields of `extra_body`."""

    base_url: str
    api: Literal["chat", "completions"]
    api_key_env: str
    max_concurrency: int
    chat: ChatFormat = PLAIN
    extra_body: Mapping[str, Any] = field(default_factory=dict)


class OpenAIEngine:
    """Completions of `model` from a server."""

    def __init__(self, model: str, options: EndpointOptions) -> None:
        self.name = f"openai {options.api} {options.base_url}"
        self.max_model_len: int | None = None
        self._model = model
        self._api = options.api
        self._chat = options.chat
        self._extra_body = _extra_body(options)
        self._dialect = Dialect(self.name)
        self._in_flight = 0
        self._busy_before_s = 0.0
        self._busy_since = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-requests", daemon=True)
        self._thread.start()
        self._client, self._slots = asyncio.run_coroutine_threadsafe(_connect(options), self._loop).result()

    @property
    def busy_s(self) -> float:
        """Seconds in which at least one request was under way."""
        return self._busy_before_s + (time.monotonic() - self._busy_since if self._in_flight else 0.0)

    def submit(self, prompt: Prompt, parameters: SamplingParameters) -> Future[Sample]:
        """Queue one completion; at most `max_concurrency` are under way. Servers honour seeds as far as they say."""
        options: dict[str, Any] = {
            "seed": parameters.seed,
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "max_tokens": parameters.max_new_tokens,
        }
        if parameters.stop:
            options["stop"] = list(parameters.stop)

        margin = parameters.margin
        if margin:
            options |= margin_options(self._api)

        def read(answer: Any, sent: Mapping[str, Any]) -> Sample:
            sample = read_sample(answer, () if "stop" in sent else parameters.stop)
            return replace(sample, margin=read_margin(answer, margin)) if margin else sample

        return asyncio.run_coroutine_threadsafe(self._complete(prompt.text, options, read), self._loop)

    def score(self, token_ids: list[int], first: int, top_k: int) -> Future[TopK]:
        """Queue a text whose tokens from place `first` on are scored, by a server that does (`openai_scoring`)."""

        def read(answer: Any, _: Mapping[str, Any]) -> TopK:
            return read_scores(answer, len(token_ids), first, top_k)

        return asyncio.run_coroutine_threadsafe(self._complete(token_ids, scoring_options(top_k), read), self._loop)

    def forget(self, prompt: Prompt) -> None:
        """A server gets each prompt anew."""

    def load_weights(self, model: str) -> None:
        """A server's weights are its own."""
        raise StageError(f"{self.name} cannot load the weights of {model}; only a teacher can be behind a server.")

    def close(self) -> None:
        """Close the connections."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    async def _complete(self, prompt: str | list[int], options: dict[str, Any], read: Read[T]) -> T:
        async with self._slots:
            self._begin()
            try:
                return await self._ask(prompt, options, read)
            finally:
                self._end()

    async def _ask(self, prompt: str | list[int], options: dict[str, Any], read: Read[T]) -> T:
        import openai

        retries = Retries()
        while True:
            sent = self._dialect.spoken(options)
            try:
                async with asyncio.timeout(answer_timeout_s(options["max_tokens"])):
                    answer = await self._answer(prompt, sent)
                return read(answer, sent)
            except RequestRejected:
                raise
            except (ServerRefused, Garbled, openai.OpenAIError, TimeoutError, ValueError) as error:
                if isinstance(error, ServerRefused) and self._dialect.learn(sent, error.refusal):
                    continue
                pause_s = retries.pause_s(error)
                if pause_s is None:
                    raise final(self.name, error) from None
            await asyncio.sleep(pause_s)

    async def _answer(self, prompt: str | list[int], options: dict[str, Any]) -> Any:
        """One try, without more. All options are extra ones: the client library need not know them, nor stream. Tokens
        are never a chat."""
        import openai

        body = self._extra_body | options
        try:
            if self._api == "chat" and isinstance(prompt, str):
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self._model, messages=self._chat.messages(prompt), extra_body=body
                )
            else:
                response = await self._client.completions.with_raw_response.create(
                    model=self._model, prompt=prompt, extra_body=body
                )
        except openai.APIStatusError as error:
            raise refused(error) from None
        return read_answer(response.content)

    def _begin(self) -> None:
        if not self._in_flight:
            self._busy_since = time.monotonic()
        self._in_flight += 1

    def _end(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._busy_before_s += time.monotonic() - self._busy_since


def check_endpoint(model: str, options: EndpointOptions) -> str | None:
    """Why the server cannot serve the model, as a sentence; None when it can, or does not say."""
    import openai

    try:
        with _client(openai.OpenAI, options, max_retries=1, timeout=20.0) as client:
            known = _served(client.models.with_raw_response.list().content)
    except (openai.NotFoundError, Garbled):
        return None  # some servers have no list of models
    except openai.APIStatusError as error:
        return explained(options.base_url, refused(error))
    except (openai.OpenAIError, ServerRefused) as error:
        return explained(options.base_url, error)
    # Google's list has other names than its requests.
    if known is not None and not {model, f"models/{model}"} & set(known):
        return f"{options.base_url} does not serve {model}; it serves {', '.join(sorted(known)[:20]) or 'nothing'}."
    return None


def check_scoring(model: str, options: EndpointOptions, tokenizer: Any, top_k: int) -> str | None:
    """Why the server cannot score texts for a student with this tokenizer, as a sentence; None when it can."""
    import openai

    with _client(openai.OpenAI, options, max_retries=1, timeout=60.0) as client:
        reason = why_not_scored(client, model, tokenizer, top_k)
    return f"{options.base_url} {reason}" if reason else None


def check_margins(model: str, options: EndpointOptions) -> str | None:
    """Why the server cannot say how sure the model is, as a sentence; None when it can."""
    import openai

    with _client(openai.OpenAI, options, max_retries=1, timeout=60.0) as client:
        reason = why_no_margins(client, model, options.api)
    return f"{options.base_url} {reason}" if reason else None


def _extra_body(options: EndpointOptions) -> dict[str, Any]:
    """The template's arguments go under the name that vLLM, SGLang and llama.cpp have for them."""
    of_template = {"chat_template_kwargs": dict(options.chat.arguments)} if options.chat.arguments else {}
    return of_template | dict(options.extra_body)


def _served(body: bytes) -> list[str] | None:
    """Names in a list of models; None where it is none."""
    listed = read_answer(body)
    models = listed.get("data") if isinstance(listed, dict) else listed
    if not isinstance(models, list) or not all(
        isinstance(one, dict) and isinstance(one.get("id"), str) for one in models
    ):
        return None
    return [one["id"] for one in models]


async def _connect(options: EndpointOptions) -> tuple[Any, asyncio.Semaphore]:
    """Client and slots belong to the loop's thread."""
    import openai

    timeout = openai.Timeout(None, connect=_CONNECT_TIMEOUT_S)
    client = _client(openai.AsyncOpenAI, options, max_retries=0, timeout=timeout)
    return client, asyncio.Semaphore(options.max_concurrency)


def _client(kind: Any, options: EndpointOptions, *, max_retries: int, timeout: Any) -> Any:
    # A server on loopback usually wants no key, but the client library always wants one.
    key = os.environ.get(options.api_key_env) or "none"
    return kind(base_url=options.base_url, api_key=key, max_retries=max_retries, timeout=timeout)
