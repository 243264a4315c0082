"""Teacher and student."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from siked_ray.settings.base import Settings
from siked_ray.settings.engine import EndpointSettings, EngineSettings


class TeacherSource(Settings):
    """Where rationales come from."""

    source: Literal["vllm", "openai", "dataset", "annotations"] = Field(
        description="`vllm`: sample `model`; `openai`: the same from a server; `dataset`: rationales in `path`; "
        "`annotations`: GSM8K's own solutions in `path`."
    )
    model: str | None = Field(
        default=None, description="Model directory, Hub name or `world:teacher`; with `openai` the server's name of it."
    )
    path: str | None = Field(default=None, description="Rationales, or GSM8K's file (default: `data.train`).")
    socratic_path: str | None = Field(default=None, description="GSM8K's sub-question file: `l2m` rationales.")
    endpoint: EndpointSettings = EndpointSettings()
    engine: EngineSettings | None = Field(
        default=None, description="Engines of source `vllm` where they differ from the student's (`engine`)."
    )

    @property
    def is_sampled(self) -> bool:
        """True when a model has to be sampled; else the rationales exist."""
        return self.source in ("vllm", "openai")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.is_sampled and not self.model:
            raise ValueError(
                f"source {self.source} needs a model to sample; set its model to "
                + ("a directory or a Hub name" if self.source == "vllm" else "the server's name of it")
            )
        if self.source == "dataset" and not self.path:
            raise ValueError("source dataset needs rationales; set its path to a JSONL or Parquet file")
        return self


class TeacherSettings(TeacherSource):
    """Where the teacher's rationales come from."""

    strategies: dict[str, TeacherSource] = Field(
        default={}, description="Another source for some strategies, by the strategy's name."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherPart:
    """Strategies that share a source. `key` is "teacher", or "teacher.pot" for the source of one strategy alone."""

    key: str
    source: TeacherSource
    strategies: tuple[str, ...]


class StudentSettings(Settings):
    """The model that learns."""

    model: str = Field(description="Model directory, Hub name or `world:student`.")
