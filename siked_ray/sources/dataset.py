"""Source `dataset`: rationales from anywhere, in a file."""

from collections.abc import Sequence

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.data.rationales import AnnotatedRationale, existing_rationales
from siked_ray.settings import TeacherPart
from siked_ray.sources.source import WrittenSource


class DatasetSource:
    """`WrittenSource` of a table of rationales."""

    def __init__(self, part: TeacherPart, config: Config) -> None:
        self.part = part
        self.files = part.source.paths
        self.shown = " + ".join(self.files)
        self._strategies = tuple(config.prompts.strategies)

    def rationales(self, problems: Sequence[Problem]) -> list[AnnotatedRationale]:
        found = (existing_rationales(file, problems, strategies=self._strategies) for file in self.files)
        return [rationale for of_a_file in found for rationale in of_a_file]


SOURCE: type[WrittenSource] = DatasetSource
