"""Any server with OpenAI's interface behind the engine's Protocol: a hosted teacher, or vLLM's own server.

The client library retries what is worth it (rate limits, overload, lost connections) with exponential back-off and
jitter and keeps to the server's Retry-After; what still fails after that ends the stage, and nothing finished is lost.
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

_TIMEOUT_S = 600.0
#: With waits of 0.5, 1, 2, 4 and then 8 s, or what the server asks for: about a minute and a half.
_RETRIES = 12


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

        try:
            if self._api == "chat":
                messages = [{"role": "user", "content": prompt}]
                answer = await self._client.chat.completions.create(messages=messages, **options)
                text = answer.choices[0].message.content
            else:
                answer = await self._client.completions.create(prompt=prompt, **options)
                text = answer.choices[0].text
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            raise RequestRejected(f"the server refuses the request: {error}") from None
        except openai.OpenAIError as error:
            raise StageError(_explained(self.name, error)) from None
        return Sample(
            text=text or "",
            num_prompt_tokens=answer.usage.prompt_tokens if answer.usage else 0,
            num_tokens=answer.usage.completion_tokens if answer.usage else 0,
            finished=answer.choices[0].finish_reason != "length",
        )

    def _begin(self) -> None:
        if not self._in_flight:
            self._busy_since = time.monotonic()
        self._in_flight += 1

    def _end(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._busy_before_s += time.monotonic() - self._busy_since


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

    client = _client(openai.AsyncOpenAI, options, max_retries=_RETRIES, timeout=_TIMEOUT_S)
    return client, asyncio.Semaphore(options.max_concurrency)


def _client(kind: Any, options: EndpointOptions, *, max_retries: int, timeout: float) -> Any:
    # A server on loopback usually wants no key, but the client library always wants one.
    key = os.environ.get(options.api_key_env) or "none"
    return kind(base_url=options.base_url, api_key=key, max_retries=max_retries, timeout=timeout)


def _explained(server: str, error: Exception) -> str:
    import openai

    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return f"{server} refuses the key ({error}); set the variable that teacher.endpoint.api_key_env names."
    if isinstance(error, openai.RateLimitError):
        return f"{server} still limits the rate after {_RETRIES} retries ({error}); lower endpoint.max_concurrency."
    kind = type(error).__name__
    return f"{server} does not answer as it should ({kind}: {error}); check teacher.endpoint and the server."
