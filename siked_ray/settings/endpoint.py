"""A server that makes completions."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from siked_ray.settings.base import ADDED, NonNegative, PositiveInt, Settings, refuse_our_own

#: Fields of a request that say what is sampled and how.
_OWN_FIELDS = {
    *("model", "messages", "prompt", "n", "stream", "seed", "stop", "temperature", "top_p", "max_tokens"),
    "max_completion_tokens",
}


class EndpointSettings(Settings):
    """The server of source `openai`, and what it charges. Any with OpenAI's interface, vLLM's own included."""

    base_url: str = Field(default="https://api.openai.com/v1", description="Address of the server, with its `/v1`.")
    api: Literal["chat", "completions"] = Field(
        default="chat", description="`chat`: the prompt is a user's message; `completions`: it is continued as it is."
    )
    extra_body: Annotated[dict[str, Any], ADDED] = Field(
        default={}, description="Further fields of every request's body, as the server names them."
    )
    api_key_env: str = Field(default="OPENAI_API_KEY", description="Environment variable that holds the key.")
    max_concurrency: PositiveInt = Field(default=64, description="Requests under way at once.")
    price_per_million_prompt_tokens: NonNegative = Field(default=0.0, description="For the cost in the summary.")
    price_per_million_generated_tokens: NonNegative = Field(default=0.0, description="For the cost in the summary.")

    @field_validator("extra_body")
    @classmethod
    def _extras_are_extra(cls, body: dict[str, Any]) -> dict[str, Any]:
        refuse_our_own(body, _OWN_FIELDS)
        return body

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not _is_http_address(url):
            raise ValueError("this is no address of a server; set it to one such as http://localhost:8000/v1")
        return url


def _is_http_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0  # raises ValueError above 65535
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and has_port and not re.search(r"\s", url)
