"""A training stage on Ray Train: places the workers, hands them the mixture, collects the result.

Every worker tokenises the mixture and lays out its own share of the common plan. (Tokenising in Ray Data tasks was
measured first: for the demo's mixtures it added 50 s to a stage of 10 s; see docs/log.md.)
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from siked_ray.data.encoding import encode_prompts, encode_responses, load_tokenizer
from siked_ray.data.model_folder import local_model
from siked_ray.data.storage import Storage
from siked_ray.errors import StageError
from siked_ray.logs import redirect_output
from siked_ray.training.packing import Example
from siked_ray.training.plan import TrainingPlan, plan_steps
from siked_ray.training.steps import Report

_REPORT_INTERVAL_S = 0.5
_COLUMNS = ["request_id", "prompt", "response"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerGroup:
    """Number of workers and what Ray reserves for each."""

    num_workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    max_failures: int
    resources: Mapping[str, float] = field(default_factory=dict)


def fine_tune(
    rows: Sequence[str],
    start: str,
    output: str,
    plan: TrainingPlan,
    group: WorkerGroup,
    storage: Storage,
    *,
    board: Any,
    title: str,
    log_prefix: str,
) -> dict[str, Any]:
    """Fine-tune `start` on Parquet files of rows {prompt, response}; writes a model directory `output`.

    `rows` and `output` are relative to the storage, `start` is a directory or Hub name. Returns the counters of
    the stage: steps, tokens, seconds, first_loss, last_loss, losses, skipped. Raises StageError.
    """
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    # Typed as its first version, although its second one is what is imported.
    train: Any = ray.train
    use_gpu = group.gpus_per_worker > 0
    with tempfile.TemporaryDirectory(prefix="siked-train-") as scratch:
        worker: Any = _train_on_worker
        trainer = TorchTrainer(
            worker,
            train_loop_config={
                "rows": list(rows),
                "start": start,
                "output": output,
                "plan": asdict(plan),
                "storage": storage,
                "board": board,
                "title": title,
                "use_gpu": use_gpu,
                "log_prefix": log_prefix,
            },
            scaling_config=train.ScalingConfig(
                num_workers=group.num_workers,
                use_gpu=use_gpu,
                resources_per_worker={
                    "CPU": group.cpus_per_worker,
                    **({"GPU": group.gpus_per_worker} if use_gpu else {}),
                    **group.resources,
                },
            ),
            torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
            run_config=train.RunConfig(
                name=Path(output).name,
                storage_path=scratch if storage.is_local else storage.path("checkpoints"),
                failure_config=train.FailureConfig(max_failures=group.max_failures),
                worker_runtime_env={"env_vars": {} if use_gpu else {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}},
            ),
        )
        try:
            result: Any = trainer.fit()
        except Exception as error:
            raise StageError(f"The stage '{title}' failed: {_cause(error)}") from error
    return dict(result.return_value)


def _train_on_worker(config: dict[str, Any]) -> dict[str, Any]:
    """What each worker runs; Ray Train has set up the process group. Returns the counters of the stage."""
    import ray.train
    import torch

    from siked_ray.training.model import export, load_model, wrap
    from siked_ray.training.steps import train

    context = ray.train.get_context()
    rank, num_workers = context.get_world_rank(), context.get_world_size()
    redirect_output(Path(f"{config['log_prefix']}_{rank:02d}.log"))
    start = local_model(config["start"])
    plan = TrainingPlan(**config["plan"])
    bfloat16 = plan.precision == "bfloat16" or (plan.precision == "auto" and config["use_gpu"])
    if not config["use_gpu"]:
        torch.set_num_threads(1)
    tokenizer = load_tokenizer(start, trust_remote_code=plan.trust_remote_code)
    examples, num_skipped = read_examples(config["storage"], config["rows"], tokenizer, plan.max_seq_len)
    if not examples:
        raise StageError(f"all {num_skipped} rows are longer than training.max_seq_len = {plan.max_seq_len}; raise it")

    model = load_model(start, plan, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    engine = wrap(model, plan, num_steps=len(plan_steps(plan, examples, num_workers)), bfloat16=bfloat16)

    report = _reporter(config["board"], config["title"]) if rank == 0 else _report_nothing
    pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    result = train(engine, examples, plan, rank=rank, num_workers=num_workers, pad_token_id=pad_token_id, report=report)
    with tempfile.TemporaryDirectory(prefix="siked-export-") as folder:
        export(engine, tokenizer, folder, rank=rank, lora=plan.lora_rank > 0)
        if rank == 0:
            config["storage"].upload_folder(Path(folder), config["output"])
    return {
        "steps": result.steps,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "first_loss": result.losses[0],
        "last_loss": result.losses[-1],
        "losses": result.losses,
        "skipped": num_skipped,
    }


def _reporter(board: Any, title: str) -> Report:
    """Writes to the board at most twice a second: small models take more steps than anybody can read."""
    started = time.monotonic()
    last = 0.0

    def report(step: int, num_steps: int, loss: float, tokens: int) -> None:
        nonlocal last
        now = time.monotonic()
        if step == num_steps or now - last > _REPORT_INTERVAL_S:
            last = now
            board.training.remote(title, step, num_steps, loss, tokens / max(now - started, 1e-6))

    return report


def _report_nothing(step: int, num_steps: int, loss: float, tokens: int) -> None:
    """Workers other than the first are silent."""


def read_examples(
    storage: Storage, names: Sequence[str], tokenizer: Any, max_seq_len: int
) -> tuple[list[Example], int]:
    """The tokenised rows {request_id, prompt, response} in the order of their ids, and how many were left out because
    they are longer than a packed row."""
    import numpy as np

    rows = sorted(storage.read_parquet(names, _COLUMNS).to_pylist(), key=lambda row: row["request_id"])
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in rows])
    responses = encode_responses(tokenizer, [row["response"] for row in rows])
    examples = [
        Example(np.asarray(prompt, dtype=np.int32), np.asarray(response, dtype=np.int32))
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    kept = [example for example in examples if len(example) <= max_seq_len]
    return kept, len(examples) - len(kept)


def _cause(error: BaseException) -> str:
    """The innermost message of a training failure, in one line."""
    text = str(getattr(error, "worker_failures", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
