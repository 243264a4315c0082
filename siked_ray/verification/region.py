"""Reads the answer out of a short region of text: what stands after a marker, or a last line."""

import re
from dataclasses import dataclass

from siked_ray.verification.mathematics import is_mathematics
from siked_ray.verification.modifiers import denies, is_changed, last_clause
from siked_ray.verification.normalise import ends_in_factorial, formula, normalise
from siked_ray.verification.number_words import read_number_words
from siked_ray.verification.quantity import read_items
from siked_ray.verification.statement import NUMBER_IN_TEXT, is_equation, number_in
from siked_ray.verification.values import spell

_MAX_CHARS = 600
_SENTENCE_END = re.compile(r"(?<![ap]\.m)(?<!\b[A-Z])(?<!\b(?:Mr|Ms|Dr))(?<!Mrs)[.!?](?=\s+(?:[A-Z\"'(]|$)|$)")
_EXPLANATION = re.compile(r"[,(;]|\b(?:because|since|as|so|which|for|when|if|after|where|that)\b", re.IGNORECASE)
_CUT = re.compile(r"(?:\d[,/:]|[-+/\\]|\d\s*[*^/]|\d[eE]|\\[dt]?frac\s*(?:\{[^{}]*\}?)?)$|\{[^{}]*$")
#: "4x" in a sentence is four times something; in a formula it is a variable's multiple.
_TIMES_SIGN = re.compile(r"(-?\d[\d,.]*) ?x")
_EQUALS = re.compile(r"\s(?:(?:which|that|this|it) )?(?:equals|is equal to)\s(?=[-$]?\s?\d)", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"(?:no (?:answer|solution)|not (?:enough|possible|given)|unknown|can(?:no|')t)\b", re.IGNORECASE
)
_FACTORIAL_SPAN = re.compile(r"\s*(?:\$|\\[(\[])[^$]*!\s*(?:\$|\\[)\]])[\s.]*")
#: What a sentence sets off from its words, in bold or as mathematics.
_SET_OFF = re.compile(
    r"\*\*([^*\n]{1,60})\*\*|\\\(([^()\n]{1,60})\\\)|(?<![\w$\\])\$([^$\s](?:[^$\n]{0,60}[^$\s])?)\$(?![\d$])"
)
_MARK_SIGNS = frozenset("=->:\u2192\u21d2")
_LEADING_MARKS = re.compile(r"(?:(?:=>|->|\u2192|\u21d2|>>>?|:)\s*)+(?=\S)")
#: Signs of a comparison, and of a relation that is none of equality: no side of it is an answer.
_RELATION = re.compile(r"[<>]|!=|\\(?:[lg]eq?(?:slant|q)?|ll|gg|n?eq|neq?|n[lg]eq?|sim|propto|mid|to|pm)(?![A-Za-z])")
_UNKNOWN = re.compile(r"(?<![A-Za-z\\])[a-zA-Z](?![A-Za-z'])")
_CLOSED = re.compile(r"\$[^$]+\$[\s.*]*$")
_SIGN_WORD = re.compile(r"^(?:minus|negative) (?=[\d.$])", re.IGNORECASE)
#: The letter of a multiple-choice option: `(B)`, `B) 5 km`, `B`, `B. 5`.
_CHOICE = re.compile(r"^\(?(?:option )?([A-J])(?:\)|[.:](?= |$)|$) ?", re.IGNORECASE)
_AFTER_CHOICE = re.compile(r"[-$\\\w]|\.\d")
_EDGE = " \t\r\n,;:!?\"'*"


@dataclass(frozen=True, slots=True)
class Region:
    """`answer` is the plain spelling of what the region states, a formula as it was typeset.

    `region` is the whole of it as it was written; `is_cut`: the text stopped in the middle of it. `choice` is the
    letter of a multiple-choice option that it begins with; `has_value`: it states more than words.
    """

    answer: str | None
    region: str = ""
    is_cut: bool = False
    choice: str = ""
    has_value: bool = False


def read_region(
    raw: str, *, ends_text: bool = True, truncated: bool = False, prefer_last: bool = False, is_box: bool = False
) -> Region:
    """The answer a region states, or None.

    `ends_text`: the completion ends with this region, so that a half-written number shows. `truncated`: generation
    was cut off there, so what touches the end is not to be trusted. `prefer_last`: the region is no statement of an
    answer but a last line; take its last number. `is_box`: the region is the content of a box, which is a formula.
    """
    written = raw[-_MAX_CHARS:] if prefer_last else raw[:_MAX_CHARS]
    if "!" in written and not (truncated and ends_text) and (factorial := _factorial_in(written, is_box)):
        return Region(factorial, factorial, has_value=True)
    written = written.lstrip()
    if written[:1] in _MARK_SIGNS and (marks := _LEADING_MARKS.match(written)):
        written = written[marks.end() :]
    text, choice = _without_choice(normalise(written).strip(_EDGE))
    raw = text if choice else written.strip(_EDGE)
    text = _SIGN_WORD.sub("-", text)
    if not text or (truncated and ends_text):
        return Region(None, text, is_cut=truncated and ends_text)
    if (
        ends_text
        and not _CLOSED.search(written)
        and (_CUT.search(text) or (written.rstrip().endswith((",", ":")) and text[-1].isdigit()))
    ):
        return Region(None, text, is_cut=True)
    sentence, raw_sentence = (text, raw) if prefer_last else (_first_sentence(text), _first_sentence(raw))
    if not prefer_last and text.startswith("?", len(sentence)) and text[len(sentence) :].strip(_EDGE):
        return Region(None, raw)  # an answer in doubt: `7? No.`
    sentence = sentence.strip(_EDGE).rstrip(".")
    answer = _set_off_number(written) if prefer_last else None
    answer = answer or _answer_in(sentence, raw_sentence, prefer_last, is_box)
    has_value = answer is not None and (bool(choice) or answer != sentence or _is_value(answer))
    return Region(answer, raw.rstrip("."), choice=choice, has_value=has_value)


