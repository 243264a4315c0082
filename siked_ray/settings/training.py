"""Fine-tuning."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.training_plan import TrainingPlan
from siked_ray.core.worker_group import WorkerGroup
from siked_ray.settings.base import ADDED, PositiveInt, Settings
from siked_ray.settings.cluster import ClusterSettings
from siked_ray.settings.distillation import DistillationSettings

#: Names of siked_ray/training/compute/objectives.py.
ObjectiveName = Literal["cross_entropy", "forward_kl", "reverse_kl", "jsd", "hidden_mse"]


class LoraSettings(Settings):
    """Low-rank adapters; rank 0 is full fine-tuning."""

    rank: Annotated[int, Field(ge=0)] = Field(default=16, description="Rank r; 0 trains all weights.")
    alpha: PositiveInt = Field(default=32, description="Scale: the update is alpha / r · BA.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="Dropout before the adapter.")


class OffloadSettings(Settings):
    """What DeepSpeed keeps in CPU memory instead of a GPU's."""

    optimizer: bool = Field(default=False, description="The optimizer's state; needs `zero_stage` 1, 2 or 3.")
    parameters: bool = Field(default=False, description="The weights too; needs `zero_stage` 3.")


class CheckpointSettings(Settings):
    """Checkpoints inside a training stage; a killed worker, node or driver goes on from the last one."""

    interval_s: Annotated[float, Field(ge=0)] = Field(
        default=300.0, description="Seconds between checkpoints; 0: after every optimizer step."
    )
    keep: PositiveInt = Field(default=2, description="Checkpoints kept while a stage runs; none are kept after it.")


class SelectionSettings(Settings):
    """Choosing among the weights of several steps of a stage; off by default."""

    every_steps: PositiveInt | None = Field(default=None, description="A candidate every so many steps, and the last.")
    by: Literal["loss", "accuracy"] = Field(
        default="loss",
        description="`loss` on prompts held out of the mixture; `accuracy`: greedy and free on the held-out problems.",
    )
    held_out_fraction: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05,
        description="By loss: share of the mixture's prompts, by hash, that is not trained on but decides.",
    )


#: Published settings of the paper's student families, where they differ from the defaults.
TRAINING_PRESETS: dict[str, dict[str, Any]] = {
    "gemma": {"learning_rate": 2e-4, "schedule": "linear"},
    "smollm": {"learning_rate": 2e-4, "schedule": "linear"},
    "qwen2": {"learning_rate": 3e-4, "schedule": "cosine"},
}


