"""Reads a formula whole: lists, tuples, intervals and equations by their own signs, expressions by latex2sympy.

What is not read to its last sign is not read at all: words, unknown commands and subscripts of digits are refused
before anything is parsed.
"""

import re
from dataclasses import dataclass
from typing import Any

from siked_ray.verification.mathematics import VARIABLES
from siked_ray.verification.normalise import without_unit

_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s*\(([^()]*)\)")
_FUNCTION = re.compile(r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|log|ln|exp|pi)(?![A-Za-z])")
_LETTER = re.compile(r"\\(?:text|mathrm|mathit|textit|operatorname)\s*\{\s*([A-Za-z])\s*\}")
_OR = re.compile(r"(?:\\,|\\;|~|\s)*(?:\\(?:text|mathrm|mbox)\s*\{\s*(?:or|and)\s*\}|\s(?:or|and)\s)(?:\\,|\\;|~|\s)*")
_FUNCTION_WORD = re.compile(
    r"\\(?:text|mathrm|operatorname)\s*\{\s*(sin|cos|tan|cot|sec|csc|log|ln|exp|max|min|gcd|lcm)\s*\}"
)
_SPACING = re.compile(
    r"(?<!\\)\\(?:[,;:! ]|quad|qquad|thinspace|displaystyle|left|right|[bB]igg?[lr]?)(?![a-zA-Z])|~|\$\$?|\\[()\[\]]"
)
_MIXED = re.compile(r"(?<![\w.^{}\\])(\d+)\s*(\\frac\{\d+\}\{\d+\})")
_SHORT_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d|[a-z])")
_EXPONENT = re.compile(r"\^\s*(-?\d+)")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)")
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_FACTOR = re.compile(r"(?<=[\d)])\s*\(")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORDS = re.compile(r"[A-Za-z]{2,}")
_KNOWN_WORDS = re.compile(rf"(?:{VARIABLES}|[bpv]?matrix)")
_REFUSED = re.compile(
    r"[^\x00-\x7f]|\d\s*_|[?#@&`\"](?<!&)|\\(?:text|mbox|ldots|dots|cdots|equiv|approx|sim|mod|pmod|bmod|circ)(?![a-z])|!\s*=|[-+*/^=<>]\s*$|^\s*[*/^=<>]"
)
_MEMBER = re.compile(r"^\s*[A-Za-z]\s*\\in(?![A-Za-z])\s*")
_COMPARISON = re.compile(r"<|>|\\(?:leq?|geq?|neq?)(?![A-Za-z])")
_ESCAPED_BRACES = re.compile(r"\\([{}])")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_SET_MARKS = str.maketrans({"\x01": "{", "\x02": "}"})
MAX_PARTS = 40


@dataclass(frozen=True, kw_only=True)
class Formula:
    """`kind` is "expression", "equation" (of `parts`), "comparison", "list", "tuple" or "union".

    `brackets` are those of a tuple, interval or set; `expression` is sympy's.
    """

    kind: str
    parts: tuple["Formula", ...] = ()
    brackets: str = ""
    expression: Any = None
    is_percent: bool = False


def read_formula(text: str) -> Formula | None:
    """The formula that the text is from its first sign to its last, else None."""
    text = as_latex(text)
    return None if not text or _has_foreign_signs(text) else _read(_MEMBER.sub("", text))


def as_latex(text: str) -> str:
    """A formula in one spelling: no typesetting, no unit at its end, and LaTeX for what Python prints."""
    text = text.strip().strip(".,;")
    text = text if _TRIGONOMETRIC.search(text) else without_unit(text).strip()
    text = _OR.sub(" , ", _LETTER.sub(r" \1 ", _FUNCTION_WORD.sub(r"\\\1 ", text)))
    text = (
        text.replace("\\$", "").replace("\\dbinom", "\\binom").replace("\\tbinom", "\\binom").replace("\\lbrace", "\\{")
    )
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text.replace("\\rbrace", "\\}")).replace("**", "^")
    text = re.sub(r"\\[lr]vert(?![A-Za-z])", "|", _SPACING.sub(" ", text))
    text = _SHORT_FRACTION.sub(lambda match: f"\\frac{{{match[1] or match[2]}}}{{{match[3] or match[4]}}}", text)
    text = _MIXED.sub(r"(\1+\2)", _SHORT_ROOT.sub(r"\\sqrt{\1}", _ROOT.sub(r"\\sqrt{\1}", text)))
    text = _FUNCTION.sub(r"\\\1 ", _EXPONENT.sub(r"^{\1}", text)).replace("*", r" \cdot ")
    text = _FACTOR.sub(r" \\cdot (", text)
    return _DEGREES.sub(r"(\1 \\cdot \\pi /180)" if _TRIGONOMETRIC.search(text) else r"\1", text).strip()


def _has_foreign_signs(text: str) -> bool:
    words = _WORDS.findall(_COMMAND.sub(" ", text))
    return _REFUSED.search(text) is not None or any(_KNOWN_WORDS.fullmatch(word) is None for word in words)


def _read(text: str) -> Formula | None:
    text = text.strip()
    if "\\cup" in text:
        return _of_parts("union", re.split(r"\\cup(?![A-Za-z])", text))
    marked = _ESCAPED_BRACES.sub(lambda match: "\x01" if match[1] == "{" else "\x02", text)
    if marked[:1] == "\x01" and marked[-1:] == "\x02":
        return _of_parts("list", _split(marked[1:-1]), brackets="{}")
    pieces = _split(marked)
    if len(pieces) > 1:
        return _of_parts("list", pieces)
    if marked[:1] in ("(", "[") and marked[-1:] in (")", "]") and len(inner := _split(marked[1:-1])) > 1:
        return _of_parts("tuple", inner, brackets=marked[0] + marked[-1])
    if "\x01" in marked or "\x02" in marked:
        return None
    if _COMPARISON.search(text):
        return _expression(text, kind="comparison")
    if "=" in text:
        return _of_parts("equation", text.split("=")) if text.count("=") == 1 else None
    return _expression(text)


def _of_parts(kind: str, pieces: list[str], brackets: str = "") -> Formula | None:
    if not 0 < len(pieces) <= MAX_PARTS:
        return None
    parts = tuple(
        part for piece in pieces if (part := _read(piece.translate(_SET_MARKS) if kind != "union" else piece))
    )
    return Formula(kind=kind, parts=parts, brackets=brackets) if len(parts) == len(pieces) else None


def _split(text: str) -> list[str]:
    """The pieces between commas that stand in no brackets; a text whose brackets do not match is one piece."""
    if re.fullmatch(r"\s*-?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*", text):
        return [text]
    pieces, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "([{\x01") - (char in ")]}\x02")
        if depth < 0:
            return [text]
        if char in ",;" and depth == 0:
            pieces.append(text[start:index])
            start = index + 1
    return [*pieces, text[start:]] if depth == 0 else [text]


def _expression(text: str, kind: str = "expression") -> Formula | None:
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

    is_percent = text.endswith("\\%")
    text = text.removesuffix("\\%").strip()
    if "%" in text:
        return None
    config = ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=False)
    try:
        expression = latex2sympy(text, normalization_config=None, conversion_config=config)
    except Exception:  # the parser raises what it likes for what it cannot read
        return None
    return None if expression is None else Formula(kind=kind, expression=expression, is_percent=is_percent)
