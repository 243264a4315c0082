"""From a mixture's files to tokens and the plan of the steps, as the Ray task does it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoConfig, AutoTokenizer

from siked_ray.core.ids import unit_interval
from siked_ray.core.objective import CROSS_ENTROPY, ObjectiveSpec
from siked_ray.core.training_plan import TrainingPlan
from siked_ray.data.storage import Storage
from siked_ray.driver import board_client
from siked_ray.errors import SikedError, StageError
from siked_ray.training.feed.preparation import Prepared, prepare
from siked_ray.training.stage.job import Job
from tests.training.deepspeed_runs import plan_values
from tests.training.trained import Board, local_ray, sums, with_rationales

pytestmark = pytest.mark.engines

PLAN = TrainingPlan(**plan_values(epochs=2))
BY_LOSS = replace(PLAN, candidates_every=5, held_out_fraction=0.3)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with local_ray(num_cpus=2):
        yield


@pytest.fixture
def prepared(ray, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import ray as cluster

    monkeypatch.setattr("siked_ray.data.storage._ROW_GROUP_SIZE", 30)
    storage = Storage(str(tmp_path))
    storage.write_parquet("one.parquet", pa.Table.from_pylist(sums(70)))
    storage.write_parquet("two.parquet", pa.Table.from_pylist(sums(90)[70:]))

    def run(
        plan: TrainingPlan,
        names: tuple[str, ...] = ("one.parquet", "two.parquet"),
        objective: ObjectiveSpec = CROSS_ENTROPY,
        start: str = tiny_model,
    ):
        board = cluster.remote(Board).remote()
        job = Job(
            rows=names, start=start, output="student", work=f"work-{'-'.join(names)}-{plan.shared_prompts}", plan=plan,
            objective=objective, storage=storage, board=board_client.Board(board), title="training",
            log_prefix=str(tmp_path / "logs" / "training"), use_gpu=False, checkpoint_interval_s=1.0, loggers=(),
        )  # fmt: skip
        outcome = cluster.get(cluster.remote(prepare).options(num_cpus=0).remote(job))
        return outcome, cluster.get(board.snapshot.remote())

    return run


def trained_on(data: Prepared) -> list[int]:
    return sorted(set(data.schedule.indices.tolist()))


def test_all_rows_are_planned_and_their_number_is_shown(prepared):
    data, (stage,) = prepared(PLAN)
    assert trained_on(data) == list(range(90))
    assert (data.num_skipped, data.held_out) == (0, None)
    assert data.chunks.starts.tolist() == [0, 70], "a chunk ends with its file"
    assert stage.figures == {"tokenised": "90 rows"} and stage.counted_from is None


def test_one_file_or_two_make_the_same_tokens_and_steps(prepared, tmp_path: Path):
    Storage(str(tmp_path)).write_parquet("both.parquet", pa.Table.from_pylist(sums(90)))
    (two, _), (one, _) = prepared(PLAN), prepared(PLAN, ("both.parquet",))
    assert one.schedule.indices.tolist() == two.schedule.indices.tolist()
    assert one.schedule.num_tokens.tolist() == two.schedule.num_tokens.tolist()


def test_held_out_prompts_are_not_trained_on(prepared):
    data, _ = prepared(BY_LOSS)
    held_out = [unit_interval("held out", row["prompt"]) < 0.3 for row in sums(90)]
    assert trained_on(data) == np.flatnonzero(~np.array(held_out)).tolist()
    assert sorted(data.held_out.indices.tolist()) == np.flatnonzero(held_out).tolist()


def test_rows_longer_than_a_packed_row_are_left_out_and_counted(prepared):
    """Sums have 22 to 30 tokens."""
    whole, _ = prepared(PLAN)
    data, _ = prepared(replace(PLAN, max_seq_len=27))
    assert 0 < data.num_skipped < 90
    assert set(trained_on(data)) < set(trained_on(whole))
    assert len(trained_on(data)) + data.num_skipped == 90
    assert data.schedule.num_tokens.sum() < 2 * 27 * len(trained_on(data))


SHARED = replace(BY_LOSS, shared_prompts=True)


def test_rows_of_one_prompt_are_planned_together_wherever_they_are(prepared, tmp_path: Path):
    Storage(str(tmp_path)).write_parquet("three.parquet", pa.Table.from_pylist(with_rationales(sums(30))))
    data, _ = prepared(SHARED, ("three.parquet",))
    assert data.shared_prompts
    assert sorted([*trained_on(data), *data.held_out.indices.tolist()]) == list(range(90))
    steps = zip(data.schedule.first_rows, data.schedule.first_rows[1:], strict=False)
    ends = np.concatenate([[0], data.schedule.ends])
    problems = [{index % 30 for index in data.schedule.indices[ends[first] : ends[end]]} for first, end in steps]
    num_trained = len({index % 30 for index in trained_on(data)})
    assert sum(map(len, problems)) < 1.6 * PLAN.epochs * num_trained, "of 3, were they anywhere"


def test_a_student_whose_attention_cannot_is_trained_on_rows_with_their_own_prompts(
    prepared, tiny_model: str, tmp_path
):
    config = AutoConfig.for_model("mistral", sliding_window=5)
    config.save_pretrained(tmp_path / "student")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "student")
    apart, _ = prepared(SHARED, start=str(tmp_path / "student"))
    assert not apart.shared_prompts
    assert apart.schedule.indices.tolist() == prepared(BY_LOSS)[0].schedule.indices.tolist()


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (replace(PLAN, max_seq_len=4), r"None of the 90 rows fits into training\.max_seq_len = 4 tokens"),
        (replace(BY_LOSS, held_out_fraction=1e-9), r"held_out_fraction = 1e-09 holds out none"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_an_error_that_is_returned(prepared, plan: TrainingPlan, says: str):
    outcome, _ = prepared(plan)
    assert isinstance(outcome, StageError)
    with pytest.raises(StageError, match=says):
        raise outcome


def test_wrong_solutions_are_not_what_is_held_out(prepared, tmp_path: Path):
    """Held-out rows decide by their text; a wrong one of such a prompt is neither trained on nor decides."""
    rows = [row | {"source": "wrong" if number % 2 else "teacher"} for number, row in enumerate(sums(60))]
    Storage(str(tmp_path)).write_parquet("marked.parquet", pa.Table.from_pylist(rows))
    objective = ObjectiveSpec(kind="reverse_kl", options={"wrong_weight": 1.0}, beside_teacher=True)
    plan = replace(PLAN, candidates_every=1, held_out_fraction=0.3)
    data, _ = prepared(plan, ("marked.parquet",), objective=objective)
    held_out = set(data.held_out.indices.tolist())
    assert held_out and all(number % 2 == 0 for number in held_out)
    trained = set(trained_on(data))
    assert any(number % 2 for number in trained) and not trained & held_out and data.chunks.with_wrong


def test_an_objective_that_reads_the_teacher_needs_rows_that_it_scored(prepared):
    outcome, _ = prepared(PLAN, ("one.parquet",), objective=ObjectiveSpec(with_teacher=True))
    assert isinstance(outcome, StageError)
    assert str(outcome) == "The rows in one.parquet have no teacher_ids: the teacher has not scored them."


def test_what_goes_wrong_in_the_pipeline_is_named_in_one_sentence(prepared, tmp_path: Path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing of the kind PAR1")
    pq.write_table(pa.table({"prompt": ["a"], "something": ["b"]}), tmp_path / "other.parquet")
    for name, says in (("broken.parquet", "is damaged"), ("other.parquet", "could not be tokenised: KeyError")):
        outcome, _ = prepared(PLAN, (name,))
        assert isinstance(outcome, SikedError) and says in str(outcome) and "\n" not in str(outcome)
