"""An adapter's part of its base's weights: ΔW = (α / r) B A, without making ΔW where only its length is wanted."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from siked_ray.errors import ModelError
from siked_ray.training.compute.tensor_files import TensorFiles

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
#: Settings of PEFT with which ΔW would be something else, and the values that leave it so.
_PLAIN = {"use_dora": False, "fan_in_fan_out": False, "bias": "none", "modules_to_save": None}


def is_adapter(folder: Path) -> bool:
    """Whether PEFT saved an adapter there."""
    return (folder / _CONFIG).exists()


class AdapterFiles:
    """A LoRA adapter as PEFT saves it; `what` names it in messages. It is held whole, since it is small.

    Raises ModelError for what is not plain LoRA, and where the base has no weights that it fits.
    """

    def __init__(self, what: str, folder: Path, base: TensorFiles) -> None:
        from safetensors.torch import load_file

        self.what = what
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        odd = next((name for name, plain in _PLAIN.items() if (config.get(name) or plain) != plain), None)
        if config.get("peft_type") != "LORA" or odd:
            kind = odd or f"peft_type {config.get('peft_type')}"
            raise ModelError(
                f"{what} is not a plain LoRA adapter: {kind}; merge it into its base first (PEFT's merge)."
            )
        if not (folder / _WEIGHTS).exists():
            raise ModelError(f"{folder} has no {_WEIGHTS}; save the adapter as safetensors.")
        tensors = load_file(folder / _WEIGHTS)
        self._factors: dict[str, tuple[Any, Any]] = {}
        for key in sorted(tensors):
            if key.endswith(_A):
                module = key.removeprefix(_PREFIX).removesuffix(_A)
                down_RI, up_OR = tensors[key].float(), tensors[key.removesuffix(_A) + _B].float()
                self._factors[f"{module}.weight"] = (_scale(config, module, len(down_RI)) * up_OR, down_RI)
        for name, (up_OR, down_RI) in self._factors.items():
            shape = base.shape(name)
            if shape != [len(up_OR), down_RI.shape[1]]:
                made = f"weights of shape {[len(up_OR), down_RI.shape[1]]} for {name}"
                has = "the base has no such tensor" if shape is None else f"the base's have {shape}"
                raise ModelError(f"{what} has {made}, and {has}; merge adapters of this base.")

    @property
    def names(self) -> Iterable[str]:
        """Of the tensors that it changes."""
        return self._factors

    def vector(self, name: str, rows: slice, before: Any) -> Any:
        """Some rows of ΔW in float32; None where the tensor is the base's. They do not depend on the base's."""
        if name not in self._factors:
            return None
        up_OR, down_RI = self._factors[name]
        return up_OR[rows] @ down_RI

    def inner(self, other: "AdapterFiles") -> float:
        """⟨ΔW, ΔW′⟩ over all tensors, as tr((B′ᵀB)(A A′ᵀ)) in float64."""
        total = 0.0
        for name, (up_OR, down_RI) in self._factors.items():
            if name in other._factors:
                their_up, their_down = other._factors[name]
                ups, downs = their_up.double().T @ up_OR.double(), down_RI.double() @ their_down.double().T
                total += float((ups.T * downs).sum())
        return total


def _scale(config: dict[str, Any], module: str, rank: int) -> float:
    """α / r, of the module where it has its own; with `use_rslora` α / √r."""
    patterns = config.get("alpha_pattern") or {}
    own = next((alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", module)), None)
    alpha = float(own or config["lora_alpha"])
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)
