"""What a solution states at its end, for the forms in which data sets keep their golds.

GSM8K ends in `#### 72`, MetaMathQA in `#### 72` and `The answer is: 72`, MATH and NuminaMath in a `\\boxed{72}`.
"""

import re

_MARKER = "####"
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_PHRASE = re.compile(r"\b(?:final answer|answer)(?: is\s*:?|\s*:)", re.IGNORECASE)
_TAG = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_EDGES = " \t\r\n*"
_TYPESET = re.compile(r"\\|^\s*\$.*\$\s*$", re.DOTALL)
_DOLLARS = re.compile(r"^\$([^$]*[^$\d.,\s-][^$]*|[^$]*)\$$")
_LATEX = (
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r"\1/\2"),
    (re.compile(r"\{,\}|\\,|\\!|\\;|\\ "), lambda match: "," if match.group() == "{,}" else ""),
    (re.compile(r"\\(?:text|mathrm)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\\[()\[\]]"), " "),
)


def final_statement(text: str) -> str:
    """The answer that a text states at its end; the text itself where nothing in it marks one.

    A solution with two marks has to say the same in both: else it is returned whole, and cannot be read as a number.
    """
    _, marker, after = text.rpartition(_MARKER)
    if marker:
        value, *rest = after.strip().split("\n", 1)
        later = _marked("\n".join(rest))
        return value if later is None or _plain(later) == _plain(value) else text
    marked = _marked(text)
    if marked is None:
        return _plain(text) if _TYPESET.search(text) else text
    return _plain(marked)


def _marked(text: str) -> str | None:
    """What the last box, else the last `The answer is`, states; None where there is none."""
    if "\\" in text and (boxes := list(_BOX.finditer(text))):
        return _braced(text, boxes[-1].end())
    if tags := _TAG.findall(text):
        return tags[-1]
    phrases = list(_PHRASE.finditer(text))
    return text[phrases[-1].end() :].lstrip().split("\n", 1)[0] if phrases else None


def _braced(text: str, start: int) -> str:
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start:index]
    return ""


def _plain(text: str) -> str:
    """Without the typesetting and the full stop around a number."""
    text = _DOLLARS.sub(r"\1", text.strip(_EDGES).rstrip(" ."))
    for pattern, replacement in _LATEX if "\\" in text or "{" in text else ():
        text = pattern.sub(replacement, text)
    return text.strip(_EDGES)
