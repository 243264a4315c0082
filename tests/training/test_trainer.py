"""Training stages on the real Ray Train, with workers and drivers that are killed; all share one Ray."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.errors import PlacementError, StageError
from siked_ray.training.stage import trainer
from tests.s3_server import s3_server
from tests.training.deepspeed_runs import REPOSITORY, plan_values
from tests.training.killer import CountsStarts, KillsOneThatIsSetUp
from tests.training.trained import Board, group, killing, local_ray, sums, train_small, worker_processes

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

PLAN = TrainingPlan(**plan_values(epochs=6, rows_per_step=2, micro_batch_size=1, zero_stage=2))


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A client of an object store, which is in the environment of the Ray that starts after it."""
    with s3_server() as client:
        yield client


@pytest.fixture(scope="module")
def ray(bucket: Any) -> Iterator[Any]:
    """The module, connected."""
    import ray

    with local_ray():
        yield ray


@pytest.fixture(scope="module")
def undisturbed(ray: Any, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return train_small(folder, tiny_model, PLAN, group()) | {"folder": folder}


@pytest.fixture
def board(ray: Any) -> Any:
    return ray.remote(Board).options(num_cpus=0).remote()


def call_back(monkeypatch: pytest.MonkeyPatch, callback: Any) -> None:
    """Have Ray Train call it in stages that start from now on."""
    made = trainer.run_config

    def with_callback(*arguments: Any) -> Any:
        config = made(*arguments)
        config.callbacks.append(callback)
        return config

    monkeypatch.setattr(trainer, "run_config", with_callback)


def test_workers_killed_at_set_up_and_at_work_change_nothing_in_the_result(
    undisturbed, bucket: Any, board: Any, tiny_model: str, tmp_path: Path, monkeypatch
):
    """Rows, tokens, checkpoints and the student are on an object store."""
    call_back(monkeypatch, KillsOneThatIsSetUp(tmp_path / "killed"))
    with killing(board, lambda step: step >= 40, num_kills=1) as killed:
        workers = group(checkpoint_interval_s=0.3)
        metrics = train_small(tmp_path, tiny_model, PLAN, workers, board, run_dir="s3://bucket/run")
    assert (tmp_path / "killed").exists() and killed and killed[0] < metrics["steps"]
    assert 0 < metrics["resumed_at_step"] < metrics["steps"], "from a checkpoint, not from the start"
    assert metrics["losses"] == undisturbed["losses"]
    weights = bucket.get_object(Bucket="bucket", Key="run/student/model.safetensors")["Body"].read()
    assert weights == (undisturbed["folder"] / "student" / "model.safetensors").read_bytes()
    kept = [step for step in kept_on(bucket) if step > killed[0]]
    assert len(kept) == 2, "two are kept; some that were on their way when the worker died may be there too"
    assert not (tmp_path / "checkpoints").exists()


def kept_on(bucket: Any) -> set[int]:
    """Steps of the student's checkpoints."""
    keys = [one["Key"] for one in bucket.list_objects_v2(Bucket="bucket", Prefix="run/checkpoints/")["Contents"]]
    return {int(match.group(1)) for key in keys if (match := re.search(r"student-[^/]*/step_(\d+)", key))}


def test_what_was_trained_is_kept_when_the_run_is_told_to_stop(
    ray: Any, undisturbed, board: Any, tiny_model: str, tmp_path: Path
):
    """The checkpoint that no interval asked for is where a worker that is killed afterwards goes on from."""
    ray.get(board.begin.remote("training", "steps", 1))

    def is_kept(step: int) -> bool:
        ray.get(board.stop.remote())
        return ray.get(board.is_kept.remote())

    with killing(board, is_kept) as killed:
        metrics = train_small(tmp_path, tiny_model, PLAN, group(), board)
    assert killed, "before the stage was finished"
    assert 0 < metrics["resumed_at_step"] < metrics["steps"]
    assert metrics["losses"] == undisturbed["losses"]


DRIVER = """
import sys; from pathlib import Path
import ray
from tests.training.test_trainer import PLAN
from tests.training.trained import group, train_small
ray.init(address=sys.argv[3], log_to_driver=False, logging_level="ERROR")
train_small(Path(sys.argv[1]), sys.argv[2], PLAN, group(checkpoint_interval_s=0.3))
"""


def test_a_killed_driver_goes_on_from_its_last_checkpoint(ray: Any, undisturbed, tiny_model: str, tmp_path: Path):
    command = [sys.executable, "-c", DRIVER, str(tmp_path), tiny_model, ray.get_runtime_context().gcs_address]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    driver = subprocess.Popen(command, env=environment, cwd=REPOSITORY, start_new_session=True)
    snapshot = "checkpoints/*/checkpoint_manager_snapshot.json"
    while driver.poll() is None and not list(tmp_path.glob(snapshot)):
        time.sleep(0.1)
    assert driver.poll() is None, "killed while it trains"
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    while worker_processes():
        time.sleep(0.1)
    metrics = train_small(tmp_path, tiny_model, PLAN, group())
    assert 0 < metrics["resumed_at_step"] < metrics["steps"]
    assert metrics["losses"] == undisturbed["losses"]


def test_elastic_workers_go_on_with_fewer_when_a_node_is_lost(undisturbed, tiny_model: str, tmp_path: Path):
    """Two nodes of one worker each; one is lost: the state is resharded and one worker does all rows of a step."""
    command = [sys.executable, "-m", "tests.training.elastic", str(tmp_path), tiny_model]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "15"}
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert outcome["workers_at_end"] == 1 and outcome["resumed_at_step"] > 0
    assert outcome["losses"] == pytest.approx(undisturbed["losses"], rel=1e-4)


