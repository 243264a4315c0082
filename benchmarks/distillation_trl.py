"""Token-level distillation side by side with TRL's GKDTrainer: the same loss on a batch, and useful tokens/s.

    python benchmarks/distillation_trl.py --trl FOLDER_WITH_TRL [--shape tiny|smollm2] [--repeats 3] [--seconds 20]
        [--precision bfloat16]

Of TRL's trainers it is the one that learns from given texts (`lmbda` 0), with the teacher's whole probabilities; its
`DistillationTrainer` writes its own. Teacher, student, rows of GSM8K, precision and threads are the same; each figure
is a process of its own, and the ways take turns. TRL is no dependency of this project: `uv pip install --target FOLDER
--no-deps trl`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.training_data import MAX_SEQ_LEN, SHAPES, rows, save_model
from benchmarks.training_throughput import Clock

ROWS_PER_STEP = 8
#: TRL's β of each divergence.
BETAS = {"forward_kl": 0.0, "reverse_kl": 1.0, "jsd": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", required=True)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--only", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        what, folder = options.only
        print(json.dumps({"losses": losses, "ours": ours, "trl": trl}[what](Path(folder), options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "student", options.shape)
        save_model(Path(folder) / "teacher", options.shape)
        _other_weights(Path(folder) / "teacher")
        for name, (own, theirs) in _in_a_process("losses", folder, options).items():
            print(f"{name:10s} {own:.6f} nats a target, TRL {theirs:.6f}, apart {abs(own - theirs):.1e}")
        speeds: dict[str, list[float]] = {"ours": [], "trl": []}
        for _ in range(options.repeats):
            for way, values in speeds.items():
                values.append(_in_a_process(way, folder, options))
                print(f"{way:5s} {values[-1]:8,.0f} useful tokens/s", flush=True)
    medians = {way: statistics.median(values) for way, values in speeds.items()}
    print(f"medians {medians['ours']:,.0f} and {medians['trl']:,.0f}: {medians['ours'] / medians['trl']:.2f} times TRL")


def losses(folder: Path, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Nats per target of each divergence on the same four rows, ours and TRL's, in float32."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.experimental.gkd import GKDTrainer

    from siked_ray.training.compute.packing import PackedRow
    from siked_ray.training.compute.tensors import collate

    examples = _examples(folder, 4)
    teacher, student = (_model(folder / name, torch.float32) for name in ("teacher", "student"))
    batch = collate([PackedRow.of(examples)], pad_token_id=0, loss_on="response")
    padded = _padded(examples)
    inputs = {name: padded[name] for name in ("input_ids", "attention_mask")}
    plain = [AutoModelForCausalLM.from_pretrained(folder / name) for name in ("student", "teacher")]
    found = {}
    for name, beta in BETAS.items():
        with torch.no_grad():
            own = _objective(name, teacher).loss(student, batch, torch.device("cpu")).item() / len(batch.targets_L)
            logits = [model(**inputs).logits[:, :-1] for model in plain]
            theirs = GKDTrainer.generalized_jsd_loss(*logits, padded["labels"][:, 1:], beta=beta).item()
        found[name] = (own, theirs)
    return found


def ours(folder: Path, options: argparse.Namespace) -> float:
    """Steps of packed rows, as a training worker takes them."""
    import torch

    from siked_ray.training.compute.packing import PackedRow
    from siked_ray.training.compute.tensors import collate

    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.precision)
    teacher, student = (_model(folder / name, dtype) for name in ("teacher", "student"))
    objective, optimizer = _objective("forward_kl", teacher), torch.optim.AdamW(student.parameters(), lr=1e-5)
    examples, clock, position = _examples(folder, 2000), Clock(options.seconds), 0
    while True:
        row = PackedRow.of([examples[(position + i) % len(examples)] for i in range(ROWS_PER_STEP)])
        position += ROWS_PER_STEP
        batch = collate([row], pad_token_id=0, loss_on="response")
        (objective.loss(student, batch, torch.device("cpu")) / len(batch.targets_L)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if clock.step(len(batch.input_ids_T)):
            return clock.speed


def trl(folder: Path, options: argparse.Namespace) -> float:
    """GKDTrainer on the same rows, as many a step."""
    import datasets
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    torch.set_num_threads(options.threads)
    clock, counted, examples = Clock(options.seconds), [0], _examples(folder, 2000)

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = clock.step(counted[0])
            counted[0] = 0

    def collate(positions: Sequence[dict[str, int]]) -> dict[str, Any]:
        batch = _padded([examples[one["position"]] for one in positions])
        counted[0] += int(batch["attention_mask"].sum())
        return batch

    config = GKDConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=ROWS_PER_STEP, gradient_accumulation_steps=1,
        lmbda=0.0, beta=0.0, temperature=1.0, use_cpu=True, bf16=options.precision == "bfloat16", learning_rate=1e-5,
        logging_steps=1_000_000, save_strategy="no", report_to="none", gradient_checkpointing=False,
        dataloader_pin_memory=False, disable_tqdm=True, seed=1,
    )  # fmt: skip
    dtype = getattr(torch, options.precision)
    teacher, student = (
        AutoModelForCausalLM.from_pretrained(folder / name, dtype=dtype) for name in ("teacher", "student")
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "student")
    trainer = GKDTrainer(
        student, teacher, config, data_collator=collate, processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_dict({"position": list(range(len(examples)))}), callbacks=[Watch()],
    )  # fmt: skip
    trainer.train()
    return clock.speed


def _objective(name: str, teacher: Any) -> Any:
    from siked_ray.core.objective import ObjectiveSpec
    from siked_ray.training.compute.objectives import objective_of

    options = {"cross_entropy_weight": 0.0, "beta": BETAS[name]}
    return objective_of(ObjectiveSpec(kind=name, options=options, beside_teacher=True), teacher=teacher)


def _model(folder: Path, dtype: Any) -> Any:
    from siked_ray.settings.training import LoraSettings, TrainingSettings
    from siked_ray.training.compute.model import load_model, load_teacher

    plan = TrainingSettings(lora=LoraSettings(rank=0)).plan(seed=1)
    if folder.name == "teacher":
        return load_teacher(str(folder), plan, dtype=dtype)
    return load_model(str(folder), plan, dtype=dtype)[0]


def _examples(folder: Path, limit: int) -> list[Any]:
    import numpy as np

    from siked_ray.data.encoding import encode_prompts, encode_responses, load_tokenizer
    from siked_ray.training.compute.packing import Example

    tokenizer, data = load_tokenizer(str(folder / "student")), rows(limit)
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in data])
    responses = encode_responses(tokenizer, [row["response"] for row in data])
    both = zip(prompts, responses, strict=True)
    found = [Example(np.array(prompt, np.int32), np.array(response, np.int32)) for prompt, response in both]
    return [one for one in found if len(one.prompt) + len(one.response) <= MAX_SEQ_LEN]


def _padded(examples: Sequence[Any]) -> dict[str, Any]:
    """As TRL takes them; prompts are for its own writing, which `lmbda` 0 never does."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor([*one.prompt, *one.response]) for one in examples]
    labels = [torch.tensor([*[-100] * len(one.prompt), *one.response]) for one in examples]
    prompts = [torch.tensor([*one.prompt]) for one in examples]

    def padded(rows: Sequence[Any], value: int) -> Any:
        return pad_sequence(list(rows), batch_first=True, padding_value=value)

    return {
        "input_ids": padded(ids, 2),
        "attention_mask": padded([torch.ones_like(one) for one in ids], 0),
        "labels": padded(labels, -100),
        "prompts": padded(prompts, 2),
        "prompt_attention_mask": padded([torch.ones_like(one) for one in prompts], 0),
    }


def _other_weights(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder)


def _in_a_process(what: str, folder: str, options: argparse.Namespace) -> Any:
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "TRL_EXPERIMENTAL_SILENCE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [options.trl, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, __file__, *sys.argv[1:], "--only", what, folder]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(answer.stderr[-3000:])
    return json.loads(answer.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
