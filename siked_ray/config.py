"""Reading, overriding, comparing and writing the settings of a run.

`load_config` reads a YAML file, applies `key.path=value` overrides, puts the prompts' texts in place of their name and
validates. The settings themselves are in `siked_ray.settings`.
"""

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from siked_ray.core.credentials import keys_with_credentials
from siked_ray.errors import ConfigError
from siked_ray.recipes import RECIPES, recipe_named
from siked_ray.settings import Config
from siked_ray.settings.base import Settings, leave_out_additions
from siked_ray.settings.messages import sentences
from siked_ray.settings.yaml_text import read_value, read_yaml, write_yaml

__all__ = [
    "Config",
    "config_sha256",
    "differing_keys",
    "dump_config",
    "load_config",
    "load_values",
    "overridden",
    "read_resolved",
]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read, override, resolve and validate the settings; raises ConfigError in one readable sentence."""
    values = _read_yaml(Path(path))
    for override in overrides:
        if override.startswith("prompts."):
            values["prompts"] = _resolve_prompts(values.get("prompts"), Path(path).parent)
        _apply_override(values, override)
    return load_values(values, base=Path(path).parent, shown=str(path))


def load_values(values: dict[str, Any], *, base: Path, shown: str) -> Config:
    """Settings from plain values: as `load_config`; `base` is where prompt files are looked for, `shown` their name."""
    _refuse_credentials(values, shown)
    prompts = _resolve_prompts(values.get("prompts"), base)
    try:
        config = Config.model_validate(values | {"prompts": prompts})
    except ValidationError as error:
        raise ConfigError(f"{shown}: " + "; ".join(sentences(error))) from None
    recipe = recipe_named(config.recipe)
    if getattr(recipe, "NEEDS_TEACHER", False):
        config.require_teacher()
    if config.control and not getattr(recipe, "HAS_CONTROL", False):
        loops = ", ".join(name for name in RECIPES if getattr(recipe_named(name), "HAS_CONTROL", False))
        raise ConfigError(
            f"control: recipe {config.recipe} has no loop to hold against a twin; leave control out, or take one of "
            f"{loops}."
        )
    return _with_options(config)


def _with_options(config: Config) -> Config:
    """The settings with all of the recipe's own, checked against the others; ConfigError for a recipe that there is
    not."""
    options = getattr(recipe_named(config.recipe), "Settings", Settings)
    try:
        resolved = options.model_validate(config.options)
    except ValidationError as error:
        raise ConfigError("; ".join(f"options: {one}" for one in sentences(error))) from None
    config = config.model_copy(update={"options": resolved.model_dump(mode="json")})
    getattr(recipe_named(config.recipe), "check", lambda _: None)(config)
    return config


def overridden(config: Config, overrides: Sequence[str]) -> Config:
    """Resolved settings with `key.path=value` overrides; raises ConfigError as `load_config`."""
    values = config.model_dump(mode="json")
    for override in overrides:
        _apply_override(values, override)
    return load_values(values, base=Path(), shown="these settings")


def read_resolved(text: str, shown: str) -> Config:
    """Settings as a run has stored them; raises ConfigError when they are damaged or of another version."""
    try:
        return Config.model_validate(read_yaml(text))
    except (yaml.YAMLError, ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{shown} holds no settings of this version ({reason}); set run_dir to another directory."
        ) from None


def dump_config(config: Config) -> str:
    """The resolved settings as YAML; loading it again gives the same settings."""
    return write_yaml(config.model_dump(mode="json"))


#: How many engines there are, and what each is given.
_ENGINES = {
    *("num_engines", "cpus_per_engine", "gpus_per_engine", "tensor_parallel_size", "pipeline_parallel_size"),
    *("max_num_seqs", "kv_cache_gib", "gpu_memory_utilization"),
}
_PRICES = {"price_per_million_prompt_tokens", "price_per_million_generated_tokens"}
_SOURCE = {"engine": _ENGINES, "endpoint": {"max_concurrency", *_PRICES}}
#: Settings that change nothing of a run's results, and that may differ when it is continued: where it is written to,
#: where its stages run and on how much, what it may lose, what it logs.
_WITHOUT_EFFECT: Any = {
    "run_dir": True,
    "cluster": True,
    "engine": _ENGINES,
    "teacher": _SOURCE | {"strategies": {"__all__": _SOURCE}},
    "models": {"__all__": _SOURCE},
    "training": {"cpus_per_worker", "gpus_per_worker", "max_failures", "checkpoint", "loggers"},
    "max_quarantined_fraction": True,
}


def config_sha256(config: Config) -> str:
    """Hash of everything that can change a run's results."""
    values = config.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    leave_out_additions(config, values)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def differing_keys(old: Config, new: Config) -> list[str]:
    """`key.path: old -> new` for every setting that differs and can change a run's results."""
    old_values, new_values = (
        _flatten(config.model_dump(mode="json", exclude=_WITHOUT_EFFECT)) for config in (old, new)
    )
    keys = sorted(old_values.keys() | new_values.keys())
    pairs = ((key, old_values.get(key), new_values.get(key)) for key in keys)
    return [f"{key}: {before!r} -> {after!r}" for key, before, after in pairs if before != after]


def _refuse_credentials(values: dict[str, Any], shown: str) -> None:
    """Settings are written to the run directory, shown in the report and sent to the cluster."""
    keys = ", ".join(keys_with_credentials(values))
    if keys:
        raise ConfigError(
            f"{shown}: {keys} holds what looks like a password, key or token, and settings are written down and shown. "
            "Take it out and set it in the environment of the nodes (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "an instance role; AWS_ENDPOINT_URL for other S3 servers; HF_TOKEN)."
        )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no settings file {path}; give the path of a YAML file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings; it has to be a mapping with keys such as data, teacher, student.")
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"{override!r} is no override; write key.path=value, such as iterations.max=2.")
    *parents, last = key.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ConfigError(f"{override!r} cannot be set: {parent} holds a value and no section.")
    try:
        values[last] = read_value(text)
    except yaml.YAMLError:
        raise ConfigError(f"{override!r} cannot be read: the value is no valid YAML; quote it.") from None


def _resolve_prompts(prompts: Any, base: Path) -> Any:
    """`default`, `world` or a file name become the texts they stand for; inline texts replace the default ones."""
    prompts = "default" if prompts is None else prompts
    if isinstance(prompts, dict):
        return _merged(_built_in("default"), prompts)
    if not isinstance(prompts, str):
        return prompts
    ours = files("siked_ray").joinpath("prompts")
    if ours.joinpath(f"{prompts}.yaml").is_file():
        return _built_in(prompts)
    for path in (Path(prompts), base / prompts):
        if path.is_file():
            return _read_yaml(path)
    known = ", ".join(sorted(f"`{one.name.removesuffix('.yaml')}`" for one in ours.iterdir()))
    raise ConfigError(f"prompts: {prompts!r} is neither one of {known} nor a YAML file; set it to one of these.")


def _built_in(name: str) -> dict[str, Any]:
    """The texts of a file of ours; one that `extends` another has its changes alone."""
    texts: dict[str, Any] = read_yaml(
        files("siked_ray").joinpath("prompts", f"{name}.yaml").read_text(encoding="utf-8")
    )
    base = texts.pop("extends", None)
    return _merged(_built_in(base), texts) if base else texts


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` over `base`, mapping by mapping; lists and plain values are replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        both_map = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both_map else value
    return merged


def _flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        key: leaf
        for name, value in values.items()
        for key, leaf in _flatten(value, f"{prefix}.{name}" if prefix else name).items()
    }
