import re
from pathlib import Path

import pytest

import siked_ray
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.data.old_records import id_of
from siked_ray.data.run_directory import place_of


@pytest.mark.parametrize(
    ("stage", "name", "place"),
    [
        (TEACHER, "rollouts_teacher", "rollouts/teacher"),
        (StageId.of_iteration(Kind.ROLLOUTS, 1), "rollouts_01", "rollouts/iteration_01"),
        (StageId.of_iteration(Kind.MIXTURE, 0), "mixture_00", "mixtures/iteration_00/part-00000.parquet"),
        (StageId.of_iteration(Kind.TRAINING, 12), "training_12", "students/iteration_12"),
        (StageId.of_iteration(Kind.EVALUATION, 2), "evaluation_02", "evaluations/iteration_02.json"),
        (StageId.of_iteration(Kind.TESTS, 2), "tests_02", "evaluations/iteration_02.json"),
        (StageId.of_iteration(Kind.ANSWERS, 2), "answers_02", "evaluations/iteration_02"),
        (StageId.of_tests(2), "answers_tests_02", "evaluations/tests_02"),
        (StageId(Kind.TRAINING, "part_cot"), "training_part_cot", "students/part_cot"),
        (StageId(Kind.TABLE, "second_try", 1), "table_second_try", "tables/second_try/part-00000.parquet"),
    ],
)
def test_names_and_places(stage: StageId, name: str, place: str):
    assert (stage.name, place_of(stage)) == (name, place)


def test_names_of_0_1_are_known_and_no_others():
    assert id_of("rollouts_teacher") == TEACHER
    assert id_of("training_02") == StageId.of_iteration(Kind.TRAINING, 2)
    assert id_of("branch").kind is Kind.BRANCH
    with pytest.raises(KeyError):
        id_of("answers_00")


def test_no_file_takes_the_name_of_a_stage_apart():
    """Whoever wants the kind or the iteration of a stage asks its id."""
    kinds = "|".join(kind.value for kind in Kind)
    pattern = re.compile(rf"\.stage\.(?:partition|rpartition|split|startswith)|[\"'](?:{kinds})_[\"'{{]")
    root = Path(siked_ray.__file__).parent
    found = [str(path.relative_to(root)) for path in root.rglob("*.py") if pattern.search(path.read_text())]
    assert found == ["core/stage.py"], "where names are made"
