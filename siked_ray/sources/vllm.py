"""Source `vllm`: a model that is sampled on engines of our own."""

from siked_ray.config import Config
from siked_ray.generation.model_facts import ModelFacts, inspect_model
from siked_ray.settings import TeacherPart
from siked_ray.sources.own_engines import OwnEngines
from siked_ray.sources.source import SampledSource


class VllmSource:
    """`SampledSource` on vLLM."""

    def __init__(self, part: TeacherPart, config: Config) -> None:
        self.part = part
        self.engines = OwnEngines(
            own=config.engine_of(part.key),
            cluster=config.cluster,
            trust_remote_code=config.trust_remote_code,
            chat=part.source.chat(),
        )
        self._config = config

    def check(self, *, offline_is_fine: bool) -> ModelFacts:
        name = self.part.source.model
        assert name is not None, "settings with source vllm have a model"
        return inspect_model(name, self.part.key, self._config, offline_is_fine=offline_is_fine)

    def cost(self, num_prompt_tokens: float, num_generated_tokens: float) -> float:
        """Nothing by the token: GPU-hours are what it costs."""
        return 0.0


SOURCE: type[SampledSource] = VllmSource
