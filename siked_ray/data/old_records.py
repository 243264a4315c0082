"""What version 0.1 wrote into ledgers, in today's words. Its records have a name in place of a kind and a label."""

from functools import cache

from siked_ray.core.stage import TEACHER, Kind, StageId

_MOST_ITERATIONS = 1000
_KINDS = (Kind.ROLLOUTS, Kind.MIXTURE, Kind.TRAINING, Kind.EVALUATION, Kind.TESTS, Kind.DECISION)


def id_of(name: str) -> StageId:
    """The stage that 0.1 called by this name; KeyError for one that it did not have."""
    return _ids()[name]


@cache
def _ids() -> dict[str, StageId]:
    """All that 0.1 could write, so that no name has to be taken apart."""
    numbered = [StageId.of_iteration(kind, i) for kind in _KINDS for i in range(_MOST_ITERATIONS)]
    return {one.name: one for one in (StageId(Kind.BRANCH, ""), TEACHER, *numbered)}
