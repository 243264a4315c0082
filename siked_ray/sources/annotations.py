"""Source `annotations`: what the authors of data sets wrote beside their questions."""

from collections.abc import Mapping, Sequence

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.data.rationales import AnnotatedRationale
from siked_ray.data.written_views import Views, written_views
from siked_ray.settings import TeacherPart
from siked_ray.sources.source import WrittenSource


class AnnotationsSource:
    """`WrittenSource` of annotated data sets, by default those of the problems."""

    def __init__(self, part: TeacherPart, config: Config) -> None:
        source = part.source
        self.part = part
        self._annotated = source.paths or config.data.train_names
        self.shown = " + ".join(self._annotated)
        self.files = (*source.paths, *((source.socratic_path,) if source.socratic_path else ()))
        self._socratic_path = source.socratic_path

    def by_file(self) -> Mapping[str, list[Views]]:
        """What each data set has. The sub-questions of `socratic_path` are GSM8K's; other data sets have none."""
        return {file: written_views(file, socratic_path=self._socratic_path) for file in self._annotated}

    def rationales(self, problems: Sequence[Problem]) -> list[AnnotatedRationale]:
        """A problem that several data sets have is told by its question; what they both say of it is there once."""
        by_question = {_folded(problem.question): problem.problem_id for problem in problems}
        found = {
            AnnotatedRationale(
                problem_id=by_question.get(_folded(problem.question), problem.problem_id),
                strategy=view,
                rationale=written,
            ): None
            for of_a_file in self.by_file().values()
            for problem, views in of_a_file
            for view, written in views.items()
        }
        return list(found)


def _folded(question: str) -> str:
    return " ".join(question.split())


SOURCE: type[WrittenSource] = AnnotationsSource
