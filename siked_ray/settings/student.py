"""The model that learns."""

from pydantic import Field

from siked_ray.settings.chat import ChatSettings

#: Key of the student's engines, beside those of the teacher's parts (`TeacherPart`).
STUDENT = "student"


class StudentSettings(ChatSettings):
    """The model that learns."""

    model: str = Field(
        description="Model directory, `.gguf` file, Hub name (`OWNER/NAME`, `OWNER/NAME:FILE.gguf`) or `world:student`."
    )
