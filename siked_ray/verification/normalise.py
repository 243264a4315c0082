"""Turns the many ways of typesetting an answer into one plain ASCII-like spelling.

Every function here is linear in its input, and none reads a number: that is `quantity`'s work.
"""

import re
import unicodedata

from siked_ray.verification.modifiers import NOT_A_UNIT

#: Look-alikes are written as escapes, so that nobody has to guess which one is meant.
_SUPERSCRIPTS = str.maketrans(
    {
        "\u2070": "^0",
        "\u00b9": "^1",
        "\u00b2": "^2",
        "\u00b3": "^3",
        **{chr(0x2070 + digit): f"^{digit}" for digit in range(4, 10)},
        **{chr(0x2080 + digit): f"_{digit}" for digit in range(10)},
    }
)
_MINUS_SIGNS = "\u2212\u2013\u2014\u2012\u2015\ufe63\uff0d\u2010\u2011\u207b"
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys(_MINUS_SIGNS, "-"),
        **dict.fromkeys("\u201c\u201d\u201e\u2033", '"'),
        **dict.fromkeys("\u2018\u2019\u2032", "'"),
        **dict.fromkeys("\u00d7\u00b7\u22c5\u2217\u2022\u2715\u2a2f", "*"),
        **dict.fromkeys("\u00f7\u2215\u2044", "/"),
        "\u2248": "=",
        "\u2236": ":",
        "\u00b0": " degrees ",
        "\u03c0": r"\pi",
        "\u221a": r"\sqrt",
        "\u00b1": r" \pm ",
        "\u2265": ">=",
        "\u2264": "<=",
        "\u2260": "!=",
        "\u3002": ".",
        "\u3001": ",",
    }
)
_THIN_SPACES = re.compile("(?<=\\d)[\u00a0\u2009\u202f\u2007\u2008](?=\\d{3}(?!\\d))")
_ROOT = re.compile("\u221a\\s?(\\d+(?:\\.\\d+)?)")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_NEGATIVE_EXPONENT = re.compile("\u207b(?=[\u2070\u00b9\u00b2\u00b3\u2074-\u2079])")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")