def _is_value(answer: str) -> bool:
    return any(char.isdigit() for char in answer) or is_mathematics(answer)


def _factorial_in(raw: str, is_box: bool) -> str:
    """The formula that a box or the region (`$5!$`) consists of, where it ends in a factorial."""
    text = formula(raw) if is_box or _FACTORIAL_SPAN.fullmatch(raw) else ""
    return text.rpartition("=")[2].strip() if ends_in_factorial(text) else ""


def _set_off_number(raw: str) -> str | None:
    """The number that a sentence prints in bold or as mathematics, if it sets one thing off so and does not deny it."""
    found = list(_SET_OFF.finditer(raw)) if "**" in raw or "$" in raw or "\\(" in raw else []
    if len(found) != 1:
        return None
    start, end = found[0].span()
    inner = normalise(next(group for group in found[0].groups() if group)).strip(_EDGE).rstrip(".")
    value = read_items(inner)
    if value is None:
        return None
    plain = f"{normalise(raw[:start])} {inner}"
    beside = f"{plain} {normalise(raw[end:])}"
    return None if is_changed(beside, len(plain) - len(inner), len(plain)) else value.text


def _without_choice(text: str) -> tuple[str, str]:
    """The text without the letter of its option, where something readable follows it, and the letter."""
    match = _CHOICE.match(text)
    if match is None:
        return text, ""
    rest = text[match.end() :]
    return (rest if _AFTER_CHOICE.match(rest) else text), match[1].upper()


def _first_sentence(text: str) -> str:
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


def _answer_in(text: str, raw: str, prefer_last: bool, is_box: bool) -> str | None:
    value = read_items(text)
    if value is not None:
        return value.text
    if not prefer_last and _NO_ANSWER.match(text):
        return None if any(char.isdigit() for char in text) else text
    times = _TIMES_SIGN.fullmatch(text) if not is_box and "$" not in raw else None
    if times and (value := read_items(times[1])) is not None:
        return value.text
    if NUMBER_IN_TEXT.match(text) is None and (set_off := _set_off_number(raw)) is not None:
        return set_off
    text = _EQUALS.sub(" = ", text)
    if "=" in text and not _RELATION.search(text) and not _states_then_explains(text):
        left, _, right = text.rpartition("=")
        right = _balanced(right.strip(_EDGE))
        if any(char.isdigit() for char in right):
            found = _equation_in(left, right, text, raw)
            return _in_last_sentence(text) if prefer_last and (found is None or is_equation(left)) else found
    if not prefer_last and is_mathematics(text):
        return formula(raw)
    if any(char.isdigit() for char in text):
        return formula(raw) if "\\" in text and not prefer_last else number_in(text, prefer_last=prefer_last)
    return None if prefer_last else _words(text)


def _in_last_sentence(text: str) -> str | None:
    """The number of the last of several sentences, where an equation before it states none: `… = 15. He is 15.`"""
    starts = [end.end() for end in _SENTENCE_END.finditer(text.rstrip(" ."))]
    return number_in(text[starts[-1] :].strip(), prefer_last=True) if starts else None


def _equation_in(left: str, right: str, text: str, raw: str) -> str | None:
    """The value on the right of an equation, or the equation, where its left-hand side has an unknown in a term."""
    if is_equation(left):
        return formula(raw) if is_mathematics(text) else None
    return _right_hand_side(left, right, raw)


def _states_then_explains(text: str) -> bool:
    """`12 (since 24 = 2 * 12)` states its answer before the equation, `3 apples + 4 apples = 7` after it."""
    starts = NUMBER_IN_TEXT.match(text)
    return starts is not None and bool(_EXPLANATION.search(text.partition("=")[0], starts.end()))


def _balanced(text: str) -> str:
    """Without a closing bracket that was opened on the left-hand side."""
    return text[:-1].rstrip(_EDGE) if text.endswith(")") and text.count(")") > text.count("(") else text


def _right_hand_side(left: str, right: str, raw: str) -> str | None:
    """The value of an equation's right-hand side, up to the end of its first statement."""
    if denies(last_clause(left)):
        return None
    value = read_items(right)
    if value is not None:
        return value.text
    if is_mathematics(right):
        if _UNKNOWN.search(right) and is_mathematics(f"{left}={right}"):
            return formula(raw)
        return formula(raw.rpartition("=")[2]) if "\\" in right and "=" in raw else right
    return None if "\\" in right else number_in(right, prefer_last=False, starts=True)


def _words(text: str) -> str | None:
    """A text answer (`Sunday`, `the red one`), number words as digits."""
    value = read_number_words(text)
    if value is not None:
        return spell(value)
    return text if any(char.isalnum() for char in text) and len(text) <= 200 else None
