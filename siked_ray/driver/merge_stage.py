"""The merging stages: a task on some node puts weights together, and the driver never sees them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siked_ray.core.merge_rule import MergeRule, RuleName
from siked_ray.data.model_folder import local_model
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError


def merge_models(
    storage: Storage, output: str, base: str, parts: Mapping[str, str], rule: MergeRule
) -> Mapping[str, Any]:
    """Write the merged model as `output`; figures of `merge_weights`. Raises ConfigError or ModelError."""
    import ray

    if rule.rule is RuleName.GIVEN and parts.keys() != rule.weights.keys():
        raise ConfigError(f"The models to merge are {sorted(parts)}, and there are weights for {sorted(rule.weights)}.")
    merged: Any = ray.remote(_merge).options(num_cpus=0)
    figures: Mapping[str, Any] = ray.get(merged.remote(storage, output, base, dict(parts), rule))
    return figures


def _merge(storage: Storage, output: str, base: str, parts: dict[str, str], rule: MergeRule) -> dict[str, Any]:
    from siked_ray.training.compute.merging import merge_weights

    with tempfile.TemporaryDirectory(prefix="siked-merge-") as scratch:
        folder = Path(scratch) / "model"
        folders = {name: Path(local_model(part)) for name, part in parts.items()}
        figures = merge_weights(Path(local_model(base)), folders, rule, folder)
        storage.upload_folder(folder, output)
    return figures