_LATEX_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\\!\s*|\\[,! ;:]|\{ \}|\\thinspace)(?=\d{3})")
_LATEX_WORDS = re.compile(
    r"\\(?:text(?:bf|it|rm|normal|tt)?|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname|emph|bold|bm)\s*\{([^{}]*)\}(?:\s*\^\s*\{?(-?\d)\}?)?"
)
_LATEX_DIGIT_SCRIPTS = re.compile(r"([\^_])\{(-?\d+)\}")
#: A factor, an exponent or an argument beside a fraction makes it part of a formula, which stays as it is.
_LATEX_FACTOR = (
    r"\s*(?:[A-Za-z](?![A-Za-z])|\(|\^(?!\s*\{?\s*\\circ)|\\(?:pi|sqrt|[dtc]?frac|theta|alpha|beta|left|log|ln|sin|cos|tan|cdot|times"
    r"|overline)(?![a-zA-Z]))"
)
_LATEX_FRACTION = re.compile(
    r"(?<![\^_A-Za-z}])(\d?)\s*\\[dtc]?frac\s*(?:\{\s*(-?[\d.,]+)\s*\}|(\d)(?=\s*[\d{]))"
    rf"\s*(?:\{{\s*([\d.,]+)\s*\}}|(\d))(?!{_LATEX_FACTOR})"
)
_LATEX_DEGREES = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)")
_LATEX_SPACES = re.compile(
    r"(?<!\\)\\(?:[,;: ]|quad|qquad|thinspace|displaystyle|left|right|bigl?|bigr|Bigl?|Bigr)(?![a-zA-Z])|~"
)
#: Size, shape and room of letters.
_LATEX_STYLE = re.compile(
    r"\\(?:Large|large|LARGE|huge|Huge|small|normalsize|textstyle|displaystyle|bf|it|rm|sf|boldmath|cal|limits|nolimits)(?![A-Za-z])\s*"
    r"|\\(?:hspace|vspace|phantom|hphantom|vphantom|label|tag)\*?\s*\{[^{}]*\}"
)
_LATEX_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]|\$\$")
_LATEX_SYMBOLS = (
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\(?:approx|simeq|equiv)(?![a-zA-Z])"), "="),
    (re.compile(r"\\colon(?![a-zA-Z])"), ":"),
    (re.compile(r"\\degrees?(?![a-zA-Z])"), " degrees"),
    (re.compile(r"\\(?:pounds|euro)(?![a-zA-Z])"), "$"),
    (re.compile(r"(?<!\\)\\([$%#&_{}])"), r"\1"),
)
_EMPHASIS = re.compile(
    r"(?<![\w)\s])\*\*|\*\*(?![\w(\s])|^\s*\*\*|\*\*\s*$|(?<=\s)\*\*(?=\S)|(?<=\S)\*\*(?=\s)|(?<!\w)__|__(?!\w)|`"
)
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_HTML = re.compile(
    r"</?(?:answer|final|solution|response|result|output|b|strong|i|em|u|p|br|span|div|center|mark|code)\b[^<>]{0,40}>",
    re.IGNORECASE,
)
_HTML_SCRIPT = re.compile(r"<su([bp])>([^<>]{1,40})</su\1>", re.IGNORECASE)
_MATH_PAIR = re.compile(r"\$([^$]+)\$[\s.,;:!?]*")
_MATH_SPAN = re.compile(
    r"(?<!\\)\\\((.+?)\\\)|(?<!\\)\\\[(.+?)\\\]|(?<!\\)\$\$?(?!\s)([^$]*[^$\\\d\s.,-][^$]*?)(?<![\s\\])\$\$?(?!\d)",
    re.DOTALL,
)
_TEX_SPACING = re.compile(
    r"(?<!\\)\\[,;: !]|\\(?:quad|qquad|left|right|displaystyle)(?![a-zA-Z])|\s+|\$|(?<=\d),\\!(?=\s?\d)"
)
_FORMULA_EDGE = " \t\r\n.,;:!?\"'*$"
_TEX_BRACED_DIGIT = re.compile(r"(?<=[\^_])\{(\w)\}")
_TEX_SHORT_FRACTION = re.compile(r"\\frac(\d)(\d)")
#: A factorial's `!` is no punctuation: `5!`, `(n-1)!`.
_FACTORIAL_END = re.compile(r"(?:\d|\)|(?:^|\d)[A-Za-z])!$")
#: A unit in a formula: more than a letter, unless that is a unit's own, and no word that changes what it follows.
_UNIT_WORD = (
    rf"(?!\s*(?:[ap]\.?\s?m\b|of\b|~?{NOT_A_UNIT}|(?:hundred|thousand|million|billion|trillion|odd|even)\b)"
    rf"|\s*~?[abcdefijknopqrtuvwxyzXYZEIPQR]\s*\}})[^{{}}]*"
)
_TRAILING_UNIT = re.compile(
    rf"(?<=[\w}})\]])(?:\s|\\[,;: ]|~)*(?:\\(?:text|mathrm|mbox)\s*\{{{_UNIT_WORD}\}}(?:\s*\^\s*\{{?\d\}}?)?"
    r"|\^\s*\{?\s*\\circ\s*\}?)[\s.]*$"
)


def normalise(text: str) -> str:
    """Plain spelling of a short text: ASCII digits and signs, single spaces, no LaTeX typesetting, no emphasis.

    What is mathematics and not typesetting (`\\sqrt{2}`, `x^2`) is left for the symbolic layer.
    """
    if not text.isascii():
        text = _ascii_like(text)
    if "<" in text:
        text = _without_html(text)
    if "\\" in text or "{" in text or "$$" in text:
        text = _without_latex(text)
    if "*" in text or "_" in text or "`" in text:
        text = _EMPHASIS.sub("", text)
    text = " ".join(text.split())
    pair = _MATH_PAIR.fullmatch(text) if text.startswith("$") else None
    return pair[1].strip() if pair else text


