"""Useful tokens/s of training, side by side with TRL's SFTTrainer: same model, data, precision, threads and machine.

    python benchmarks/training_throughput.py [--repeats 3] [--seconds 8] [--trl FOLDER_WITH_TRL]
        [--shape tiny|smollm2] [--rationales 3] [--lora 16] [--precision bfloat16] [--ways siked "siked shared"]

Useful tokens are those of prompts and responses, of each row as if it were alone: padding is not counted, and a prompt
that is computed once for several rows counts for each. Each figure is a process of its own; the ways take turns. TRL
is no dependency of this project: `uv pip install --target FOLDER --no-deps trl`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.training_data import MAX_SEQ_LEN, SHAPES, rows, save_model

WAYS = ("siked", "siked shared", "trl packed", "trl unpacked")
MICRO_BATCH = 2
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


def measure_siked(model: str, options: argparse.Namespace, *, shared_prompts: bool) -> float:
    import torch
    import torch.distributed as dist
    from transformers import AutoTokenizer

    from siked_ray.data.encoding import encode_prompts, encode_responses
    from siked_ray.training.compute.loop import Hooks, Progress, Worker, train
    from siked_ray.training.compute.model import load_model, wrap
    from siked_ray.training.compute.objectives import CrossEntropy
    from siked_ray.training.compute.packing import Example, Lengths
    from siked_ray.training.compute.schedule import packed_rows, plan_steps

    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    dist.init_process_group("gloo", f"file://{tempfile.mkdtemp()}/store", rank=0, world_size=1)
    plan, bfloat16 = _plan(options, shared_prompts), options.precision == "bfloat16"
    tokenizer, data = AutoTokenizer.from_pretrained(model), rows(rationales=options.rationales)
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in data])
    responses = encode_responses(tokenizer, [row["response"] for row in data])
    examples = [
        Example(torch.tensor(p).numpy(), torch.tensor(r).numpy()) for p, r in zip(prompts, responses, strict=True)
    ]
    schedule = plan_steps(plan, Lengths.of(examples))
    packed = packed_rows(examples, *schedule.share(range(len(schedule)), rank=0, num_workers=1))
    student, _ = load_model(model, plan, dtype=getattr(torch, options.precision))
    engine = wrap(student, plan, num_steps=len(schedule), num_workers=1, bfloat16=bfloat16)
    clock, seen = Clock(options.seconds), 0

    def after_step(progress: Progress, due: bool) -> None:
        nonlocal seen
        tokens, seen = progress.tokens - seen, progress.tokens
        if clock.step(tokens):
            raise _Enough

    with suppress(_Enough):
        train(engine, CrossEntropy(), packed, schedule, plan, Worker(), hooks=Hooks(after_step=after_step))
    return clock.speed


def _plan(options: argparse.Namespace, shared_prompts: bool) -> Any:
    from siked_ray.core.training_plan import TrainingPlan

    return TrainingPlan(
        seed=1, shuffle=True, epochs=1, micro_batch_size=MICRO_BATCH, rows_per_step=options.rows_per_step,
        max_seq_len=MAX_SEQ_LEN, learning_rate=1e-3, schedule="linear", warmup_steps=5, weight_decay=0.01,
        max_grad_norm=1.0, gradient_checkpointing=False, loss_on="response", lora_rank=options.lora,
        lora_alpha=2 * options.lora or 1, lora_dropout=0.0, zero_stage=0, precision=options.precision,
        trust_remote_code=False, shared_prompts=shared_prompts,
    )  # fmt: skip


def measure_trl(model: str, options: argparse.Namespace, *, packing: bool) -> float:
    """SFTTrainer with about as many tokens per step; of packed rows the padding is told by the positions."""
    import datasets
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from siked_ray.training.compute.model import LORA_TARGETS

    clock, counted = Clock(options.seconds), [0]

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = clock.step(counted[0])
            counted[0] = 0

    data = [{"prompt": row["prompt"], "completion": row["response"]} for row in rows(rationales=options.rationales)]
    bfloat16 = options.precision == "bfloat16"
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=MICRO_BATCH * (1 if packing else 4),
        gradient_accumulation_steps=options.rows_per_step // MICRO_BATCH, max_length=MAX_SEQ_LEN, packing=packing,
        use_cpu=True, bf16=bfloat16, learning_rate=1e-3, weight_decay=0.01, lr_scheduler_type="linear", warmup_steps=5,
        logging_steps=1_000_000, save_strategy="no", report_to="none", gradient_checkpointing=False,
        dataloader_pin_memory=False, disable_tqdm=True, seed=1,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(model)
    lora = (
        LoraConfig(r=options.lora, lora_alpha=2 * options.lora, target_modules=LORA_TARGETS) if options.lora else None
    )
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, options.precision)), config,
        train_dataset=datasets.Dataset.from_list(data), processing_class=tokenizer, callbacks=[Watch()],
        peft_config=lora,
    )  # fmt: skip
    collate = trainer.data_collator

    def counting(examples: list[Any]) -> Any:
        batch = collate(examples)
        counted[0] += int((batch["input_ids"] != tokenizer.pad_token_id).sum())
        return batch

    trainer.data_collator = counting
    trainer.train()
    return clock.speed


def measure(way: str, model: str, options: argparse.Namespace) -> float:
    import torch

    torch.set_num_threads(options.threads)
    if way.startswith("siked"):
        return measure_siked(model, options, shared_prompts=way == "siked shared")
    return measure_trl(model, options, packing=way == "trl packed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trl", default="")
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--rationales", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--lora", type=int, default=0, help="rank; 0: full fine-tuning")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rows-per-step", type=int, default=8)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--only", nargs=2, metavar=("WAY", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps({"tokens_per_s": measure(*options.only, options)}))
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), options.shape)
        speeds: dict[str, list[float]] = {way: [] for way in options.ways}
        for _ in range(options.repeats):
            for way in options.ways:
                speeds[way].append(_in_a_process(way, folder, options))
                print(f"{way:14s} {speeds[way][-1]:8,.0f} useful tokens/s", flush=True)
    medians = {way: statistics.median(values) for way, values in speeds.items()}
    for way, values in speeds.items():
        print(f"{way:14s} median {medians[way]:8,.0f}  from {min(values):,.0f} to {max(values):,.0f}")
    _compare(medians, "siked shared", ["siked"])
    for way in ("siked", "siked shared"):
        _compare(medians, way, ["trl packed", "trl unpacked"])


def _compare(medians: Mapping[str, float], way: str, others: Sequence[str]) -> None:
    there = [medians[other] for other in others if other in medians]
    if way in medians and there:
        print(f"{way} / best of {', '.join(others)}: {medians[way] / max(there):.2f}")


def _in_a_process(way: str, model: str, options: argparse.Namespace) -> float:
    threads = str(options.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "DS_ACCELERATOR": "cpu", "TRL_EXPERIMENTAL_SILENCE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [options.trl, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, __file__, *sys.argv[1:], "--only", way, model]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(answer.stderr[-3000:])
    return json.loads(answer.stdout.splitlines()[-1])["tokens_per_s"]


if __name__ == "__main__":
    main()
