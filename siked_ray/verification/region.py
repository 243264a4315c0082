"""Reads the answer out of a short region of text: what stands after a marker, or a last line."""

import re
from dataclasses import dataclass

from siked_ray.verification.mathematics import is_mathematics
from siked_ray.verification.normalise import ends_in_factorial, formula, normalise
from siked_ray.verification.number_words import read_number_words
from siked_ray.verification.quantity import ATOM, Listing, Value, quantity_of, read_items

_MAX_CHARS = 600
_NUMBER_IN_TEXT = re.compile(ATOM, re.IGNORECASE)
_TIME_IN_TEXT = re.compile(
    r"(?<![\d:.])\d{1,2}(?::\d{2}){1,2}(?![\d:])\s*(?:[ap]\.?\s?m\b\.?)?|(?<![\d:.,])\d{1,2}\s?[ap]\.?\s?m\b\.?|(?<![\w:.])\d+(?:\.\d+)?\s?:\s?\d+(?:\.\d+)?(?![\d:])",
    re.IGNORECASE,
)
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
_BOLD = re.compile(r"\*\*([^*\n]{1,60})\*\*")
_CLOSED = re.compile(r"\$[^$]+\$[\s.*]*$")
_SIGN_WORD = re.compile(r"^(?:minus|negative) (?=[\d.$])", re.IGNORECASE)
#: The letter of a multiple-choice option: `(B)`, `B) 5 km`, `B`, `B. 5`.
_CHOICE = re.compile(r"^\(?(?:option )?([A-J])(?:\)|[.:](?= |$)|$) ?", re.IGNORECASE)
_AFTER_CHOICE = re.compile(r"[-$\\\w]|\.\d")
_WORD_BEFORE_SIGN = re.compile(r"[A-Za-z]{2}$")
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
    sentence = sentence.strip(_EDGE).rstrip(".")
    answer = _bold_number(written) if prefer_last else None
    answer = answer or _answer_in(sentence, raw_sentence, prefer_last, is_box)
    has_value = answer is not None and (bool(choice) or answer != sentence or _is_value(answer))
    return Region(answer, raw.rstrip("."), choice=choice, has_value=has_value)


def _is_value(answer: str) -> bool:
    return any(char.isdigit() for char in answer) or is_mathematics(answer)


def _factorial_in(raw: str, is_box: bool) -> str:
    """The formula that a box or the region (`$5!$`) consists of, where it ends in a factorial."""
    text = formula(raw) if is_box or _FACTORIAL_SPAN.fullmatch(raw) else ""
    return text.rpartition("=")[2].strip() if ends_in_factorial(text) else ""


def _bold_number(raw: str) -> str | None:
    """The number that a last line prints in bold, if it prints one thing so."""
    bold = _BOLD.findall(raw) if "**" in raw else []
    value = read_items(normalise(bold[0]).strip(_EDGE).rstrip(".")) if len(bold) == 1 else None
    return value.text if value is not None else None


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
    text = _EQUALS.sub(" = ", text)
    if times and (value := read_items(times[1])) is not None:
        return value.text
    if "=" in text and not _states_then_explains(text):
        right = _balanced(text.rpartition("=")[2].strip(_EDGE))
        if any(char.isdigit() for char in right):
            return _right_hand_side(right, raw)
    if not prefer_last and is_mathematics(text):
        return formula(raw)
    if any(char.isdigit() for char in text):
        return _number_in(text, prefer_last)
    return None if prefer_last else _words(text)


def _states_then_explains(text: str) -> bool:
    """`12 (since 24 = 2 * 12)` states its answer before the equation, `3 apples + 4 apples = 7` after it."""
    starts = _NUMBER_IN_TEXT.match(text)
    return starts is not None and bool(_EXPLANATION.search(text.partition("=")[0], starts.end()))


def _balanced(text: str) -> str:
    """Without a closing bracket that was opened on the left-hand side."""
    return text[:-1].rstrip(_EDGE) if text.endswith(")") and text.count(")") > text.count("(") else text


def _right_hand_side(text: str, raw: str) -> str | None:
    """The value of an equation's right-hand side, up to the end of its first statement."""
    value = read_items(text)
    if value is not None:
        return value.text
    if is_mathematics(text):
        return formula(raw.rpartition("=")[2]) if "\\" in text and "=" in raw else text
    return _number_in(text, prefer_last=False, starts=True)


def _number_in(text: str, prefer_last: bool, starts: bool = False) -> str | None:
    """The first number of a text that starts with one, else the last (documented rule)."""
    spans = list(_numbers(text))
    if not spans:
        return None
    first_start, first = spans[0]
    if (starts or first_start == 0) and not prefer_last:
        return first.text
    amounts = [] if prefer_last else _amounts(text)
    return amounts[0] if len(amounts) == 1 else spans[-1][1].text


def _amounts(text: str) -> list[str]:
    """The amounts of money in a sentence: a single one is what it states (`He has $42 left after 3 days`)."""
    found = [match for match in _NUMBER_IN_TEXT.finditer(text) if match["currency"]] if "$" in text else []
    return [quantity.text for match in found if (quantity := quantity_of(match)) is not None]


def _numbers(text: str) -> list[tuple[int, Value]]:
    """Numbers, ratios and times in reading order, with where they start."""
    found: list[tuple[int, Value]] = []
    position = 0
    colons = {match.start(): match for match in _TIME_IN_TEXT.finditer(text)}
    while match := _NUMBER_IN_TEXT.search(text, position):
        colon = colons.get(match.start())
        if colon and (value := read_items(colon.group().strip())) is not None:
            found.append((match.start(), value))
            position = colon.end()
            continue
        quantity = quantity_of(_without_operator(text, match))
        if quantity is not None:
            found.append((match.start(), quantity))
        position = match.end()
    return found


def _without_operator(text: str, match: re.Match[str]) -> re.Match[str]:
    """The match of a number, without a leading `-` or `+` that is an operator and no sign."""
    if not match["sign"] or _is_sign(text, match.start("sign"), match.end("sign")):
        return match
    start = match.end("sign")
    while text[start] == " ":
        start += 1
    return _NUMBER_IN_TEXT.match(text, start) or match


def _is_sign(text: str, start: int, end: int) -> bool:
    """Whether a `-` is a sign and not an operator, a range or a hyphen: `= -3`, but not `5-3`, `5 - 3`, `Day-3`."""
    before = text[:start]
    stripped = before.rstrip()
    if not stripped or stripped[-1] in "=:(,[{$*/<>;":
        return True
    spaced_before, spaced_after = before != stripped, text[end - 1 : end] == " " or text[end : end + 1] == " "
    return bool(_WORD_BEFORE_SIGN.search(stripped)) and spaced_before and not spaced_after


def _words(text: str) -> str | None:
    """A text answer (`Sunday`, `the red one`), number words as digits."""
    value = read_number_words(text)
    if value is not None:
        return str(value)
    return text if any(char.isalnum() for char in text) and len(text) <= 200 else None


def numbers_in(text: str) -> list[Value]:
    """All numbers, ratios and times of a short text; one value if the whole text is one."""
    text = normalise(text[:_MAX_CHARS]).strip(_EDGE).rstrip(".")
    value = read_items(text)
    return (
        list(value.items)
        if isinstance(value, Listing)
        else [value]
        if value
        else [found for _, found in _numbers(text)]
    )
