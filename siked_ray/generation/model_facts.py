"""What can be known of a model before it is loaded: its context, its tokenizer, whether it can serve."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from siked_ray.config import Config
from siked_ray.data.chat_template import chat_problem
from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.gguf.gguf_location import is_gguf
from siked_ray.data.model_folder import described_model
from siked_ray.errors import ModelError

WORLD = "world:"
_OUT_OF_REACH = "on the Hub, which cannot be reached from here"
#: Sizes of attention heads that vLLM's CPU attention is compiled for (vllm.v1.attention.backends.cpu_attn, 0.32).
_CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """`known` is False for a model that cannot be reached; then there is no tokenizer.

    `folder` is where its configuration is: the name itself, or what was made of a GGUF file.
    """

    name: str
    known: bool
    folder: str = ""
    context: int | None = None
    tokenizer: Any = None
    note: str = ""


def inspect_model(name: str, role: str, config: Config, *, offline_is_fine: bool = False) -> ModelFacts:
    """Look at configuration and tokenizer of a directory, GGUF file or Hub name; ModelError when it cannot serve."""
    if name.startswith(WORLD):
        return _world_model(name, role, config)
    name = os.path.expanduser(name)
    if is_gguf(name) and not Path(name).is_dir():
        return _gguf_model(name, role, config, offline_is_fine)
    if (Path(name) / "adapter_config.json").is_file() and not (Path(name) / "config.json").is_file():
        raise ModelError(
            f"{role}.model: {name} is a LoRA adapter without its model; only whole models are served. Merge it first "
            "(peft: AutoPeftModelForCausalLM.from_pretrained(…).merge_and_unload()) and name the result."
        )
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise ModelError(f"{role}.model: {name} is no model directory, it has no config.json.")
    if not Path(name).exists():
        _check_hub_name(name, role)
    try:
        return _facts(name, name, role, config)
    except ModelError:
        raise
    except Exception as error:
        if offline_is_fine and not Path(name).exists() and _is_unreachable(error):
            return ModelFacts(name=name, known=False, note=_OUT_OF_REACH)
        raise ModelError(_why_not(name, role, error)) from None


def _gguf_model(name: str, role: str, config: Config, offline_is_fine: bool) -> ModelFacts:
    """A GGUF file, by a folder in the cache that has its configuration and tokenizer; weights are left for later."""
    try:
        folder = described_model(name)
    except Exception as error:
        if offline_is_fine and not Path(name).exists() and _is_unreachable(error):
            return ModelFacts(name=name, known=False, note=_OUT_OF_REACH)
        text = str(error) if isinstance(error, ModelError) else f"{name} cannot be read: {error}"
        raise ModelError(f"{role}.model: {text}") from None
    return replace(_facts(folder, name, role, config), note="a GGUF file, dequantised once into the cache")


def _check_hub_name(name: str, role: str) -> None:
    """Raises ModelError for what can only have been meant as a directory."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    if name.startswith(("/", ".", "~")):
        raise ModelError(f"{role}.model: there is no directory {name}.")
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise ModelError(
            f"{role}.model: there is no directory {name}, and a model on the Hub is called owner/name; correct the one "
            "or the other."
        ) from None


def _is_unreachable(error: BaseException | None) -> bool:
    """True when the Hub did not answer; False when it does not have the model, or does not give it to this user."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while error is not None:
        if isinstance(error, LocalEntryNotFoundError | ConnectionError | TimeoutError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _world_model(name: str, role: str, config: Config) -> ModelFacts:
    """A model that is yet to be made; its curriculum says all there is to know."""
    from siked_ray.world.curriculum import CONTEXT, CURRICULA
    from siked_ray.world.tokenizer import build_tokenizer

    if name not in CURRICULA:
        raise ModelError(f"{role}.model: there is no model {name}; the embedded world has {', '.join(CURRICULA)}.")
    note, tokenizer = "made by this project's trainer, from scratch", build_tokenizer()
    _check_chat(name, role, config, tokenizer)
    return ModelFacts(name=name, known=True, context=CONTEXT, tokenizer=tokenizer, note=note)


def _facts(folder: str, name: str, role: str, config: Config) -> ModelFacts:
    from transformers import AutoConfig

    settings = AutoConfig.from_pretrained(folder, trust_remote_code=config.trust_remote_code).get_text_config()
    tokenizer = load_tokenizer(folder, trust_remote_code=config.trust_remote_code)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{role}.model: {name} has no end-of-sequence token, so it could never learn to stop; set eos_token in its "
            "tokenizer_config.json."
        )
    _check_chat(name, role, config, tokenizer)
    if len(tokenizer) > settings.vocab_size:
        raise ModelError(
            f"{role}.model: {name} has {len(tokenizer)} tokens in its tokenizer and {settings.vocab_size} in the "
            "model; tokenizer and model do not belong together."
        )
    head_size = _head_size(settings)
    if config.engine_of(role).gpus_per_engine == 0 and head_size not in (None, *_CPU_HEAD_SIZES):
        raise ModelError(
            f"{role}.model: {name} has attention heads of {head_size} dimensions, which vLLM's CPU build cannot run; "
            f"it can {', '.join(map(str, _CPU_HEAD_SIZES))}. Take another model, or set its gpus_per_engine."
        )
    context = getattr(settings, "max_position_embeddings", None)
    return ModelFacts(name=name, known=True, folder=folder, context=context, tokenizer=tokenizer)


def _check_chat(name: str, role: str, config: Config, tokenizer: Any) -> None:
    """Raises ModelError where prompts would not come through the model's chat template."""
    if problem := chat_problem(tokenizer, config.chat_of(role)):
        raise ModelError(f"{role}.model: {name} {problem}.")


def _head_size(settings: Any) -> int | None:
    if getattr(settings, "head_dim", None):
        return settings.head_dim
    num_heads = getattr(settings, "num_attention_heads", None)
    return settings.hidden_size // num_heads if num_heads else None


def _why_not(name: str, role: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return f"{role}.model: {name} comes with code of its own; set trust_remote_code=true if you trust it."
    where = "directory" if Path(name).exists() else "Hub name (is the network there, and is the name right?)"
    return f"{role}.model: {name} cannot be loaded as a {where}: {text[:300]}"