def _without_html(text: str) -> str:
    return _HTML.sub("", _HTML_SCRIPT.sub(_script, _CALCULATOR.sub("", text)))


def _script(match: re.Match[str]) -> str:
    return ("^" if match[1].lower() == "p" else "_") + f"{{{match[2].strip()}}}"


def formula(text: str) -> str:
    """A short text as it was typeset, for the symbolic layer; of words around a single formula, the formula."""
    if not text.isascii():
        text = _ascii_like(text)
    text = _LATEX_THOUSANDS.sub(",", _without_html(text) if "<" in text else text)
    spans = [next(filter(None, match.groups())) for match in _MATH_SPAN.finditer(text)]
    text = spans[0] if len(spans) == 1 else text
    return without_right_edge(text.lstrip(_FORMULA_EDGE), _FORMULA_EDGE)


def without_right_edge(text: str, edge: str) -> str:
    """A text without the characters of `edge` at its end, but for the `!` of a factorial."""
    without_mark = text.rstrip(edge.replace("!", ""))
    return without_mark if ends_in_factorial(without_mark) else text.rstrip(edge)


def ends_in_factorial(text: str) -> bool:
    """Whether the `!` that a formula ends in is a factorial's: `5!`, `(n-1)!`."""
    return text.endswith("!") and bool(_FACTORIAL_END.search(text))


def typeset_key(text: str) -> str:
    """LaTeX without what changes only its looks, to tell the same formula at once; empty for a text without LaTeX."""
    if "\\" not in text:
        return ""
    text = (
        _LATEX_THOUSANDS.sub(",", without_unit(text.strip(" .$")))
        .replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac")
    )
    text = _TEX_BRACED_DIGIT.sub(r"\1", _TEX_SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text))
    return _TEX_SPACING.sub("", text)


def without_unit(text: str) -> str:
    """A formula without the unit in words, or the degrees, that it ends in."""
    return _TRAILING_UNIT.sub("", text)


def _ascii_like(text: str) -> str:
    text = _NEGATIVE_EXPONENT.sub("^-", _INVISIBLE.sub("", _THIN_SPACES.sub("", text)))
    text = re.sub(r"\^-\^", "^-", text.translate(_SUPERSCRIPTS))
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _VULGAR.sub(lambda match: " " + unicodedata.normalize("NFKC", match.group()), text)
    text = unicodedata.normalize("NFKC", text.translate(_PUNCTUATION)).translate(_PUNCTUATION)
    return _decimal_digits(text) if not text.isascii() else text


def _decimal_digits(text: str) -> str:
    """Digits of other scripts as ASCII digits, so that `\\d` and `int` agree on what a number is."""
    return "".join(str(unicodedata.decimal(char)) if not char.isascii() and char.isdecimal() else char for char in text)


def _without_latex(text: str) -> str:
    text = _LATEX_FRACTION.sub(_plain_fraction, _LATEX_THOUSANDS.sub(",", _LATEX_STYLE.sub("", text)))
    for _ in range(3):  # \text inside \text and the like; deeper nesting stays and reads as an expression
        text, num_replaced = _LATEX_WORDS.subn(_plain_words, text)
        if not num_replaced:
            break
    text = _LATEX_DELIMITERS.sub(" ", _LATEX_DEGREES.sub(" degrees", text))
    text = _LATEX_DIGIT_SCRIPTS.sub(r"\1\2", _LATEX_SPACES.sub(" ", text.replace("\\!", "")))
    for pattern, replacement in _LATEX_SYMBOLS:
        text = pattern.sub(replacement, text)
    return text


def _plain_words(match: re.Match[str]) -> str:
    return f" {match[1].rstrip()}^{match[2]} " if match[2] else f" {match[1]} "


def _plain_fraction(match: re.Match[str]) -> str:
    whole, numerator, denominator = match[1], match[2] or match[3], match[4] or match[5]
    return f"{whole} {numerator}/{denominator}" if whole else f"{numerator}/{denominator}"
