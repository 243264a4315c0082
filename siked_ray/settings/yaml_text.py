"""YAML as settings are written in it: numbers as in YAML 1.2, and no key twice.

PyYAML reads YAML 1.1, where `010` is 8, `1:30` is 90 and `1e-4` is a text. Here `010` is 10, as wherever people write
numbers, `1:30` is a text and `1e-4` a number. Of two equal keys PyYAML drops one silently.
"""

import re
from typing import Any

import yaml

_INT, _FLOAT, _TIME = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"
_INT_TEXT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT_TEXT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
#: What begins something else than a plain value.
_STRUCTURE = tuple("[{\"'|>&*!")


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 takes for something else, so that both read back what was written."""


_Loader.yaml_implicit_resolvers = {
    start: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT, _TIME)]
    for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Dumper.yaml_implicit_resolvers = {
    start: list(resolvers) for start, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(_INT, re.compile(rf"^(?:{_INT_TEXT.pattern})$"), list("-+0123456789"))
    _class.add_implicit_resolver(_FLOAT, re.compile(rf"^(?:{_FLOAT_TEXT.pattern})$"), list("-+.0123456789"))
_Loader.add_constructor(_INT, _Loader.construct_yaml_int)


def read_yaml(text: str) -> Any:
    """The value of a YAML text. Raises `yaml.YAMLError`, also for a key that stands there twice."""
    return yaml.load(text, _Loader)


def read_value(text: str) -> Any:
    """The value of a setting on the command line, where nothing is a comment: a `#` is part of the text.

    Raises `yaml.YAMLError`, also where a `#` after a closing quote or bracket would drop what follows.
    """
    plain = text.strip()
    if "#" not in plain:
        return read_yaml(text)
    if not plain.startswith(_STRUCTURE):
        return plain
    last = max(token.end_mark.index for token in yaml.scan(plain) if not isinstance(token, yaml.StreamEndToken))
    if plain[last:].lstrip().startswith("#"):
        raise yaml.YAMLError("a comment follows the value")
    return read_yaml(plain)


def write_yaml(values: Any) -> str:
    """Plain values as YAML in their order; `read_yaml` gives them back."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
