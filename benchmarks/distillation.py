"""A training step with the teacher's top 16 against one with cross-entropy: tokens/s and peak memory.

    python -m benchmarks.distillation [--shape smollm2] [--seconds 40] [--repeats 3]

Each measurement is a process of its own on GSM8K's solutions, one after the other, in turns; medians of the repeats.
The target is 0.8 of the tokens/s within 1.2 of the memory, with 49k tokens in the vocabulary.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OBJECTIVES = ("cross_entropy", "forward_kl", "jsd")
TOP_K = 16


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", default="smollm2")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options.model, options.seconds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        from benchmarks.training_data import save_model

        save_model(Path(folder) / "model", options.shape)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in OBJECTIVES}
        for _ in range(options.repeats):
            for name in OBJECTIVES:
                command = [sys.executable, "-m", "benchmarks.distillation", "--one", name]
                command += ["--model", f"{folder}/model", "--seconds", str(options.seconds)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[name].append(tuple(json.loads(output.splitlines()[-1])))
        show(found)


def show(found: dict[str, list[tuple[float, float]]]) -> None:
    """Medians, and their ratios to cross-entropy."""
    medians = {name: [statistics.median(values) for values in zip(*ones, strict=True)] for name, ones in found.items()}
    speed, memory = medians["cross_entropy"]
    for name, (tokens_per_s, gib) in medians.items():
        ratios = f"{tokens_per_s / speed:.2f} of the speed, {gib / memory:.2f} of the memory"
        print(f"{name:<14} {tokens_per_s:8,.0f} tokens/s  {gib:5.2f} GiB  {ratios}")


def measured(name: str, folder: str, seconds: float) -> tuple[float, float]:
    """Tokens/s of steps of one objective, and the most memory that the process had, in GiB."""
    import numpy as np
    import torch

    from benchmarks.training_data import rows
    from siked_ray.core.objective import ObjectiveSpec
    from siked_ray.data.encoding import encode_prompts, encode_responses, load_tokenizer
    from siked_ray.data.payload import TopK
    from siked_ray.settings.training import LoraSettings, TrainingSettings
    from siked_ray.training.compute.model import load_model
    from siked_ray.training.compute.objectives import objective_of
    from siked_ray.training.compute.packing import Example, PackedRow
    from siked_ray.training.compute.tensors import collate

    plan = TrainingSettings(lora=LoraSettings(rank=0)).plan(seed=1)
    model, _ = load_model(folder, plan, dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    spec = ObjectiveSpec() if name == "cross_entropy" else ObjectiveSpec(kind=name, with_teacher=True)
    objective, tokenizer, random = objective_of(spec), load_tokenizer(folder), np.random.default_rng(0)

    def said(num_tokens: int) -> TopK:
        ids = random.integers(0, model.config.vocab_size, (num_tokens, TOP_K))
        return TopK.of(ids, np.log(random.dirichlet(np.ones(TOP_K + 1), num_tokens)[:, :TOP_K]))

    data = rows(400)
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in data])
    responses = encode_responses(tokenizer, [row["response"] for row in data])
    examples = [
        Example(
            np.array(prompt, np.int32), np.array(response, np.int32), said(len(response)) if spec.with_teacher else None
        )
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    num_tokens, position, started = 0, 0, 0.0
    while not started or time.perf_counter() - started < seconds:
        row = PackedRow.of([examples[(position + offset) % len(examples)] for offset in range(8)])
        batch = collate([row], pad_token_id=0, loss_on="response")
        (objective.loss(model, batch, torch.device("cpu")) / max(len(batch.targets_L), 1)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if not started:  # the first step is a warm-up
            started = time.perf_counter()
            continue
        num_tokens += len(batch.input_ids_T)
        position += 8
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return num_tokens / (time.perf_counter() - started), peak


if __name__ == "__main__":
    main()
