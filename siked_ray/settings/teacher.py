"""Where rationales come from."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from siked_ray.core.chat_format import PLAIN
from siked_ray.settings.base import ADDED
from siked_ray.settings.chat import ChatSettings
from siked_ray.settings.endpoint import EndpointSettings
from siked_ray.settings.engine import EngineSettings

#: Name of the teacher as a whole; a part of it with a source of its own is "teacher.STRATEGY".
TEACHER = "teacher"
#: Names of files of siked_ray/sources: those of models that are sampled, and those of rationales that exist.
SampledSourceName = Literal["vllm", "openai"]
WrittenSourceName = Literal["dataset", "annotations"]


class TeacherSource(ChatSettings):
    """Where rationales come from."""

    source: Literal[SampledSourceName, WrittenSourceName] = Field(
        description="`vllm`: sample `model`; `openai`: the same from a server; `dataset`: rationales in `path`; "
        "`annotations`: what the authors of data sets wrote, in `path` (docs/mint.md)."
    )
    model: str | None = Field(
        default=None,
        description="Model directory, `.gguf` file, Hub name (`OWNER/NAME`, `OWNER/NAME:FILE.gguf`) or "
        "`world:teacher`; with `openai` the server's name of it.",
    )
    path: str | list[str] | None = Field(
        default=None,
        description="Rationales, or annotated data sets (default: `data.train`); a list puts several together.",
    )
    socratic_path: str | None = Field(default=None, description="GSM8K's sub-question file: `l2m` rationales.")
    endpoint: EndpointSettings = EndpointSettings()
    engine: EngineSettings | None = Field(
        default=None, description="Engines of source `vllm` where they differ from the student's (`engine`)."
    )

    @property
    def is_sampled(self) -> bool:
        """Whether there is a model that is sampled; the rationales exist otherwise."""
        return self.source in get_args(SampledSourceName)

    @property
    def _chats(self) -> bool:
        return self.is_sampled and not (self.source == "openai" and self.endpoint.api == "completions")

    @property
    def paths(self) -> tuple[str, ...]:
        """The files of `path`."""
        return (self.path,) if isinstance(self.path, str) else tuple(self.path or ())

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.is_sampled and not self.model:
            raise ValueError(
                f"source {self.source} needs a model to sample; set its model to "
                + ("a directory or a Hub name" if self.source == "vllm" else "the server's name of it")
            )
        if self.chat() != PLAIN and not self._chats:
            where = "has no model" if not self.is_sampled else "continues prompts as they are (endpoint.api)"
            raise ValueError(f"source {self.source} {where}; leave system_prompt and template_args out")
        if self.source == "dataset" and not self.path:
            raise ValueError("source dataset needs rationales; set its path to a JSONL or Parquet file")
        return self


class FurtherModel(TeacherSource):
    """A model that a recipe asks beside student and teacher: of source `vllm` or `openai`."""


class TeacherSettings(TeacherSource):
    """Where the teacher's rationales come from."""

    strategies: dict[str, TeacherSource] = Field(
        default={}, description="Another source for some strategies, by the strategy's name."
    )
    logprobs: Annotated[Annotated[int, Field(ge=1, le=256)] | None, ADDED] = Field(
        default=None,
        description="K: before each training stage the teacher scores its rows; the K most likely tokens at each of "
        "theirs, and the mass of all others, are stored and trained on (docs/distillation.md).",
    )

    @model_validator(mode="after")
    def _scores_itself(self) -> Self:
        if self.logprobs and (not self.is_sampled or self.strategies):
            other = "teacher.strategies" if self.is_sampled else f"source {self.source}"
            raise ValueError(
                f"logprobs needs one teacher that gives the probabilities of any text, on engines of our own or behind "
                f"vLLM's server, and {other} is none; set source to vllm or openai without strategies, or leave "
                "logprobs out"
            )
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherPart:
    """Strategies that share a source. `key` is "teacher", or "teacher.pot" for the source of one strategy alone."""

    key: str
    source: TeacherSource
    strategies: tuple[str, ...]
