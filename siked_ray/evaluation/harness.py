"""Answers of GSM8K as lm-evaluation-harness reads them, to compare figures that were measured with it.

After its task `gsm8k`, version 3: the filters `strict-match` and `flexible-extract`, and the metric `exact_match`. What
our own verifier reads otherwise is in docs/measures.md.
"""

import re
from collections.abc import Mapping
from typing import Any

_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
#: Taken out of prediction and gold before they are compared, in this order.
_IGNORED = (re.compile(","), re.compile(r"\$"), re.compile("(?s).*#### "), re.compile(r"\.$"))
_INVALID = "[invalid]"
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def strict_match(completion: str) -> str:
    """The number after the first `#### `, as it is written."""
    found = _STRICT.findall(completion)
    return found[0].strip() if found else _INVALID


def flexible_extract(completion: str) -> str:
    """The last number, with what is about it of `$`, `,` and `.`."""
    found = _FLEXIBLE.findall(completion)
    return next(part for part in found[-1] if part).strip() if found else _INVALID


def exact_match(predicted: str, gold: str) -> bool:
    """Whether both are the same but for commas, dollar signs, a full stop at the end, and what is before `#### `."""
    for pattern in _IGNORED:
        predicted, gold = pattern.sub("", predicted), pattern.sub("", gold)
    return predicted.lower() == gold.lower()


def harness_figures(completions: Mapping[str, str], golds: Mapping[str, str]) -> dict[str, Any]:
    """{"harness": {"strict_match", "flexible_extract"}}: accuracies over the golds, by problem; a problem without a
    completion is not solved. Nothing where a gold is no number, of which the harness's task has none."""
    if not golds or not all(_NUMBER.fullmatch(gold) for gold in golds.values()):
        return {}
    filters = {"strict_match": strict_match, "flexible_extract": flexible_extract}
    return {
        "harness": {
            name: sum(exact_match(read(completions.get(key, "")), gold) for key, gold in golds.items()) / len(golds)
            for name, read in filters.items()
        }
    }
