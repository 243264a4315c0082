"""Sampling in Ray's own metrics, as its dashboard and Prometheus read them."""

from siked_ray.generation.batch import SampledRow


class SamplingMeter:
    """Counters `siked_samples` (by strategy and verdict) and `siked_generated_tokens` (by strategy)."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter

        self._samples = Counter("siked_samples", "Verified samples.", tag_keys=("strategy", "verdict"))
        self._tokens = Counter("siked_generated_tokens", "Generated tokens.", tag_keys=("strategy",))

    def count(self, row: SampledRow) -> None:
        """Add the samples of a finished row."""
        for one in row.rollouts:
            self._samples.inc(1, {"strategy": one.strategy, "verdict": one.verdict.value})
            if one.num_tokens:
                self._tokens.inc(one.num_tokens, {"strategy": one.strategy})
