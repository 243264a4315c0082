"""Any server with OpenAI's interface behind the engine's Protocol: a hosted teacher, or vLLM's own server.

What is worth it is tried again (`openai_retries`); what still fails after that ends the stage, and nothing finished is
lost.
"""

import asyncio
import os
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from siked_ray.errors import StageError
from siked_ray.generation.engine import EncodedPrompt, RequestRejected, Sample, SamplingParameters
from siked_ray.generation.openai_dialect import Dialect
from siked_ray.generation.openai_retries import MAX_SILENT_TRIES, MAX_TRIES, MAX_WAIT_S, Retries

_CONNECT_TIMEOUT_S = 20.0
#: Seconds for an answer: until its first token, on a server with a queue, and for each of its tokens.
_FIRST_TOKEN_TIMEOUT_S = 120.0
_TOKEN_TIMEOUT_S = 0.25
#: Characters of an answer that are shown with what is wrong with it.
_SHOWN = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointOptions:
    """Where the server is. The key is read from the environment variable `api_key_env` when the engine opens."""

    base_url: str
    api: Literal["chat", "completions"]
    api_key_env: str
    max_concurrency: int


class OpenAIEngine:
    """Completions of `model` from a server."""

    def __init__(self, model: str, options: EndpointOptions) -> None:
        self.name = f"openai {options.api} {options.base_url}"
        self.max_model_len: int | None = None
        self._model = model
        self._api = options.api
        self._dialect = Dialect()
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

    def encode(self, prompt: str, forced: str) -> EncodedPrompt:
        """The text as it is; a server cannot be told how a response begins."""
        if forced:
            raise RequestRejected("a server cannot be told how a response begins")
        return EncodedPrompt(text=prompt, token_ids=None)

    def submit(self, prompt: EncodedPrompt, parameters: SamplingParameters) -> Future[Sample]:
        """Queue one completion; at most `max_concurrency` are under way. Servers honour seeds as far as they say."""
        options: dict[str, Any] = {
            "model": self._model,
            "seed": parameters.seed,
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "max_tokens": parameters.max_new_tokens,
        }
        if parameters.stop:
            options["stop"] = list(parameters.stop)
        return asyncio.run_coroutine_threadsafe(self._complete(prompt.text, options), self._loop)

    def load_weights(self, model: str) -> None:
        """A server's weights are its own."""
        raise StageError(f"{self.name} cannot load the weights of {model}; only a teacher can be behind a server.")

    def close(self) -> None:
        """Close the connections."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    async def _complete(self, prompt: str, options: dict[str, Any]) -> Sample:
        async with self._slots:
            self._begin()
            try:
                return await self._ask(prompt, options)
            finally:
                self._end()

    async def _ask(self, prompt: str, options: dict[str, Any]) -> Sample:
        import openai

        retries = Retries()
        while True:
            sent = self._dialect.spoken(options)
            try:
                async with asyncio.timeout(answer_timeout_s(options["max_tokens"])):
                    answer = await self._answer(prompt, sent)
            except (openai.OpenAIError, TimeoutError, ValueError) as error:
                if _is_refusal(error) and self._dialect.learn(sent, str(error)):
                    continue
                pause_s = retries.pause_s(error)
                if pause_s is None:
                    raise _final(self.name, error) from None
                await asyncio.sleep(pause_s)
            else:
                return read_sample(answer, self._api)

    async def _answer(self, prompt: str, options: dict[str, Any]) -> Any:
        """One try, without more."""
        if self._api == "chat":
            messages = [{"role": "user", "content": prompt}]
            return await self._client.chat.completions.create(messages=messages, **options)
        return await self._client.completions.create(prompt=prompt, **options)

    def _begin(self) -> None:
        if not self._in_flight:
            self._busy_since = time.monotonic()
        self._in_flight += 1

    def _end(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._busy_before_s += time.monotonic() - self._busy_since


def answer_timeout_s(max_new_tokens: int) -> float:
    """Seconds in which an answer of so many tokens has to be there."""
    return _FIRST_TOKEN_TIMEOUT_S + _TOKEN_TIMEOUT_S * max_new_tokens


def read_sample(answer: Any, api: str) -> Sample:
    """The completion in a server's answer, which the client library takes in whatever shape it has; raises
    RequestRejected where it has none."""
    try:
        choice, usage = answer.choices[0], answer.usage
        text = choice.message.content if api == "chat" else choice.text
    except (AttributeError, IndexError, TypeError):
        raise RequestRejected(f"the server's answer has no completion: {_storable(repr(answer))[:_SHOWN]}") from None
    if not isinstance(text, str | None):
        raise RequestRejected(f"the server's completion is no text: {_storable(repr(text))[:_SHOWN]}")
    return Sample(
        text=_storable(text or ""),
        num_prompt_tokens=getattr(usage, "prompt_tokens", None) or 0,
        num_tokens=getattr(usage, "completion_tokens", None) or 0,
        finished=choice.finish_reason != "length",
    )


def _storable(text: str) -> str:
    """JSON can hold halves of characters, a Parquet file cannot."""
    return text.encode("utf-8", "replace").decode()


def _final(server: str, error: Exception) -> Exception:
    """The row's own fault, or the end of the stage."""
    if _is_refusal(error):
        return RequestRejected(f"the server refuses the request: {_storable(str(error))}")
    if isinstance(error, ValueError):
        return RequestRejected(f"the request or its answer is no JSON: {_storable(str(error))}")
    return StageError(_explained(server, error))


def _is_refusal(error: Exception) -> bool:
    """True when the server found fault with the request itself."""
    import openai

    return isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError)


def check_endpoint(model: str, options: EndpointOptions) -> str | None:
    """Why the server cannot serve the model, as a sentence; None when it can."""
    import openai

    try:
        with _client(openai.OpenAI, options, max_retries=1, timeout=20.0) as client:
            known = [one.id for one in client.models.list()]
    except openai.NotFoundError:
        return None  # some servers have no list of models
    except openai.OpenAIError as error:
        return _explained(options.base_url, error)
    if model not in known:
        return f"{options.base_url} does not serve {model}; it serves {', '.join(sorted(known)[:20]) or 'nothing'}."
    return None


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


def _explained(server: str, error: Exception) -> str:
    import openai

    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return f"{server} refuses the key ({error}); set the variable that teacher.endpoint.api_key_env names."
    if isinstance(error, openai.RateLimitError):
        return (
            f"{server} still limits the rate after {MAX_TRIES} tries, or for more than {MAX_WAIT_S:.0f} s ({error}); "
            "lower teacher.endpoint.max_concurrency, or give the same command later."
        )
    if isinstance(error, TimeoutError):
        return (
            f"{server} gave no answer to a request in {MAX_SILENT_TRIES} tries of {_FIRST_TOKEN_TIMEOUT_S:g} s and "
            f"{_TOKEN_TIMEOUT_S:g} s per token; check the server, or lower teacher.endpoint.max_concurrency."
        )
    kind = type(error).__name__
    return f"{server} does not answer as it should ({kind}: {error}); check teacher.endpoint and the server."
