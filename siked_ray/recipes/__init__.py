"""Algorithms, one file each: pure Python over the lab. `recipe: NAME` in the settings chooses one."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from siked_ray.core.margin import Margin
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.errors import ConfigError

#: By the name that settings give them: the files of this folder, but for what recipes are written in. A recipe has
#: `run(lab, config)`, `Settings` where it has some of its own, `NEEDS_TEACHER = True` where it cannot do without,
#: `HAS_CONTROL = True` where it heeds `control`, `VIEWS = True` where it asks for each strategy by a prompt of its own,
#: and `summarise(records)` where the summary is to say more than what its stages made: {"claims": […]} and what it
#: likes. `check(config)` raises ConfigError where its options do not go with other settings; `objectives(config)` and
#: `margins(config)` are what `objectives_of` and `margins_of` give; `context_chars(config)` says how long a text may be
#: that follows the student's prompts, beside a completion.
RECIPES = tuple(sorted(one.name for one in iter_modules(__path__) if one.name != "verbs" and one.name[0] != "_"))


def objectives_of(config: Any) -> dict[str, ObjectiveSpec]:
    """What a run's training stages minimise, by a name: what its recipe says in `objectives(config)`, else what its
    settings say."""
    recipe = recipe_named(config.recipe)
    return recipe.objectives(config) if hasattr(recipe, "objectives") else {"": config.objective_spec(corrects=True)}


def margins_of(config: Any) -> dict[str, Margin]:
    """Of which models, by their names in the settings, a recipe wants to know how sure they are."""
    recipe = recipe_named(config.recipe)
    return recipe.margins(config) if hasattr(recipe, "margins") else {}


def recipe_named(name: str) -> Any:
    """The recipe of this name; ConfigError names those that there are."""
    if name not in RECIPES:
        raise ConfigError(f"recipe: there is no recipe {name!r}; choose one of {', '.join(RECIPES)}.")
    return import_module(f"{__name__}.{name}")
