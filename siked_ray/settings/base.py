"""What all sections of the settings share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
NonEmptyText = Annotated[str, Field(min_length=1)]
Budget = Annotated[float, Field(gt=0)]


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
