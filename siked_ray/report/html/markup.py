"""HTML and SVG elements as strings. What is not `Markup` is escaped, so nothing gets in by accident."""

from collections.abc import Iterable
from html import escape

_VOID = {"meta"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """`<tag …>children</tag>`. An attribute `text_anchor` becomes text-anchor, `class_` class; None is left out."""
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if tag in _VOID:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(parts: Iterable[str]) -> Markup:
    """Parts one after the other, escaped where they are not markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part, quote=False) for part in parts))


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))
