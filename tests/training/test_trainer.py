"""Training stages on the real Ray Train, with workers, drivers and nodes that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from siked_ray.errors import PlacementError, StageError
from siked_ray.training import trainer
from siked_ray.training.plan import TrainingPlan
from tests.s3_server import s3_server
from tests.training.deepspeed_runs import REPOSITORY, plan_values
from tests.training.killer import KillsOneThatIsSetUp
from tests.training.trained import Board, group, killing, local_ray, sums, train_small

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

PLAN = TrainingPlan(**plan_values(epochs=6, rows_per_step=2, micro_batch_size=1, zero_stage=2))


@pytest.fixture(scope="module")
def undisturbed(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with local_ray():
        return train_small(folder, tiny_model, PLAN, group()) | {"folder": folder}


def test_a_killed_worker_changes_nothing_in_the_result(undisturbed, tiny_model: str, tmp_path: Path):
    with local_ray():
        import ray

        board = ray.remote(Board).remote()
        with killing(board, lambda step: step >= 40, num_kills=1) as killed:
            metrics = train_small(tmp_path, tiny_model, PLAN, group(checkpoint_interval_s=0.3), board)
    assert killed and killed[0] < metrics["steps"]
    assert 0 < metrics["resumed_at_step"] < metrics["steps"], "from a checkpoint, not from the start"
    assert metrics["losses"] == undisturbed["losses"]
    weights = "student/model.safetensors"
    assert (tmp_path / weights).read_bytes() == (undisturbed["folder"] / weights).read_bytes()
    kept = [entry.name for entry in (tmp_path / "checkpoints").glob("student-*/step_*")]
    assert len(kept) <= 2 + 1, "retention: two, and one that was on its way when the worker died"


def test_a_killed_worker_goes_on_from_an_object_store(undisturbed, tiny_model: str, tmp_path: Path):
    """Rows, tokens, checkpoints and the student are on S3."""
    with s3_server() as client, local_ray():
        import ray

        board = ray.remote(Board).remote()
        with killing(board, lambda step: step >= 40) as killed:
            workers = group(checkpoint_interval_s=0.3)
            metrics = train_small(tmp_path, tiny_model, PLAN, workers, board, run_dir="s3://bucket/run")
        weights = client.get_object(Bucket="bucket", Key="run/student/model.safetensors")["Body"].read()
    assert killed and 0 < metrics["resumed_at_step"] < metrics["steps"]
    assert metrics["losses"] == undisturbed["losses"]
    assert weights == (undisturbed["folder"] / "student" / "model.safetensors").read_bytes()
    assert not (tmp_path / "checkpoints").exists()


def test_a_worker_killed_between_set_up_and_work_changes_nothing(undisturbed, tiny_model, tmp_path: Path, monkeypatch):
    made = trainer.run_config

    def with_a_killer(*arguments: Any) -> Any:
        config = made(*arguments)
        config.callbacks.append(KillsOneThatIsSetUp(tmp_path / "killed"))
        return config

    monkeypatch.setattr(trainer, "run_config", with_a_killer)
    with local_ray():
        metrics = train_small(tmp_path, tiny_model, PLAN, group())
    assert (tmp_path / "killed").exists()
    assert metrics["losses"] == undisturbed["losses"]


def test_what_was_trained_is_kept_when_the_run_is_told_to_stop(undisturbed, tiny_model: str, tmp_path: Path):
    """The checkpoint that no interval asked for is where a worker that is killed afterwards goes on from."""
    with local_ray():
        import ray

        board = ray.remote(Board).remote()
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
from tests.training.test_trainer import PLAN
from tests.training.trained import group, local_ray, train_small
with local_ray():
    train_small(Path(sys.argv[1]), sys.argv[2], PLAN, group(checkpoint_interval_s=0.3))
"""


def test_a_killed_driver_goes_on_from_its_last_checkpoint(undisturbed, tiny_model: str, tmp_path: Path):
    command = [sys.executable, "-c", DRIVER, str(tmp_path), tiny_model]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    driver = subprocess.Popen(command, env=environment, cwd=REPOSITORY, start_new_session=True)
    snapshot = "checkpoints/*/checkpoint_manager_snapshot.json"
    while driver.poll() is None and not list(tmp_path.glob(snapshot)):
        time.sleep(0.1)
    assert driver.poll() is None, "killed while it trains"
    os.kill(driver.pid, signal.SIGKILL)
    with local_ray():
        metrics = train_small(tmp_path, tiny_model, PLAN, group())
    assert metrics["resumed_at_step"] > 0
    assert metrics["losses"] == undisturbed["losses"]


def test_elastic_workers_go_on_with_fewer_when_a_node_is_lost(
    undisturbed, tiny_model: str, tmp_path: Path, monkeypatch
):
    """Two nodes of one worker each; one is lost: the state is resharded and one worker does all rows of a step."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "15")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import threading

    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        board = ray.remote(Board).options(num_cpus=0).remote()
        outcome: dict[str, Any] = {}
        workers = group(min_workers=1, checkpoint_interval_s=0.3)
        thread = threading.Thread(
            target=lambda: outcome.update(train_small(tmp_path, tiny_model, PLAN, workers, board))
        )
        thread.start()
        while ray.get(board.step.remote()) < 40:
            time.sleep(0.1)
        cluster.remove_node(nodes[1], allow_graceful=False)
        thread.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
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


def test_what_cannot_work_is_said_once_and_not_tried_again(tiny_model: str, tmp_path: Path):
    """Three failures are allowed, but a row length that fits nothing is none of them."""
    plan = TrainingPlan(**plan_values(max_seq_len=4))
    with local_ray(), pytest.raises(StageError, match=r"None of the 200 rows fits into training\.max_seq_len = 4"):
        train_small(tmp_path, tiny_model, plan, group(num_workers=1))
    starts = (tmp_path / "logs" / "training_00.log").read_text().count("Started training worker group")
    assert starts <= 1


@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_without_a_place_are_not_waited_for_for_ever(tiny_model: str, tmp_path: Path, monkeypatch, num_workers):
    """Two workers, and two or more, on one CPU."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "3")
    workers = group(num_workers, min_workers=2, placement_timeout_s=3.0)
    with local_ray(num_cpus=1), pytest.raises(PlacementError, match="no place for 2 training workers of 1 CPU each"):
        train_small(tmp_path, tiny_model, PLAN, workers)


def test_candidates_are_chosen_by_held_out_loss(tiny_model: str, tmp_path: Path):
    """A learning rate that spoils the student later on: an early candidate wins, and it is what is exported."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from siked_ray.core.ids import unit_interval
    from siked_ray.data.encoding import encode_prompts, encode_responses
    from siked_ray.training.batch import collate
    from siked_ray.training.loss import summed_loss
    from siked_ray.training.packing import Example, PackedRow

    plan = TrainingPlan(
        **plan_values(epochs=6, rows_per_step=2, learning_rate=0.1, schedule="constant", max_grad_norm=100.0),
        candidates_every=5,
        held_out_fraction=0.3,
    )
    with local_ray():
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
        loss = summed_loss(model, batch, torch.device("cpu")).item() / len(batch.targets_L)
    assert loss == pytest.approx(losses[best], rel=1e-4)
