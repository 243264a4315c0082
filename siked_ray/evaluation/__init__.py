"""Free, forced and oracle accuracy and the student's choice of strategy, from greedy rollouts."""

from siked_ray.evaluation.metrics import DatasetMetrics, evaluate_dataset

__all__ = ["DatasetMetrics", "evaluate_dataset"]
