"""What all sections of the settings share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Budget = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """Base of all sections: unknown keys are an error, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
