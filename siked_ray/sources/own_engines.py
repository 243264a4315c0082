"""vLLM engines on this cluster: the student's, and those of a teacher with a model of its own."""

from dataclasses import dataclass, replace
from functools import partial

from siked_ray.core.chat_format import ChatFormat
from siked_ray.core.demand import Demand, bundle_of
from siked_ray.generation.engines.vllm_engine import VllmEngine
from siked_ray.generation.engines.vllm_options import EngineOptions
from siked_ray.generation.pool import EngineSpec, PoolSize
from siked_ray.settings import EngineSettings
from siked_ray.settings.cluster import ClusterSettings

_START_TIMEOUT_S = 1800.0
#: Samples in flight per sequence that an engine decodes at once: a reserve until further rows arrive, and for rows of
#: which all samples but the last are finished.
_QUEUE = 2


def samples_in_flight(at_once: int) -> int:
    """Samples that keep an engine busy which works on so many at once."""
    return _QUEUE * at_once


def start_timeout_s(cluster: ClusterSettings) -> float:
    """Seconds in which the first engine has to be up."""
    return max(_START_TIMEOUT_S, cluster.placement_timeout_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnEngines:
    """`siked_ray.sources.source.Engines` on vLLM."""

    own: EngineSettings
    cluster: ClusterSettings
    trust_remote_code: bool
    chat: ChatFormat

    def spec(self, max_model_len: int) -> EngineSpec:
        options = self._options(max_model_len)
        return EngineSpec(
            open_engine=partial(VllmEngine, options=options),
            environment=options.environment(),
            samples_in_flight=samples_in_flight(options.max_num_seqs),
            tokenises=True,
            trust_remote_code=self.trust_remote_code,
            chat=self.chat,
        )

    def scoring(self, max_model_len: int, top_k: int) -> EngineSpec:
        """How an engine is opened that scores texts."""
        options = replace(self._options(max_model_len), top_k=top_k)
        return replace(self.spec(max_model_len), open_engine=partial(VllmEngine, options=options))

    def size(self) -> PoolSize:
        least, most = self.own.engine_bounds
        return PoolSize(
            min_engines=least,
            max_engines=most,
            cpus_per_engine=self.own.cpus_per_engine,
            gpus_per_engine=self.own.gpus_per_engine,
            resources=self.cluster.generation_resources,
            start_timeout_s=start_timeout_s(self.cluster),
        )

    def demand(self) -> Demand:
        bundle = bundle_of(self.own.cpus_per_engine, self.own.gpus_per_engine, self.cluster.generation_resources)
        num_engines = self.own.engine_bounds[0]
        return Demand(
            what=f"{num_engines} engine(s)",
            bundles=tuple(bundle for _ in range(num_engines)),
            settings="engine.num_engines, engine.cpus_per_engine or engine.gpus_per_engine",
        )

    def _options(self, max_model_len: int) -> EngineOptions:
        engine = self.own
        return EngineOptions(
            use_gpu=engine.gpus_per_engine > 0,
            num_threads=max(int(engine.cpus_per_engine), 1),
            max_num_seqs=engine.max_num_seqs,
            max_model_len=max_model_len,
            dtype=engine.dtype,
            kv_cache_gib=engine.kv_cache_gib,
            gpu_memory_utilization=engine.gpu_memory_utilization * min(engine.gpus_per_engine, 1.0),
            tensor_parallel_size=engine.tensor_parallel_size,
            pipeline_parallel_size=engine.pipeline_parallel_size,
            batch_invariant=engine.batch_invariant,
            trust_remote_code=self.trust_remote_code,
        )
