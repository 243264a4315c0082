"""Settings that 0.1 did not have leave the hash of its runs as it was."""

from typing import Annotated

import pytest
from pydantic import Field

from siked_ray.config import config_sha256
from siked_ray.settings.base import ADDED, Settings, leave_out_additions


class Part(Settings):
    old: int = 1
    new: Annotated[int, ADDED] = 2


class Whole(Settings):
    part: Part = Part()
    parts: dict[str, Part] = Field(default={})
    texts: dict[str, str] = Field(default={})
    new: Annotated[list[int], ADDED] = Field(default=[])


def left(whole: Whole, **without: bool) -> dict:
    values = whole.model_dump(exclude=without)
    leave_out_additions(whole, values)
    return values


def test_what_has_its_default_is_left_out_wherever_it_is() -> None:
    whole = Whole(parts={"a": Part(), "b": Part(new=3)}, texts={"c": "d"})
    assert left(whole) == {
        "part": {"old": 1},
        "parts": {"a": {"old": 1}, "b": {"old": 1, "new": 3}},
        "texts": {"c": "d"},
    }
    assert left(Whole(part=Part(new=4), new=[5])) == {
        "part": {"old": 1, "new": 4},
        "parts": {},
        "texts": {},
        "new": [5],
    }


def test_values_without_a_section_stay_without_it() -> None:
    assert left(Whole(), part=True) == {"parts": {}, "texts": {}}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_another_objective_makes_another_run(make_config) -> None:
    config = make_config()
    training = config.training.model_copy(update={"objective": "another"})
    assert config_sha256(config.model_copy(update={"training": training})) != config_sha256(config)