def test_figures_of_the_stage_and_its_files(undisturbed):
    folder = undisturbed["folder"]
    assert undisturbed["steps"] == len(undisturbed["losses"]) and undisturbed["skipped"] == 0
    assert undisturbed["losses"][-1] < 0.5 * undisturbed["losses"][0]
    assert 0 < undisturbed["padding"] < 0.2 and undisturbed["warnings"] == []
    assert list((folder / "logs" / "tensorboard" / "training").glob("events*"))
    stops = json.loads((folder / "student" / "generation_config.json").read_text())["eos_token_id"]
    assert stops in (1, [1])


def test_what_cannot_work_is_said_once_and_not_tried_again(ray: Any, tiny_model: str, tmp_path: Path, monkeypatch):
    """Three failures are allowed, but a row length that fits nothing is none of them."""
    call_back(monkeypatch, CountsStarts(tmp_path / "starts"))
    plan = TrainingPlan(**plan_values(max_seq_len=4))
    with pytest.raises(StageError, match=r"None of the 200 rows fits into training\.max_seq_len = 4"):
        train_small(tmp_path, tiny_model, plan, group(num_workers=1))
    assert (tmp_path / "starts").read_text() == "started\n"


@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_without_a_place_are_not_waited_for_for_ever(
    ray: Any, tiny_model: str, tmp_path: Path, monkeypatch, num_workers: int
):
    """Two workers, and two or more, where one has a place."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "3")
    cpus = ray.cluster_resources()["CPU"]
    workers = group(num_workers, min_workers=2, cpus_per_worker=cpus, placement_timeout_s=3.0)
    with pytest.raises(PlacementError, match=f"no place for 2 training workers of {cpus:g} CPU each"):
        train_small(tmp_path, tiny_model, PLAN, workers)


def test_candidates_are_chosen_by_held_out_loss(ray: Any, tiny_model: str, tmp_path: Path):
    """A learning rate that spoils the student later on: an early candidate wins, and it is what is exported."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from siked_ray.core.ids import unit_interval
    from siked_ray.data.encoding import encode_prompts, encode_responses
    from siked_ray.training.compute.objectives import CrossEntropy
    from siked_ray.training.compute.packing import Example, PackedRow
    from siked_ray.training.compute.tensors import collate

    plan = TrainingPlan(
        **plan_values(epochs=6, rows_per_step=2, learning_rate=0.1, schedule="constant", max_grad_norm=100.0),
        candidates_every=5,
        held_out_fraction=0.3,
    )
    metrics = train_small(tmp_path, tiny_model, plan, group(), num_rows=80)
    losses = {one["step"]: one["held_out_loss"] for one in metrics["candidates"]}
    assert sorted(losses) == [*range(5, metrics["steps"], 5), metrics["steps"]]
    best = min(losses, key=losses.__getitem__)
    assert losses[best] < losses[metrics["steps"]]

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "student")
    held_out = [row for row in sums(80) if unit_interval("held out", row["prompt"]) < 0.3]
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in held_out])
    responses = encode_responses(tokenizer, [row["response"] for row in held_out])
    examples = [
        Example(torch.tensor(p).numpy(), torch.tensor(r).numpy()) for p, r in zip(prompts, responses, strict=True)
    ]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    batch = collate([PackedRow.of(examples)], pad_token_id=0, loss_on="response")
    with torch.no_grad():
        loss = CrossEntropy().loss(model, batch, torch.device("cpu")).item() / len(batch.targets_L)
    assert loss == pytest.approx(losses[best], rel=1e-4)