class TrainingSettings(Settings):
    """Fine-tuning with Ray Train and DeepSpeed. Defaults are the published ones for Gemma and SmolLM."""

    preset: Literal["gemma", "smollm", "qwen2"] | None = Field(
        default=None, description="The paper's learning rate and schedule for a student family; what you set counts."
    )
    num_workers: PositiveInt | Annotated[list[PositiveInt], Field(min_length=2, max_length=2)] = Field(
        default=1, description="Data-parallel workers; `[min, max]`: as many of these as there is room for."
    )
    cpus_per_worker: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="Logical CPUs reserved per worker, and threads of one on CPUs."
    )
    gpus_per_worker: Annotated[float, Field(ge=0)] = Field(default=0.0, description="GPUs reserved per worker.")
    zero_stage: Literal[0, 1, 2, 3] = Field(default=1, description="DeepSpeed ZeRO stage.")
    offload: OffloadSettings = OffloadSettings()
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="auto: bfloat16 on GPUs, and on CPUs with AVX512_BF16 or AMX for students of 50 M parameters and "
        "more; else float32.",
    )
    base_precision: Annotated[Literal["nf4"] | None, ADDED] = Field(
        default=None,
        description="nf4: under an adapter the frozen weights are kept in 4 bits (QLoRA); on GPUs, with bitsandbytes.",
    )
    epochs: PositiveInt = Field(default=3, description="Passes over the mixture.")
    micro_batch_size: PositiveInt = Field(default=2, description="Packed rows per worker and micro step.")
    gradient_accumulation: PositiveInt = Field(
        default=4, description="Micro steps per optimizer step (with fewer workers than `max`: as many more)."
    )
    max_seq_len: PositiveInt = Field(default=1024, description="Tokens per packed row.")
    shared_prompts: Annotated[bool, ADDED] = Field(
        default=False, description="Rows of one prompt are trained on together, and the prompt is computed once."
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(default=2e-4, description="Peak learning rate.")
    schedule: Literal["linear", "cosine", "constant"] = Field(default="linear", description="Decay after warm-up.")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(default=5, description="Steps of linear warm-up.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.01, description="On matrices only.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Gradient clipping.")
    gradient_checkpointing: bool = Field(default=False, description="Trade compute for memory.")
    objective: Annotated[ObjectiveName, ADDED] = Field(
        default="cross_entropy",
        description="What a step minimises over its targets; others than cross_entropy hold the student against its "
        "teacher (docs/distillation.md).",
    )
    distillation: Annotated[DistillationSettings, ADDED] = DistillationSettings()
    loss_on: Literal["response", "all"] = Field(default="response", description="`all`: prompt too, as published.")
    lora: LoraSettings = LoraSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    selection: SelectionSettings = SelectionSettings()
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(
        default=["tensorboard"], description="Where losses go besides the run's own files (RUN/logs/tensorboard)."
    )
    max_failures: Annotated[int, Field(ge=0)] = Field(default=2, description="Worker losses survived per stage.")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return TRAINING_PRESETS.get(values.get("preset") or "", {}) | values

    @model_validator(mode="after")
    def _fits_together(self) -> "TrainingSettings":
        if self.min_workers > self.max_workers:
            raise ValueError(f"num_workers is [min, max], and {self.min_workers} is more than {self.max_workers}")
        if self.offload.optimizer and self.zero_stage == 0:
            raise ValueError("offload.optimizer needs the optimizer's state in parts; set zero_stage to 1, 2 or 3")
        if self.base_precision and not self.lora.rank:
            raise ValueError("base_precision is about weights that are frozen; set lora.rank to 1 or more")
        if self.base_precision and self.zero_stage == 3:
            raise ValueError("base_precision: weights in 4 bits cannot be cut in parts; set zero_stage to 0, 1 or 2")
        if self.offload.parameters and self.zero_stage != 3:
            raise ValueError("offload.parameters needs weights in parts; set zero_stage to 3")
        return self

    @property
    def max_workers(self) -> int:
        """Workers where there is room for all."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]

    @property
    def min_workers(self) -> int:
        """Workers below which a stage waits."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    @property
    def rows_per_step(self) -> int:
        """Packed rows of an optimizer step, however many workers do them."""
        return self.micro_batch_size * self.gradient_accumulation * self.max_workers

    def plan(self, seed: int, *, trust_remote_code: bool = False, chat: ChatFormat = PLAIN) -> TrainingPlan:
        """How a mixture is trained on."""
        return TrainingPlan(
            seed=seed,
            shuffle=True,
            epochs=self.epochs,
            micro_batch_size=self.micro_batch_size,
            rows_per_step=self.rows_per_step,
            max_seq_len=self.max_seq_len,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            warmup_steps=self.warmup_steps,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            gradient_checkpointing=self.gradient_checkpointing,
            loss_on=self.loss_on,
            lora_rank=self.lora.rank,
            lora_alpha=self.lora.alpha,
            lora_dropout=self.lora.dropout,
            zero_stage=self.zero_stage,
            precision=self.precision,
            trust_remote_code=trust_remote_code,
            chat=chat,
            offload_optimizer=self.offload.optimizer,
            offload_parameters=self.offload.parameters,
            candidates_every=self.selection.every_steps,
            held_out_fraction=self.selection.held_out_fraction if self.selection.by == "loss" else 0.0,
            shared_prompts=self.shared_prompts,
            base_precision=self.base_precision,
        )

    def objective_spec(self, *, stored: bool = False) -> ObjectiveSpec:
        """What a recipe asks training to minimise; `stored`: rows have the teacher's probabilities."""
        if self.objective == "cross_entropy":
            return ObjectiveSpec(kind=self.objective)
        options = self.distillation.options(self.objective)
        return ObjectiveSpec(kind=self.objective, options=options, with_teacher=stored, beside_teacher=not stored)

    def worker_group(self, cluster: ClusterSettings) -> WorkerGroup:
        """The workers, and what a cluster reserves for each."""
        return WorkerGroup(
            num_workers=self.max_workers,
            min_workers=self.min_workers,
            cpus_per_worker=self.cpus_per_worker,
            gpus_per_worker=self.gpus_per_worker,
            max_failures=self.max_failures,
            placement_timeout_s=cluster.placement_timeout_s,
            resources=cluster.training_resources,
            checkpoint_interval_s=self.checkpoint.interval_s,
            num_checkpoints=self.checkpoint.keep,
            loggers=tuple(self.loggers),
        )
