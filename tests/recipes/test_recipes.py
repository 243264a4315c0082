from pathlib import Path

import pytest

from siked_ray import recipes
from siked_ray.cli import main
from siked_ray.config import config_sha256
from siked_ray.errors import ConfigError
from siked_ray.recipes import RECIPES, recipe_named


def test_the_recipes_are_the_files_of_their_folder():
    files = {path.stem for path in Path(recipes.__file__).parent.glob("[!_]*.py")}
    assert set(RECIPES) == files - {"verbs"}
    assert "siked" in RECIPES


def test_siked_is_the_default_and_every_recipe_can_be_run(make_config):
    assert make_config().recipe == "siked"
    assert all(callable(recipe_named(name).run) for name in RECIPES)


def test_an_unknown_recipe_is_refused_with_those_that_there_are(settings_file, capsys):
    assert main(["run", str(settings_file), "recipe=sickled"]) == 2
    said = capsys.readouterr().err
    assert f"there is no recipe 'sickled'; choose one of {', '.join(RECIPES)}." in said and said.count("\n") == 1


def test_settings_that_a_recipe_does_not_have_are_refused(make_config):
    with pytest.raises(ConfigError, match=r"options: .*attempts"):
        make_config("options.attempts=3")


def test_the_hash_of_runs_of_0_1_stays(make_config):
    assert config_sha256(make_config("recipe=siked", "options={}")) == config_sha256(make_config())
