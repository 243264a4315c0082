"""Engines of our own."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from siked_ray.settings.base import Fraction, PositiveInt, Settings


class EngineSettings(Settings):
    """The pool of vLLM engines. One engine is one actor; with several GPUs per engine they are on one node."""

    num_engines: PositiveInt | tuple[PositiveInt, PositiveInt] = Field(
        default=1, description="Engines that live through the run; `[min, max]` grows with the rows that wait."
    )
    cpus_per_engine: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="Logical CPUs reserved per engine, and threads of one on CPUs."
    )
    gpus_per_engine: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="GPUs reserved per engine; 0.5 puts two engines on one GPU."
    )
    tensor_parallel_size: PositiveInt = Field(default=1, description="GPUs over which one engine splits each layer.")
    pipeline_parallel_size: PositiveInt = Field(default=1, description="Groups of layers, each on GPUs of its own.")
    max_num_seqs: PositiveInt = Field(default=256, description="Sequences an engine decodes at once.")
    max_model_len: PositiveInt | None = Field(default=None, description="Context in tokens (default: the model's).")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Weights' type. auto: vLLM's choice; on CPUs without AVX512_BF16 or AMX float32, on others never "
        "float16.",
    )
    kv_cache_gib: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Cache per engine on CPUs, in GiB.")
    gpu_memory_utilization: Fraction = Field(
        default=0.9, description="Share of its part of each GPU that an engine may fill."
    )
    batch_invariant: bool = Field(
        default=False, description="vLLM's batch-invariant kernels: the same tokens in any batch, slower; GPUs only."
    )

    @property
    def is_deterministic(self) -> bool:
        """Whether a request's tokens do not depend on what is decoded beside it."""
        return self.batch_invariant or not self.gpus_per_engine

    @property
    def engine_bounds(self) -> tuple[int, int]:
        """Least and greatest number of engines."""
        return self.num_engines if isinstance(self.num_engines, tuple) else (self.num_engines, self.num_engines)

    @model_validator(mode="after")
    def _fits_together(self) -> "EngineSettings":
        least, most = self.engine_bounds
        if least > most:
            raise ValueError(f"num_engines [{least}, {most}] has to be [min, max] with min at most max")
        num_gpus = self.tensor_parallel_size * self.pipeline_parallel_size
        if num_gpus > 1 and self.gpus_per_engine != num_gpus:
            raise ValueError(
                f"tensor_parallel_size x pipeline_parallel_size is {num_gpus}, so an engine needs as many GPUs; set "
                f"gpus_per_engine={num_gpus} (it is {self.gpus_per_engine:g})"
            )
        if self.batch_invariant and not self.gpus_per_engine:
            raise ValueError("batch_invariant is a mode of vLLM's GPU kernels; leave it off without gpus_per_engine")
        return self
