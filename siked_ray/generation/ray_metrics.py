"""Sampling in Ray's own metrics, as its dashboard and Prometheus read them."""

from siked_ray.core.reasoning import Accept
from siked_ray.generation.finished import SampledRow


class SamplingMeter:
    """Counters `siked_samples` (by strategy and verdict), `siked_generated_tokens`, `siked_solved_rows` (by strategy);
    gauges `siked_engine_start_s`, `siked_engine_busy_share`. Tokens per accepted rationale are tokens / solved rows.
    """

    def __init__(self, engine_start_s: float) -> None:
        from ray.util.metrics import Counter, Gauge

        self._samples = Counter("siked_samples", "Verified samples.", tag_keys=("strategy", "verdict"))
        self._tokens = Counter("siked_generated_tokens", "Generated tokens.", tag_keys=("strategy",))
        self._solved = Counter("siked_solved_rows", "Rows with an accepted sample.", tag_keys=("strategy",))
        self._busy_share = Gauge("siked_engine_busy_share", "Share of an engine's time in decoding steps.")
        Gauge("siked_engine_start_s", "Seconds until an engine was up.").set(engine_start_s)

    def count(self, row: SampledRow, accept: Accept, busy_share: float) -> None:
        """Add the samples of a finished row."""
        for one in row.rollouts:
            self._samples.inc(1, {"strategy": one.strategy, "verdict": one.verdict.value})
            if one.num_tokens:
                self._tokens.inc(one.num_tokens, {"strategy": one.strategy})
        if any(one.is_accepted(accept) for one in row.rollouts):
            self._solved.inc(1, {"strategy": row.row["requested"]})
        self._busy_share.set(busy_share)
