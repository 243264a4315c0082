"""Whether strategies with a student's template of their own are views, and data sets have them."""

from siked_ray.config import Config
from siked_ray.errors import ConfigError
from siked_ray.recipes import recipe_named
from siked_ray.sources import written
from siked_ray.sources.annotations import AnnotationsSource

_QUESTION = "{question}"


def check_templates(config: Config) -> list[str]:
    """Sentences on views that differ before the question. Raises ConfigError where the recipe has no views, and
    templates are given for some."""
    recipe = recipe_named(config.recipe)
    of_strategy = config.prompts.templates().of_strategy
    own = [name for name in config.strategies if name in of_strategy]
    if not own or getattr(recipe, "VIEWS", False):
        return _before_the_question(config, own)
    raise ConfigError(
        f"prompts.strategies.{own[0]}.student is for recipes whose strategies are views, and recipe {config.recipe} "
        "asks for all of them by one prompt, prompts.student; leave it out, or set recipe to mint."
    )


def _before_the_question(config: Config, views: list[str]) -> list[str]:
    templates = config.prompts.templates()
    before = templates.student.partition(_QUESTION)[0]
    differing = [name for name in views if templates.of_strategy[name].partition(_QUESTION)[0] != before]
    return [
        f"prompts.strategies.{name}.student says something else before the question than prompts.student does: this is "
        "not MinT, where views differ by what stands after the question"
        for name in differing
    ]


def check_sources(config: Config) -> None:
    """Raises ConfigError, with the list of what there is, for a view that no data set has and for a data set that has
    none of the views."""
    if not getattr(recipe_named(config.recipe), "VIEWS", False):
        return
    for source in written(config):
        if isinstance(source, AnnotationsSource):
            _check_annotations(source)


def _check_annotations(source: AnnotationsSource) -> None:
    wanted = source.part.strategies
    there = {
        file: list(dict.fromkeys(view for _, views in found for view in views))
        for file, found in source.by_file().items()
    }
    shown = "; ".join(f"{file} has {', '.join(views)}" for file, views in there.items())
    missing = [view for view in wanted if not any(view in views for views in there.values())]
    if missing:
        raise ConfigError(
            f"strategies: no data set has the view {missing[0]}: {shown}. Take it out, or add a data set that has it."
        )
    useless = [file for file, views in there.items() if not set(views) & set(wanted)]
    if useless:
        raise ConfigError(
            f"{useless[0]} has none of the views {', '.join(wanted)}: {shown}. Take it out of data.train, or add one "
            "of its views to strategies."
        )
