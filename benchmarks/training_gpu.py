"""Tokens/s, share of peak and memory on one GPU: a Qwen2-0.5B-shaped model with random weights, bfloat16.

    python benchmarks/training_gpu.py [--peak-tflops 989] [--steps 20] [--skip-transformers] [--tiny]

In one call: this project's loop (packed, without padding, logits at targets only), a plain PyTorch loop on padded
rows of one example each, and transformers' Trainer on the same. Useful tokens; 989 TFLOP/s is an H100's dense
bfloat16 peak. FLOPs are 6 per weight and token plus causal attention within each example.
`--tiny` takes two small layers and runs without a GPU too, to see that all three ways work; its figures say nothing.
Not run on a GPU so far: none was at hand.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.training.compute.attention import attention_for, register_packed_attention
from siked_ray.training.compute.loop import Hooks, Progress, Worker, train
from siked_ray.training.compute.model import use_fused_loss
from siked_ray.training.compute.objectives import CrossEntropy
from siked_ray.training.compute.packing import Example, Lengths
from siked_ray.training.compute.plain_engine import PlainEngine
from siked_ray.training.compute.schedule import packed_rows, plan_steps

MAX_SEQ_LEN, MICRO_BATCH, WARM_UP = 1024, 8, 3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPE = {"vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
         "num_attention_heads": 14, "num_key_value_heads": 2}  # fmt: skip
TINY = {"vocab_size": 2048, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1}  # fmt: skip


class _Enough(Exception):
    """The measurement is long enough."""


def model_config() -> Any:
    from transformers import Qwen2Config

    return Qwen2Config(**SHAPE, max_position_embeddings=MAX_SEQ_LEN, tie_word_embeddings=True)


def random_model(attention: str) -> Any:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(model_config(), dtype=torch.bfloat16, attn_implementation=attention)
    return model.to(DEVICE)


def gsm8k_like(num_examples: int) -> list[Example]:
    random = np.random.default_rng(0)
    total = np.clip(60 + random.lognormal(np.log(140), 0.4, num_examples), 80, 1000).astype(int)
    tokens = [random.integers(0, SHAPE["vocab_size"], size).astype(np.int32) for size in total]
    return [Example(prompt=each[: len(each) // 2], response=each[len(each) // 2 :]) for each in tokens]


def flops(model: Any, lengths: np.ndarray) -> float:
    """Forward and backward of these examples."""
    config = model.config
    weights = sum(parameter.numel() for parameter in model.parameters())
    attention = 6 * config.num_hidden_layers * config.hidden_size * float((lengths.astype(float) ** 2).sum())
    return 6.0 * weights * float(lengths.sum()) + attention


def adamw(model: Any) -> Any:
    return torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)


def ours(examples: list[Example], num_steps: int) -> tuple[float, float]:
    register_packed_attention()
    on_gpu = DEVICE == "cuda"
    model = random_model(attention_for(model_config(), on_gpu=on_gpu, half_precision=True))
    fused = on_gpu and use_fused_loss(model)
    print(f"attention {model.config._attn_implementation}, Liger {'on' if fused else 'off'}")
    plan = TrainingPlan(
        seed=1, shuffle=True, epochs=1, micro_batch_size=MICRO_BATCH, rows_per_step=MICRO_BATCH,
        max_seq_len=MAX_SEQ_LEN, learning_rate=1e-4, schedule="constant", warmup_steps=0, weight_decay=0.0,
        max_grad_norm=1.0, gradient_checkpointing=False, loss_on="response", lora_rank=0, lora_alpha=1,
        lora_dropout=0.0, zero_stage=0, precision="bfloat16", trust_remote_code=False,
    )  # fmt: skip
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    engine = PlainEngine(model.train(), optimizer, schedule, num_micro_steps=1, max_grad_norm=1.0)
    lengths = Lengths.of(examples)
    steps = plan_steps(plan, lengths)
    rows = packed_rows(examples, *steps.share(range(len(steps)), rank=0, num_workers=1))
    clock = Clock(model, num_steps)

    def of_step(step: int) -> np.ndarray:
        return steps.share(range(step, step + 1), rank=0, num_workers=1)[0]

    def after_step(progress: Progress, due: bool) -> None:
        if clock.step(lengths.total[of_step(progress.steps - 1)]):
            raise _Enough

    with suppress(_Enough):
        train(engine, CrossEntropy(fused=fused), rows, steps, plan, Worker(), hooks=Hooks(after_step=after_step))
    return clock.result


def padded(examples: list[Example], size: int) -> Iterator[dict[str, torch.Tensor]]:
    for first in range(0, len(examples) - size, size):
        batch = examples[first : first + size]
        longest = max(map(len, batch))
        ids = torch.zeros((size, longest), dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for row, example in enumerate(batch):
            tokens = torch.from_numpy(np.concatenate([example.prompt, example.response]).astype(np.int64))
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
            labels[row, len(example.prompt) : len(tokens)] = tokens[len(example.prompt) :]
        yield {"input_ids": ids, "attention_mask": mask, "labels": labels}


def plain_loop(examples: list[Example], num_steps: int) -> tuple[float, float]:
    model = random_model("sdpa").train()
    optimizer, clock = adamw(model), Clock(model, num_steps)
    for batch in padded(examples, 4 * MICRO_BATCH):
        model(**{name: tensor.to(DEVICE) for name, tensor in batch.items()}).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if clock.step(batch["attention_mask"].sum(dim=1).numpy()):
            break
    return clock.result


def transformers_trainer(examples: list[Example], num_steps: int) -> tuple[float, float]:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    model = random_model("sdpa")
    batches = list(padded(examples, 4 * MICRO_BATCH))
    clock = Clock(model, num_steps)

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            lengths = batches[(state.global_step - 1) % len(batches)]["attention_mask"].sum(dim=1).numpy()
            control.should_training_stop = clock.step(lengths)

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=1, bf16=True, max_steps=num_steps + WARM_UP + 1,
        save_strategy="no", report_to="none", logging_steps=10**6, optim="adamw_torch_fused", disable_tqdm=True,
        dataloader_num_workers=0, use_cpu=DEVICE == "cpu",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=batches, data_collator=lambda one: one[0], callbacks=[Watch()])
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(batches)
    trainer.train()
    return clock.result


class Clock:
    """Useful tokens/s and FLOP/s between the end of the warm-up and the last step."""

    def __init__(self, model: Any, num_steps: int) -> None:
        self._model, self._num_steps = model, num_steps
        self._steps, self._tokens, self._flops, self._started = 0, 0, 0.0, 0.0
        self.result = (0.0, 0.0)

    def step(self, lengths: np.ndarray) -> bool:
        self._steps += 1
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        if self._steps <= WARM_UP:
            self._started = time.perf_counter()
            return False
        self._tokens += int(lengths.sum())
        self._flops += flops(self._model, lengths)
        elapsed = time.perf_counter() - self._started
        self.result = (self._tokens / elapsed, self._flops / elapsed)
        return self._steps >= self._num_steps + WARM_UP


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peak-tflops", type=float, default=989.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--skip-transformers", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    if arguments.tiny:
        SHAPE.update(TINY)
    elif DEVICE == "cpu":
        raise SystemExit("There is no GPU here, and this script measures one; --tiny only sees that it works.")
    print(f"{torch.cuda.get_device_name() if DEVICE == 'cuda' else 'no GPU'}, torch {torch.__version__}")
    examples = gsm8k_like(20_000)
    ways: dict[str, Callable[[list[Example], int], tuple[float, float]]] = {"siked": ours, "plain loop": plain_loop}
    if not arguments.skip_transformers:
        ways["transformers"] = transformers_trainer
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            if DEVICE == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            speed, rate = way(examples, arguments.steps)
            memory = torch.cuda.max_memory_allocated() / 2**30 if DEVICE == "cuda" else 0.0
            share = rate / (arguments.peak_tflops * 1e12)
            print(f"{name:14s} {speed:10,.0f} tokens/s   MFU {share:.1%}   peak memory {memory:.1f} GiB", flush=True)


if __name__ == "__main__":
    main()
