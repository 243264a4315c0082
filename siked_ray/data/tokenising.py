"""Tokenising in Ray tasks of their own, for training and for sampling."""

from pathlib import Path
from typing import Any

from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.model_folder import described_model
from siked_ray.logs import redirect_output
from siked_ray.startup import hide_torch

#: Runtime environment of such tasks. It makes their processes no one else's, so that torch can be hidden from them.
TOKENISING = {"env_vars": {"SIKED_TOKENISING": "1", "TRANSFORMERS_VERBOSITY": "error"}}


def tokenizer_of_task(model: str, *, trust_remote_code: bool, log_path: str) -> Any:
    """The tokenizer of a model directory or name; to be called in a process of `TOKENISING` only."""
    redirect_output(Path(log_path))
    folder = described_model(model)  # makes the folder with torch, where there is none yet
    if not trust_remote_code:
        hide_torch()
    return load_tokenizer(folder, trust_remote_code=trust_remote_code)
