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
    r"<\|(?!(?:text|code|execution|endofblock|channel|message|start|begin_of_solution|end_of_solution|begin_of_thought)\|)"
    r"[A-Za-z][\w ]{0,30}\|>|<\|[A-Za-z]\w{1,20}>|<[A-Za-z]\w{1,20}\|>|</?s>|<(?:eos|bos|pad|EOS|BOS|PAD)>"
    r"|<(?:end|start)_of_turn>"
    r"|<\uff5c[^<>\n]{1,40}\uff5c>|\[/?INST\]"
)
#: The tag of the next rationale, or the next question on a line that states an answer.
_NEXT_ON_LINE = re.compile(
    r"[ \t\n](?:\[[a-z][a-z0-9_]{1,20}\]:|(?:Question|Problem|Exercise|Q)(?: ?\d{1,3})?[ \t]*:)(?=\s)"
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
    is_asked = _NEXT_QUESTION.search(text) is not None
    if not is_asked and not (
        ("]:" in text or "Q" in text or "Problem" in text or "Exercise" in text) and _NEXT_ON_LINE.search(text)
    ):
        return text
    patterns = list(closing)
    cuts = [_first_after(text, patterns, _NEXT_QUESTION), _first_after(text, patterns, _NEXT_ON_LINE)]
    if not asks_itself and not _BEGINS_WITH_QUESTION.match(text):
        cuts.append(_first_after(text, stating, _NEXT_AFTER_BLANK_LINE))
    return text[: min(cuts)]


def _first_after(text: str, patterns: Iterable[re.Pattern[str]], question: re.Pattern[str]) -> int:
    """Where the first question after the first match of any pattern begins; the text's length if there is none."""
    ends = [match.end() for pattern in patterns if (match := pattern.search(text))]
    found = question.search(text, min(ends)) if ends else None
    return found.start() if found else len(text)
