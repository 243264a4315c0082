"""Source `annotations`: the solutions that GSM8K's authors wrote."""

from collections.abc import Sequence

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.data.rationales import AnnotatedRationale, annotated_rationales
from siked_ray.settings import TeacherPart
from siked_ray.sources.source import WrittenSource


class AnnotationsSource:
    """`WrittenSource` of a file in GSM8K's format, by default that of the problems."""

    def __init__(self, part: TeacherPart, config: Config) -> None:
        source = part.source
        self.part = part
        self._annotated = source.paths or config.data.train_names
        self.shown = " + ".join(self._annotated)
        self.files = (*source.paths, *((source.socratic_path,) if source.socratic_path else ()))
        self._socratic_path = source.socratic_path

    def rationales(self, problems: Sequence[Problem]) -> list[AnnotatedRationale]:
        found = (annotated_rationales(file, socratic_path=self._socratic_path) for file in self._annotated)
        return [rationale for of_a_file in found for rationale in of_a_file]


SOURCE: type[WrittenSource] = AnnotationsSource
