"""A rationale in plain signs: what is typeset or typed in another way reads as `12 * 3 = 36`."""

import re

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u00d7\u00b7\u22c5\u2217", "*"),
        **dict.fromkeys("\u00f7\u2215\u2044", "/"),
        **dict.fromkeys("\u2212\u2013\u2014\u2012\ufe63\uff0d", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f\u2007", " "),
        "\u2019": "'",
        "\u00bd": " 1/2",
        "\u00bc": " 1/4",
        "\u00be": " 3/4",
        "\u00b2": "^2",
        "\u00b3": "^3",
    }
)
_MARK = re.compile(r"<<([^<>\n]{1,200})>>")
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
#: `12 cm^2`, whose power is not the number's.
_POWER_OF_UNIT = re.compile(r"(?<=[a-z]{2})\^\{?[23]\}?|(?<=\bm)\^\{?[23]\}?")
_DOLLAR_AFTER = re.compile(r"(?<=[\d)%])\$")
_LATEX = (
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:times|cdot)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\approx(?![a-zA-Z])"), "\u2248"),
    (re.compile(r"(?<=\d)(?:\{,\}|\\,|\\!)(?=\d{3})"), ""),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\[()\[\],;:! ]"), " "),
    (re.compile(r"\\([$%#&])"), r"\1"),
)


def plain_signs(text: str) -> tuple[str, str]:
    """The text, and the contents of GSM8K's calculator marks (`<<3+4=7>>`), one a line, which are taken out of it."""
    if not text.isascii():
        text = text.translate(_SIGNS)
    marks = ""
    if "<<" in text:
        marks, text = "\n".join(_MARK.findall(text)), _MARK.sub("", text)
    if "\\" in text:
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
    if "**" in text:
        text = _BOLD.sub(r"\1", text)
    if "^" in text:
        text = _POWER_OF_UNIT.sub("", text)
    if "$" in text:
        text = _DOLLAR_AFTER.sub("", text)
    return text, marks
