"""A training stage on a cluster of two nodes of which one is lost, in a process of its own: one that is connected to
another Ray cannot connect to a second one.

`python -m tests.training.elastic FOLDER MODEL` leaves the stage's figures in FOLDER/outcome.json.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.training.test_trainer import PLAN
from tests.training.trained import Board, group, train_small


def main(folder: Path, model: str) -> None:
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        board = ray.remote(Board).options(num_cpus=0).remote()

        def lose_a_node() -> None:
            while ray.get(board.step.remote()) < 40:
                time.sleep(0.1)
            cluster.remove_node(nodes[1], allow_graceful=False)

        threading.Thread(target=lose_a_node, daemon=True).start()
        workers = group(min_workers=1, checkpoint_interval_s=0.3)
        outcome: dict[str, Any] = train_small(folder, model, PLAN, workers, board)
    finally:
        ray.shutdown()
        cluster.shutdown()
    (folder / "outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
