"""Which problems are learnt from and tested on."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator

from siked_ray.settings.base import ADDED, PositiveInt, Settings


class OnContamination(StrEnum):
    """What happens when problems that are learnt from, or that select, are in a test set."""

    REMOVE = "remove"
    REFUSE = "refuse"
    ALLOW = "allow"


class DataSettings(Settings):
    """Problems to learn from and to test on. `load_problems` says which forms a name can take."""

    train: str | list[str] = Field(
        description="Training problems: a file, `s3://…`, a Hub name, or `world:train`; `NAME#split=train` takes a "
        "part of the rows; a list puts several together."
    )
    test: list[str] = Field(default=[], description="Test sets; they are reported and never select anything.")
    limit: PositiveInt | None = Field(default=None, description="At most this many problems of each data set.")
    question_column: str | None = Field(default=None, description="Column of the questions, where it is not obvious.")
    answer_column: str | None = Field(default=None, description="Column of the answers, where it is not obvious.")
    level_column: Annotated[str | None, ADDED] = Field(
        default=None,
        description="Column by which accuracies are broken down: a level, a grade, a type; usual names are recognised.",
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Share of the training problems held out, by a hash of the question."
    )

    contamination: Annotated[OnContamination, ADDED] = Field(
        default=OnContamination.REMOVE,
        description="Training problems that are in a test set, exactly or nearly: `remove` leaves them out and lists "
        "them, `refuse` starts nothing, `allow` says so and learns from them (docs/contamination.md).",
    )

    @property
    def train_names(self) -> tuple[str, ...]:
        """The data sets that are learnt from."""
        return (self.train,) if isinstance(self.train, str) else tuple(self.train)

    @property
    def train_shown(self) -> str:
        """The same as a person would say it."""
        return " + ".join(self.train_names)

    @field_validator("train")
    @classmethod
    def _some(cls, value: str | list[str]) -> str | list[str]:
        if not value:
            raise ValueError("name at least one data set")
        return value

    @field_validator("test", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value
