"""Runs of the real path (DeepSpeed, gloo, several processes) without Ray, for the tests of its invariances.

`python -m tests.training.deepspeed_runs RANK NUM_WORKERS PORT FOLDER` does all runs of FOLDER/runs.json and leaves
losses, gradients and weights of each in FOLDER/NAME_ofNUM_WORKERS.pt. A run with `computed_apart` takes the steps of
its plan, but computes each row's prompt by itself.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
STOP_AT = 3


def plan_values(**changes: Any) -> dict[str, Any]:
    values = {
        "seed": 1, "shuffle": True, "epochs": 2, "micro_batch_size": 2, "rows_per_step": 8, "max_seq_len": 96,
        "learning_rate": 1e-3, "schedule": "linear", "warmup_steps": 1, "weight_decay": 0.01, "max_grad_norm": 1.0,
        "gradient_checkpointing": False, "loss_on": "response", "lora_rank": 0, "lora_alpha": 8.0, "lora_dropout": 0.0,
        "zero_stage": 0, "precision": "float32", "trust_remote_code": False,
    }  # fmt: skip
    return values | changes


def run_all(folder: Path, num_workers: int, timeout_s: float = 800.0) -> None:
    """Start the processes and wait; raises RuntimeError with the output of the first one that failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.deepspeed_runs", *map(str, (rank, num_workers, port, folder))],
            env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(num_workers)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=timeout_s)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, output in zip(processes, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(output[-3000:])


class Recording:
    """An engine that keeps the whole gradients of every optimizer step (before clipping)."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.module, self.device, self.gradients = engine, engine.module, engine.device, []

    def __call__(self, **inputs: Any) -> Any:
        return self.engine(**inputs)

    def backward(self, loss: Any) -> None:
        from deepspeed.utils import safe_get_full_grad

        self.engine.backward(loss)
        if self.engine.is_gradient_accumulation_boundary():
            named = [(n, p) for n, p in self.engine.module.named_parameters() if p.requires_grad]
            self.gradients.append({name: safe_get_full_grad(p).detach().clone().float() for name, p in named})

    def step(self) -> None:
        self.engine.step()


def main(rank: int, num_workers: int, port: int, folder: Path) -> None:
    import torch
    import torch.distributed as dist

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(num_workers)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=num_workers)
    spec = json.loads((folder / "runs.json").read_text())
    for name, run in spec["runs"].items():
        one_run(folder, name, run, spec["model"], rank, num_workers)


def random_teacher(student: str) -> Any:
    """With the student's tokens, half as wide; the same in all processes."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from siked_ray.training.compute.attention import PACKED

    config = AutoConfig.from_pretrained(student)
    config.hidden_size = 32
    torch.manual_seed(7)
    return AutoModelForCausalLM.from_config(config, attn_implementation=PACKED).eval().requires_grad_(False)


def one_run(folder: Path, name: str, run: dict[str, Any], start: str, rank: int, num_workers: int) -> None:
    import numpy as np
    import torch
    import torch.distributed as dist
    from transformers import AutoTokenizer

    from siked_ray.core.objective import ObjectiveSpec
    from siked_ray.core.training_plan import TrainingPlan
    from siked_ray.data.encoding import encode_prompts, encode_responses
    from siked_ray.training.compute.head import check_head
    from siked_ray.training.compute.loop import Hooks, Worker, train
    from siked_ray.training.compute.model import add_projector, load_model, wrap
    from siked_ray.training.compute.objectives import objective_of
    from siked_ray.training.compute.packing import Example, Lengths
    from siked_ray.training.compute.schedule import packed_rows, plan_steps
    from siked_ray.training.stage import checkpoint
    from siked_ray.training.stage.export import export
    from tests.training.payloads import said_of
    from tests.training.trained import sums, with_rationales

    plan = TrainingPlan(**plan_values(**run["plan"]))
    tokenizer = AutoTokenizer.from_pretrained(start)
    rows = with_rationales(sums(20)) if plan.shared_prompts else sums(60)
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in rows])
    responses = encode_responses(tokenizer, [row["response"] for row in rows])
    examples = [
        Example(np.array(prompt), np.array(response), said_of(np.array(response)))
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    spec = ObjectiveSpec(**run.get("objective", {}))
    schedule = plan_steps(plan, Lengths.of(examples))
    plan = replace(plan, shared_prompts=plan.shared_prompts and not run.get("computed_apart"))
    bfloat16 = plan.precision == "bfloat16"
    model, _ = load_model(start, plan, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    saved, progress = Path(run["resume"]) if run.get("resume") else None, None
    universal = saved is not None and checkpoint.needs_resharding(checkpoint.read_facts(saved), num_workers)
    if saved and universal:
        target = folder / f"universal_{name}_{num_workers}"
        if rank == 0:
            checkpoint.reshard(saved, target)
        dist.barrier()
        saved = target
    teacher = random_teacher(start) if spec.beside_teacher else None
    if spec.kind == "hidden_mse":
        add_projector(model, teacher.config.hidden_size, plan.seed)
    objective = objective_of(spec, teacher=teacher)
    settings = {"num_steps": len(schedule), "num_workers": num_workers, "bfloat16": bfloat16}
    engine = Recording(wrap(model, plan, **settings, universal=universal))
    if "objective" in run:
        check_head(engine, engine.device)
    if saved:
        progress, _ = checkpoint.load(engine.engine, saved)

    def save(progress: Any, due: bool) -> None:
        if progress.steps == run.get("save_at"):
            part = folder / f"{name}_part{rank}"
            facts = checkpoint.Facts(step=progress.steps, num_workers=num_workers, zero_stage=plan.zero_stage)
            checkpoint.save(engine.engine, progress, {}, facts, part, rank=rank)
            shutil.copytree(part, folder / f"{name}_saved", dirs_exist_ok=True)

    worker = Worker(rank=rank, num_workers=num_workers)
    steps = range(progress.steps if progress else 0, len(schedule))
    own_rows = packed_rows(examples, *schedule.share(steps, rank=rank, num_workers=num_workers))
    hooks = Hooks(after_step=save)
    progress = train(engine, objective, own_rows, schedule, plan, worker, progress=progress, hooks=hooks)
    output = folder / f"{name}_of{num_workers}"
    export(engine.engine.module, tokenizer, str(output), rank=rank)
    if rank == 0:
        found = {"losses": progress.losses, "gradients": engine.gradients, "computed": progress.computed_tokens}
        torch.save(found, f"{output}.pt")
    dist.barrier()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
