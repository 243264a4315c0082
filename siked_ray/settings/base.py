"""What all sections of the settings share."""

from collections.abc import Set
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
NonEmptyText = Annotated[str, Field(min_length=1)]
Budget = Annotated[float, Field(gt=0)]
#: Marks a setting that 0.1 did not have: with its default it leaves the hash of settings as it was.
ADDED = "added after 0.1"


class Settings(BaseModel):
    """Base of all sections: unknown keys are an error, numbers are finite, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, values: Any) -> Any:
        """A section without a line below it in the YAML file is null there, and has its defaults here."""
        if not isinstance(values, dict):
            return values
        return {name: {} if value is None and cls._is_section(name) else value for name, value in values.items()}

    @classmethod
    def _is_section(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, Settings)


def refuse_our_own(values: dict[str, Any], ours: Set[str]) -> None:
    """ValueError, for pydantic, where a free mapping has keys that the trainer sets itself."""
    taken = sorted(values.keys() & ours)
    if taken:
        raise ValueError(f"{', '.join(taken)} is set by the trainer itself; leave it out")


def leave_out_additions(settings: Settings, values: dict[str, Any]) -> None:
    """Take settings that are `ADDED` and have their default out of `values`, which are those of `settings` or some."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if ADDED in field.metadata and value == field.default:
            values.pop(name, None)
        elif isinstance(value, Settings) and name in values:
            leave_out_additions(value, values[name])
        elif isinstance(value, dict) and name in values:
            for key, section in value.items():
                if isinstance(section, Settings):
                    leave_out_additions(section, values[name][key])
