"""Conversations as lists of messages: `[{"role": …, "content": …}]`, and ShareGPT's `[{"from": …, "value": …}]`.

A conversation in which the user speaks more than once has no one question: its record is excluded.
"""

from collections.abc import Iterable

from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, text

_COLUMNS = ("messages", "conversations", "conversation")
_QUESTION_COLUMNS = frozenset({"question", "problem", "prompt", "query", "instruction"})
_ASKS = frozenset({"user", "human"})
_ANSWERS = frozenset({"assistant", "gpt", "model", "bot"})

DATASET = None
TEXT_COLUMNS: tuple[str, ...] = ()


def recognises(table: SourceTable) -> bool:
    """One column of conversations and none of questions."""
    names = {name.lower() for name in table.columns()}
    return len(names & set(_COLUMNS)) == 1 and not names & _QUESTION_COLUMNS and "answer" not in names


def read(row: Row) -> RawProblem:
    """The question of the only user, and the solution that the last message of the assistant holds."""
    name = next(name for name in row if name.lower() in _COLUMNS)
    answers = _said_by(row[name], _ANSWERS)
    return RawProblem(question=question_in(row[name]), answer=answers[-1] if answers else None)


def is_chat(value: object) -> bool:
    """Whether a cell holds a list of messages."""
    return isinstance(value, list | tuple) and bool(value) and all(_speaker(message) for message in value)


def question_in(messages: object) -> str:
    """What the user asks; empty where there is no list of messages, and where there are several questions."""
    asked = _said_by(messages, _ASKS)
    return asked[0] if len(asked) == 1 else ""


def _said_by(messages: object, speakers: Iterable[str]) -> list[str]:
    if not is_chat(messages):
        return []
    assert isinstance(messages, list | tuple)
    return [said for message in messages if _speaker(message) in speakers and (said := _content(message))]


def _speaker(message: object) -> str:
    if not isinstance(message, dict):
        return ""
    return str(message.get("role") or message.get("from") or "").lower()


def _content(message: dict[str, object]) -> str:
    content = message.get("content", message.get("value"))
    if isinstance(content, list):  # parts, as in `[{"type": "text", "text": …}]`
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return text(content)
