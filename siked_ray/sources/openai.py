"""Source `openai`: a model behind a server with OpenAI's interface."""

from functools import partial
from typing import Any

from siked_ray.config import Config
from siked_ray.errors import ModelError
from siked_ray.generation.engines.openai_engine import (
    EndpointOptions,
    OpenAIEngine,
    check_endpoint,
    check_margins,
    check_scoring,
)
from siked_ray.generation.model_facts import ModelFacts
from siked_ray.settings import TeacherPart
from siked_ray.sources.server_client import ServerClient
from siked_ray.sources.source import SampledSource


class OpenAISource:
    """`SampledSource` behind a server."""

    def __init__(self, part: TeacherPart, config: Config) -> None:
        endpoint = part.source.endpoint
        self.part = part
        self._options = EndpointOptions(
            base_url=endpoint.base_url,
            api=endpoint.api,
            api_key_env=endpoint.api_key_env,
            max_concurrency=endpoint.max_concurrency,
            chat=part.source.chat(),
            extra_body=endpoint.extra_body,
        )
        self.engines = ServerClient(
            open_engine=partial(OpenAIEngine, options=self._options),
            max_concurrency=endpoint.max_concurrency,
            cluster=config.cluster,
        )

    def check(self, *, offline_is_fine: bool) -> ModelFacts:
        """Raises ModelError when the server does not serve the model."""
        name = self.part.source.model
        assert name is not None, "settings with source openai have a model"
        problem = check_endpoint(name, self._options)
        if problem and not offline_is_fine:
            raise ModelError(problem)
        note = f"behind {self._options.base_url}" + (f", which is not there yet: {problem}" if problem else "")
        return ModelFacts(name=name, known=False, note=note)

    def check_scoring(self, tokenizer: Any, top_k: int, *, offline_is_fine: bool) -> None:
        """Raises ModelError when the server cannot score texts of a student with this tokenizer."""
        name = self.part.source.model
        assert name is not None, "settings with source openai have a model"
        if offline_is_fine and check_endpoint(name, self._options):
            return
        if problem := check_scoring(name, self._options, tokenizer, top_k):
            raise ModelError(
                f"teacher.logprobs: {problem}. Take a server and a model that do, or leave teacher.logprobs out: the "
                "student then learns from the teacher's texts, as SIKeD does."
            )

    def check_margins(self, *, offline_is_fine: bool) -> None:
        """Raises ModelError when the server does not say how sure its model is."""
        name = self.part.source.model
        assert name is not None, "settings with source openai have a model"
        if offline_is_fine and check_endpoint(name, self._options):
            return
        if problem := check_margins(name, self._options):
            raise ModelError(f"models.{self.part.key}: {problem}. Take a server that does, or the margin votes.")

    def cost(self, num_prompt_tokens: float, num_generated_tokens: float) -> float:
        endpoint = self.part.source.endpoint
        of_prompts = num_prompt_tokens * endpoint.price_per_million_prompt_tokens / 1e6
        return of_prompts + num_generated_tokens * endpoint.price_per_million_generated_tokens / 1e6


SOURCE: type[SampledSource] = OpenAISource
