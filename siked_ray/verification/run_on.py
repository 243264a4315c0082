"""Where a base model, after its answer, starts to invent the next question."""

import re
from collections.abc import Iterable

_QUESTION = (
    r"[ \t]*\**(?:(?:Question|Q|Problem|Exercise|Human|User|Input) ?\d{0,3}\**[ \t]*:|\[(?:Question|Problem|INST)\]"
    r"|#{1,4} ?(?:Instruction|Question|Input|Problem|Human|User)\b[ \t]?\d{0,3}[ \t]*:)"
)
_NEXT_QUESTION = re.compile(r"\n" + _QUESTION)
_NEXT_AFTER_BLANK_LINE = re.compile(r"\n[ \t]*\n" + _QUESTION)
_BEGINS_WITH_QUESTION = re.compile(r"\s*" + _QUESTION)
#: The next turn in a prompt's template, which no answer opens itself.
_NEXT_TURN = re.compile(
    r"\n[ \t]*(?:#{1,4} ?(?:Instruction|Input|Human|User)\b[ \t]*:|\[INST\]|(?:Human|User|HUMAN|USER)[ \t]*:)"
)
#: What tokenizers mark the end of a text, or of a turn, with.
END_OF_TEXT = re.compile(
    r"<\|(?:endoftext|end_of_text|im_end|im_start|eot_id|user|end)\|>|</s>|<(?:end|start)_of_turn>"
    r"|<\uff5cend\u2581of\u2581sentence\uff5c>"
)


def before_run_on(
    text: str, closing: Iterable[re.Pattern[str]], stating: Iterable[re.Pattern[str]], *, asks_itself: bool
) -> str:
    """The text up to the next question.

    That is the first question line after a `closing` marker, or, where the text does not pose questions to itself,
    after a phrase `stating` an answer and a blank line; and in any case the end that a tokenizer marks, or where the
    prompt's template opens the next turn.
    """
    if "<" in text and (end := END_OF_TEXT.search(text)) and text[: end.start()].strip():
        text = text[: end.start()]
    if (turn := _NEXT_TURN.search(text)) and text[: turn.start()].strip():
        text = text[: turn.start()]
    if _NEXT_QUESTION.search(text) is None:
        return text
    cuts = [_first_after(text, closing, _NEXT_QUESTION)]
    if not asks_itself and not _BEGINS_WITH_QUESTION.match(text):
        cuts.append(_first_after(text, stating, _NEXT_AFTER_BLANK_LINE))
    return text[: min(cuts)]


def _first_after(text: str, patterns: Iterable[re.Pattern[str]], question: re.Pattern[str]) -> int:
    """Where the first question after the first match of any pattern begins; the text's length if there is none."""
    ends = [match.end() for pattern in patterns if (match := pattern.search(text))]
    found = question.search(text, min(ends)) if ends else None
    return found.start() if found else len(text)
