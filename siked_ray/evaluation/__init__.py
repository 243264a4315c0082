"""Accuracy free, forced, by majority and by any strategy, the choice of strategy, and how sure all this is."""

from siked_ray.evaluation.metrics import DatasetMetrics, compare_answers, evaluate_dataset
from siked_ray.evaluation.outcomes import GradedAnswer

__all__ = ["DatasetMetrics", "GradedAnswer", "compare_answers", "evaluate_dataset"]
