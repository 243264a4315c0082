"""Kills a random worker of a 2-worker training stage at random moments, and compares with an undisturbed one.

    python benchmarks/training_kills.py [--kills 10] [--seed 0]

A kill every 2 to 8 s of training, whatever the workers are doing then: stepping, writing a checkpoint, exporting.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from siked_ray.core.training_plan import TrainingPlan
from tests.conftest import save_tiny_model, save_tiny_tokenizer
from tests.training.deepspeed_runs import plan_values
from tests.training.trained import Board, group, killing, local_ray, train_small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    changes = {"epochs": arguments.epochs, "rows_per_step": 2, "micro_batch_size": 1, "zero_stage": 2}
    plan = TrainingPlan(**plan_values(**changes))
    folder = Path(tempfile.mkdtemp())
    save_tiny_model(folder)
    save_tiny_tokenizer(folder)
    draw = random.Random(arguments.seed)
    with local_ray():
        import ray

        calm = train_small(folder / "calm", str(folder), plan, group())
        print(f"undisturbed: {calm['steps']} steps in {calm['seconds']:.0f} s, last loss {calm['last_loss']:.9f}")
        board = ray.remote(Board).remote()
        state = {"step": -1, "at": float("inf")}

        def now(step: int) -> bool:
            """A moment drawn anew each time that training has gone on."""
            if step != state["step"] and state["at"] == float("inf"):
                state["at"] = time.monotonic() + draw.uniform(2, 8)
            state["step"] = step
            if time.monotonic() < state["at"]:
                return False
            state["at"] = float("inf")
            return True

        workers = group(max_failures=arguments.kills + 1, checkpoint_interval_s=1.0)
        with killing(board, now, num_kills=arguments.kills) as killed:
            started = time.monotonic()
            hit = train_small(folder / "hit", str(folder), plan, workers, board)
        print(f"killed {len(killed)} times, at steps {killed}; {time.monotonic() - started:.0f} s in all")
    same = hit["losses"] == calm["losses"]
    weights = [(folder / name / "student" / "model.safetensors").read_bytes() for name in ("calm", "hit")]
    print(f"last loss {hit['last_loss']:.9f}; all losses equal: {same}; weights equal: {weights[0] == weights[1]}")
    raise SystemExit(not (same and weights[0] == weights[1] and len(killed) == arguments.kills))


if __name__ == "__main__":
    main()
