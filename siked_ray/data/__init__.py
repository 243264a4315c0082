"""Problems and existing rationales: from files, the Hugging Face Hub and the embedded world."""

from siked_ray.data.golds import ExclusionReason
from siked_ray.data.problems import Exclusion, ProblemSet, load_problems, split_problems
from siked_ray.data.rationales import AnnotatedRationale, annotated_rationales, existing_rationales

__all__ = [
    "AnnotatedRationale",
    "Exclusion",
    "ExclusionReason",
    "ProblemSet",
    "annotated_rationales",
    "existing_rationales",
    "load_problems",
    "split_problems",
]
