"""Identifiers and seeds as functions of content.

Nothing here depends on the number of actors, on batch boundaries or on the order of arrival: the same
request has the same id and the same sampling seed on a laptop and on a cluster.
"""

import hashlib

_SEPARATOR = "\x1f"


def content_hash(*parts: object, num_chars: int = 16) -> str:
    """Hex digest of the parts, joined by a separator that does not occur in text."""
    text = _SEPARATOR.join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:num_chars]


def problem_id(dataset: str, question: str) -> str:
    """Stable id of a problem: hash of the dataset's name and the question with its white space folded."""
    return content_hash(dataset, " ".join(question.split()))


def request_id(problem_id: str, ask_id: str, sample_index: int, label: int | str) -> str:
    """Stable id of one sample that is asked of a model.

    `ask_id` is the strategy where the ask has no context; `label` is the iteration (the teacher's is 0), or a text that
    names the stage.
    """
    return content_hash(problem_id, ask_id, sample_index, label)


def sampling_seed(run_seed: int, request_id: str) -> int:
    """Non-negative 31-bit seed of one request, the same wherever and whenever it is sampled."""
    return int(content_hash("seed", run_seed, request_id, num_chars=8), 16) & 0x7FFFFFFF


def unit_interval(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone; used for splits."""
    return int(content_hash(*parts, num_chars=13), 16) / 16**13
