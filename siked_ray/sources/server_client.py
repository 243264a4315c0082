"""The one process of ours that talks to somebody's server, whatever the server speaks."""

from dataclasses import dataclass

from siked_ray.core.demand import Bundle, Demand
from siked_ray.generation.engine import OpenEngine
from siked_ray.generation.pool import EngineSpec, PoolSize
from siked_ray.settings.cluster import ClusterSettings
from siked_ray.sources.own_engines import samples_in_flight, start_timeout_s

#: What the process reserves.
CLIENT: Bundle = {"CPU": 1.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerClient:
    """`siked_ray.sources.source.Engines` behind a server that answers `max_concurrency` requests at once."""

    open_engine: OpenEngine
    max_concurrency: int
    cluster: ClusterSettings

    @property
    def own(self) -> None:
        return None

    def spec(self, max_model_len: int) -> EngineSpec:
        in_flight = samples_in_flight(self.max_concurrency)
        return EngineSpec(open_engine=self.open_engine, environment={}, samples_in_flight=in_flight, tokenises=False)

    def scoring(self, max_model_len: int, top_k: int) -> EngineSpec:
        """A server scores as it samples; the texts are tokenised here."""
        return self.spec(max_model_len)

    def size(self) -> PoolSize:
        return PoolSize(
            min_engines=1,
            max_engines=1,
            cpus_per_engine=CLIENT["CPU"],
            gpus_per_engine=0.0,
            resources=self.cluster.generation_resources,
            start_timeout_s=start_timeout_s(self.cluster),
        )

    def demand(self) -> Demand:
        return Demand(what="the teacher's client", bundles=(CLIENT,), settings="other work on the cluster")
