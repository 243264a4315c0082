"""Tells mathematics that only a computer algebra system can read (`\\sqrt{2}`, `2(x+1)`) from words."""

import re

_COMMAND = re.compile(
    r"\\(?:sqrt|[dtc]?frac|[dt]?binom|pi|infty|cup|cap|begin|pm|log|ln|sin|cos|tan|sec|csc|cot|exp|sum|prod|int|lim|in|leq?|geq?|neq?|alpha|beta|theta|cdot|times|overline|bar|[lr]?floor|[lr]?ceil|[lr]?vert|angle|vec|hat|emptyset|mathbb|pm)(?![a-zA-Z])"
)
#: Letters that stand for variables where they follow each other: `6xy`; `cc` are cubic centimetres.
VARIABLES = r"(?:[xyz]{2,}|(?!cc)[abc]{2,3}|pq|mn|rs)(?![A-Za-z])"
_FUNCTIONS = re.compile(
    rf"(?<![A-Za-z])(?:(?:sqrt|sin|cos|tan|log|ln|exp|pi|or|and|mod)(?![A-Za-z])|{VARIABLES})|\\[a-zA-Z]+"
)
_WORD = re.compile(r"[A-Za-z]{2}")
_OPERATOR = re.compile(r"[-^*/+=(<>|!]|\d\s?[a-zA-Z]|\d_|^[a-zA-Z]$")


def is_mathematics(text: str) -> bool:
    """Whether a text that states no plain number is an expression: LaTeX commands, or operators and no words."""
    if _COMMAND.search(text):
        return True
    return bool(_OPERATOR.search(text)) and not _WORD.search(_FUNCTIONS.sub(" ", text))
