"""Useful tokens/s of training, side by side with TRL's SFTTrainer: same model, data, precision, threads and machine.

    python benchmarks/training_throughput.py [--repeats 3] [--seconds 8] [--trl FOLDER_WITH_TRL]

Useful tokens are those of prompts and responses; padding is not counted. Each figure is a process of its own; the
ways take turns. TRL is no dependency of this project: `uv pip install --target FOLDER --no-deps trl`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.training_data import MAX_SEQ_LEN, rows, save_model

WAYS = ("siked", "trl packed", "trl unpacked")
ROWS_PER_STEP = 8
_WARM_UP_STEPS = 2


class _Enough(Exception):
    """The measurement is long enough."""


class Clock:
    """Counts tokens and seconds from the end of the warm-up on."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._steps, self._tokens, self._started = seconds, 0, 0, 0.0
        self.speed = 0.0

    def step(self, tokens: int) -> bool:
        """After an optimizer step of so many tokens; True when it is enough."""
        self._steps += 1
        if self._steps <= _WARM_UP_STEPS:
            self._started, self._tokens = time.perf_counter(), 0
            return False
        self._tokens += tokens
        elapsed = time.perf_counter() - self._started
        self.speed = self._tokens / elapsed
        return elapsed >= self._seconds


def measure_siked(model: str, seconds: float) -> float:
    import torch
    import torch.distributed as dist
    from transformers import AutoTokenizer

    from siked_ray.data.encoding import encode_prompts, encode_responses
    from siked_ray.training.model import load_model, wrap
    from siked_ray.training.packing import Example, Lengths
    from siked_ray.training.plan import packed_rows, plan_steps
    from siked_ray.training.steps import Hooks, Progress, Worker, train

    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    dist.init_process_group("gloo", f"file://{tempfile.mkdtemp()}/store", rank=0, world_size=1)
    plan = _plan()
    tokenizer, data = AutoTokenizer.from_pretrained(model), rows()
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in data])
    responses = encode_responses(tokenizer, [row["response"] for row in data])
    examples = [
        Example(torch.tensor(p).numpy(), torch.tensor(r).numpy()) for p, r in zip(prompts, responses, strict=True)
    ]
    schedule = plan_steps(plan, Lengths.of(examples))
    packed = packed_rows(examples, *schedule.share(range(len(schedule)), rank=0, num_workers=1))
    student, _ = load_model(model, plan, dtype=torch.float32)
    engine = wrap(student, plan, num_steps=len(schedule), num_workers=1, bfloat16=False)
    clock, seen = Clock(seconds), 0

    def after_step(progress: Progress, due: bool) -> None:
        nonlocal seen
        tokens, seen = progress.tokens - seen, progress.tokens
        if clock.step(tokens):
            raise _Enough

    with suppress(_Enough):
        train(engine, packed, schedule, plan, Worker(), hooks=Hooks(after_step=after_step))
    return clock.speed


def _plan() -> Any:
    from siked_ray.training.plan import TrainingPlan

    return TrainingPlan(
        seed=1, shuffle=True, epochs=1, micro_batch_size=2, rows_per_step=ROWS_PER_STEP, max_seq_len=MAX_SEQ_LEN,
        learning_rate=1e-3, schedule="linear", warmup_steps=5, weight_decay=0.01, max_grad_norm=1.0,
        gradient_checkpointing=False, loss_on="response", lora_rank=0, lora_alpha=1, lora_dropout=0.0, zero_stage=0,
        precision="float32", trust_remote_code=False,
    )  # fmt: skip


def measure_trl(model: str, seconds: float, *, packing: bool) -> float:
    """SFTTrainer with about as many tokens per step; of packed rows the padding is told by the positions."""
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    clock, counted = Clock(seconds), [0]

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = clock.step(counted[0])
            counted[0] = 0

    data = datasets.Dataset.from_list([{"prompt": r["prompt"], "completion": r["response"]} for r in rows()])
    micro_batch = 2 if packing else 8
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=micro_batch, gradient_accumulation_steps=4,
        max_length=MAX_SEQ_LEN, packing=packing, use_cpu=True, bf16=False, learning_rate=1e-3, weight_decay=0.01,
        lr_scheduler_type="linear", warmup_steps=5, logging_steps=1_000_000, save_strategy="no", report_to="none",
        gradient_checkpointing=False, dataloader_pin_memory=False, disable_tqdm=True, seed=1,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(model), config, train_dataset=data, processing_class=tokenizer,
        callbacks=[Watch()],
    )  # fmt: skip
    collate = trainer.data_collator

    def counting(examples: list[Any]) -> Any:
        batch = collate(examples)
        counted[0] += int((batch["input_ids"] != tokenizer.pad_token_id).sum())
        return batch

    trainer.data_collator = counting
    trainer.train()
    return clock.speed


def measure(way: str, model: str, seconds: float) -> float:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return measure_siked(model, seconds) if way == "siked" else measure_trl(model, seconds, packing=way == "trl packed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trl", default="")
    parser.add_argument("--only", nargs=2, metavar=("WAY", "MODEL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps({"tokens_per_s": measure(*arguments.only, arguments.seconds)}))
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        speeds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(arguments.repeats):
            for way in WAYS:
                speeds[way].append(_in_a_process(way, folder, arguments))
                print(f"{way:14s} {speeds[way][-1]:8,.0f} useful tokens/s", flush=True)
    medians = {way: statistics.median(values) for way, values in speeds.items()}
    best = max(medians["trl packed"], medians["trl unpacked"])
    for way, values in speeds.items():
        print(f"{way:14s} median {medians[way]:8,.0f}  from {min(values):,.0f} to {max(values):,.0f}")
    print(f"siked / better of TRL's: {medians['siked'] / best:.2f}")


def _in_a_process(way: str, model: str, arguments: argparse.Namespace) -> float:
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "DS_ACCELERATOR": "cpu", "TRL_EXPERIMENTAL_SILENCE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [arguments.trl, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, __file__, "--only", way, model, "--seconds", str(arguments.seconds)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(answer.stderr[-3000:])
    return json.loads(answer.stdout.splitlines()[-1])["tokens_per_s"]


if __name__ == "__main__":
    main()
