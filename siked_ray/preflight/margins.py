"""Whether the models that a recipe wants margins of give log-probabilities."""

from siked_ray.config import Config
from siked_ray.core.margin import Margin
from siked_ray.recipes import margins_of
from siked_ray.sources import further
from siked_ray.sources.openai import OpenAISource


def check_margins(config: Config, *, offline_is_fine: bool = False) -> None:
    """Raises ConfigError for what the recipe refuses, and ModelError for a server that gives no log-probabilities. Our
    own engines always do."""
    wanted = margins_of(config)
    for source in further(config):
        margin = wanted.get(source.part.key)
        if margin not in (None, Margin.VOTES) and isinstance(source, OpenAISource):
            source.check_margins(offline_is_fine=offline_is_fine)
