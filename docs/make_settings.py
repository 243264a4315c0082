"""Prints docs/settings.md out of the settings' own models: `python docs/make_settings.py > docs/settings.md`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from siked_ray.config import Config

Schema = Mapping[str, Any]

_INTRODUCTION = """\
<!-- Made by `python docs/make_settings.py > docs/settings.md` from siked_ray/settings/; change it there. -->
# Settings

A run is described by one YAML file. Any setting can be given, or replaced, on the command line as `key.path=value`,
where the value is read as YAML: `siked run jobs/demo.yaml iterations.max=1 strategies='[cot,pot]'`. Unknown keys are
an error. `siked plan FILE.yaml` prints all settings as they are resolved, and the run keeps them in `RUN/config.yaml`.
"""
_PLAIN_TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true/false", "null": "nothing"}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
#: `load_config` puts the texts in the place of a name before the models see them.
_PROMPTS_ROW = ("text, or the section below", "`default`")


def page() -> str:
    """The whole of docs/settings.md."""
    schema = Config.model_json_schema()
    return "\n".join([_INTRODUCTION, *_section("", schema, schema["$defs"])])


def _section(prefix: str, schema: Schema, definitions: Schema) -> Iterator[str]:
    """Heading, sentence and table of a section, then the sections below it."""
    yield f"## {prefix}\n\n{_one_line(schema)}\n" if prefix else "## At the top\n"
    yield "| setting | type | default | |\n|---|---|---|---|"
    below = []
    for name, found in schema["properties"].items():
        found = _or_nothing(found)
        key = f"{prefix}.{name}" if prefix else name
        section, section_key = _section_of(found, key, definitions)
        if section:
            below.append((section_key, section))
        if section is None or found.get("description"):
            required = name in schema.get("required", [])
            yield _row(key, found, definitions, required=required, is_section=section is not None)
        else:
            yield f"| [`{key}`](#{_anchor(section_key)}) | section | | {_cell(_one_line(section))} |"
    yield ""
    for key, section in below:
        yield from _section(key, section, definitions)


def _section_of(found: Schema, key: str, definitions: Schema) -> tuple[Schema | None, str]:
    """The section that a setting holds, directly or by free names, and its key."""
    by_name = found.get("additionalProperties")
    if isinstance(by_name, dict) and "$ref" in by_name:
        return _resolved(by_name, definitions), f"{key}.NAME"
    resolved = _resolved(found, definitions)
    return (resolved if "properties" in resolved else None), key


def _or_nothing(found: Schema) -> Schema:
    """A section that may be left out, without the nothing that it is then; its own sentence describes it."""
    kinds = [one for one in found.get("anyOf", []) if "$ref" in one]
    return kinds[0] if len(kinds) == 1 and "description" not in found else found


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    return definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _row(key: str, found: Schema, definitions: Schema, *, required: bool, is_section: bool) -> str:
    if is_section and "$ref" in found:
        type_, default = _PROMPTS_ROW
    else:
        type_ = "sections by name, see below" if is_section else _type(found, definitions)
        default = "required" if required else f"`{json.dumps(found['default'], ensure_ascii=False)}`"
    return f"| `{key}` | {_cell(type_)} | {_cell(default)} | {_cell(found['description'])} |"


def _type(schema: Schema, definitions: Schema) -> str:
    """A type in words."""
    if "$ref" in schema and "properties" in _resolved(schema, definitions):
        return "section"
    schema = _resolved(schema, definitions)
    if "anyOf" in schema:
        return " or ".join(_type(one, definitions) for one in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(f'`{value}`' for value in schema['enum'])}"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "prefixItems" in schema:
        return f"[{', '.join(_type(one, definitions) for one in schema['prefixItems'])}]"
    if schema["type"] == "array":
        return f"list of {_plural(_type(schema['items'], definitions))}"
    if schema["type"] == "object" and "properties" not in schema:
        values = schema["additionalProperties"]
        return f"mapping of names to {_type(values, definitions)}" if isinstance(values, dict) else "mapping"
    if schema["type"] == "object":
        keys = schema["properties"]
        return f"mapping with {', '.join(f'`{key}`' for key in keys)}"
    bounds = [f"{sign} {schema[name]:g}" for name, sign in _BOUNDS.items() if name in schema]
    return " ".join([_PLAIN_TYPES[schema["type"]], ", ".join(bounds)]).strip()


def _plural(words: str) -> str:
    if words.startswith("["):
        return words
    first, _, rest = words.partition(" ")
    return f"{first}s {rest}".strip()


def _one_line(schema: Schema) -> str:
    return " ".join(schema.get("description", "").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(key: str) -> str:
    """How GitHub names the heading."""
    return key.lower().replace(".", "")


if __name__ == "__main__":
    print(page(), end="")
