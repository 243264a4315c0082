"""Which problems are learnt from and tested on."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from siked_ray.settings.base import PositiveInt, Settings


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
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Share of the training problems held out, by a hash of the question."
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
