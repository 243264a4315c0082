"""Reading, overriding, comparing and writing the settings of a run.

`load_config` reads a YAML file, applies `key.path=value` overrides, puts the prompts' texts in place of their name and
validates. The settings themselves are in `siked_ray.settings`.
"""

import difflib
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
from siked_ray.settings import Config

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
            values["prompts"] = _resolve_prompts(values.get("prompts", "default"), Path(path).parent)
        _apply_override(values, override)
    return load_values(values, base=Path(path).parent, shown=str(path))


def load_values(values: dict[str, Any], *, base: Path, shown: str) -> Config:
    """Settings from plain values: as `load_config`; `base` is where prompt files are looked for, `shown` their name."""
    _refuse_credentials(values, shown)
    prompts = _resolve_prompts(values.get("prompts", "default"), base)
    try:
        return Config.model_validate(values | {"prompts": prompts})
    except ValidationError as error:
        raise ConfigError(f"{shown}: " + "; ".join(_sentence(issue) for issue in error.errors())) from None


def overridden(config: Config, overrides: Sequence[str]) -> Config:
    """Resolved settings with `key.path=value` overrides; raises ConfigError as `load_config`."""
    values = config.model_dump(mode="json")
    for override in overrides:
        _apply_override(values, override)
    return load_values(values, base=Path(), shown="these settings")


def read_resolved(text: str, shown: str) -> Config:
    """Settings as a run has stored them; raises ConfigError when they are damaged or of another version."""
    try:
        return Config.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{shown} holds no settings of this version ({reason}); set run_dir to another directory."
        ) from None


def dump_config(config: Config) -> str:
    """The resolved settings as YAML; loading it again gives the same settings."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


#: Settings that change nothing of a run's results: where it is written to, and where its stages run.
_WITHOUT_EFFECT = {"run_dir", "cluster"}


def config_sha256(config: Config) -> str:
    """Hash of everything that can change a run's results."""
    values = config.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
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
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
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
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{override!r} cannot be set: {parent} holds a value and no section.")
        values = child
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{override!r} cannot be read: the value is no valid YAML; quote it.") from None


def _resolve_prompts(prompts: Any, base: Path) -> Any:
    """`default`, `world` or a file name become the texts they stand for; inline texts replace the default ones."""
    if isinstance(prompts, dict):
        return _merged(_built_in("default"), prompts)
    if not isinstance(prompts, str):
        return prompts
    if files("siked_ray").joinpath("prompts", f"{prompts}.yaml").is_file():
        return _built_in(prompts)
    for path in (Path(prompts), base / prompts):
        if path.is_file():
            return _read_yaml(path)
    raise ConfigError(f"prompts: {prompts!r} is neither `default`, `world` nor a YAML file; set it to one of these.")


def _built_in(name: str) -> dict[str, Any]:
    return yaml.safe_load(files("siked_ray").joinpath("prompts", f"{name}.yaml").read_text(encoding="utf-8"))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` over `base`, mapping by mapping; lists and plain values are replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        both_map = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both_map else value
    return merged


def _sentence(issue: Any) -> str:
    key = ".".join(str(part) for part in issue["loc"])
    if issue["type"] == "extra_forbidden":
        return f"unknown setting {key}{_suggestion(issue['loc'])}"
    if issue["type"] == "missing":
        wanted = " and ".join(f"{key}.{name}" for name in _required_keys(issue["loc"])) or key
        return f"{wanted} is required; set it in the file or as {wanted.partition(' ')[0]}=…"
    message = issue["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (it is {issue['input']!r})" if key and not isinstance(issue["input"], dict) else message


def _section(location: Sequence[str | int]) -> Any:
    """The settings class at a place; None where there is a plain value."""
    section: Any = Config
    for part in location:
        field = getattr(section, "model_fields", {}).get(part)
        section = field.annotation if field else None
    return section


def _required_keys(location: Sequence[str | int]) -> list[str]:
    fields = getattr(_section(location), "model_fields", {})
    return [name for name, field in fields.items() if field.is_required()]


def _suggestion(location: Sequence[str | int]) -> str:
    known = list(getattr(_section(location[:-1]), "model_fields", {}))
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (known here: {', '.join(known)})" if known else ""


def _flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        key: leaf
        for name, value in values.items()
        for key, leaf in _flatten(value, f"{prefix}.{name}" if prefix else name).items()
    }
