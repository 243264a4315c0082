"""Fine-tuning."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from siked_ray.settings.base import PositiveInt, Settings


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
        default="auto", description="auto: bfloat16 on GPUs, float32 on CPUs."
    )
    epochs: PositiveInt = Field(default=3, description="Passes over the mixture.")
    micro_batch_size: PositiveInt = Field(default=2, description="Packed rows per worker and micro step.")
    gradient_accumulation: PositiveInt = Field(
        default=4, description="Micro steps per optimizer step (with fewer workers than `max`: as many more)."
    )
    max_seq_len: PositiveInt = Field(default=1024, description="Tokens per packed row.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(default=2e-4, description="Peak learning rate.")
    schedule: Literal["linear", "cosine", "constant"] = Field(default="linear", description="Decay after warm-up.")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(default=5, description="Steps of linear warm-up.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.01, description="On matrices only.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Gradient clipping.")
    gradient_checkpointing: bool = Field(default=False, description="Trade compute for memory.")
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
