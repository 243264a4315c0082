"""Tells what a model thought from what it answered: thoughts are never judged, stored or trained on.

Three forms: text between a pair of tags, whose opening one the prompt's template may have written; thoughts that
were never closed, after which there is no answer; and channels as in OpenAI's Harmony, of which `final` is the answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

#: Pairs of an opening and a closing tag.
ThoughtTags = tuple[tuple[str, str], ...]
#: Opening and closing tags of published reasoning models; case does not matter.
DEFAULT_THOUGHT_TAGS: ThoughtTags = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("<unused94>thought", "<unused95>"),
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>", re.IGNORECASE)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_CHANNEL_MARK = "<|channel|>"
#: What is left of the channels where a tokenizer left out its special tokens: `analysisWe add.assistantfinalIt is 7.`
_BARE_CHANNELS = re.compile(r"\s*analysis(?=[A-Z\d\"'(])")
_BARE_FINAL = re.compile(r"assistant\s*final(?![a-z])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Separated:
    """The answer's text; how many characters of thoughts and tags, in how many parts, were cut from it.

    `is_unclosed`: the thoughts had no end, so there is no answer, and `answer` is empty.
    """

    answer: str
    num_chars_cut: int = 0
    num_parts_cut: int = 0
    is_unclosed: bool = False


def has_thoughts(text: str, tags: Sequence[tuple[str, str]] = DEFAULT_THOUGHT_TAGS) -> bool:
    """Whether there may be something to separate: a quick look, which may say yes where there is nothing."""
    lowered = text.lower()
    return any(key in lowered for key in _keys(tuple(tags)))


def separate_thoughts(text: str, tags: Sequence[tuple[str, str]] = DEFAULT_THOUGHT_TAGS) -> Separated:
    """The answer in what a model wrote. A text without thoughts comes back as it is."""
    if _CHANNEL_MARK in text:
        return _final_channel(text)
    if start := _BARE_CHANNELS.match(text):
        return _after_bare_channels(text, start.end())
    pattern = _tag_pattern(tuple(tags))
    return _without_pairs(text, pattern) if pattern is not None and pattern.search(text) else Separated(answer=text)


@lru_cache(maxsize=16)
def _keys(tags: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """A few words, one of which each tag has in it."""
    words = {max(re.findall(r"[^\W\d_]+", tag), key=len, default=tag).lower() for pair in tags for tag in pair}
    words |= {_CHANNEL_MARK, "analysis"}
    return tuple(word for word in words if not any(other in word for other in words - {word}))


@lru_cache(maxsize=16)
def _tag_pattern(tags: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Any tag: group 1 for an opening one, group 2 for a closing one."""
    if not tags:
        return None
    opening, closing = ("|".join(re.escape(pair[side]) for pair in tags) for side in (0, 1))
    return re.compile(f"({opening})|({closing})", re.IGNORECASE)


def _without_pairs(text: str, pattern: re.Pattern[str]) -> Separated:
    """Each opening tag holds up to the next closing one; a closing one alone holds all that stands before it."""
    kept: list[str] = []
    position = num_parts = 0
    is_open = False
    for tag in pattern.finditer(text):
        if tag[1] is not None:
            if not is_open:
                kept.append(text[position : tag.start()])
            is_open = True
            continue
        if not is_open:
            kept.clear()
        position, num_parts, is_open = tag.end(), num_parts + 1, False
    if is_open:
        return Separated(answer="", num_chars_cut=len(text), num_parts_cut=num_parts + 1, is_unclosed=True)
    answer = ("".join([*kept, text[position:]])).lstrip("\n") if kept or position else text
    return Separated(answer=answer, num_chars_cut=len(text) - len(answer), num_parts_cut=num_parts)


def _final_channel(text: str) -> Separated:
    """The messages of the channel `final`; all other channels, and what stands before the first, are thoughts."""
    finals: list[str] = []
    num_parts = 0
    for channel in _CHANNEL.finditer(text):
        end = _CHANNEL_END.search(text, channel.end())
        if channel[1].lower() == "final":
            finals.append(text[channel.end() : end.start() if end else len(text)])
        else:
            num_parts += 1
    answer = "\n".join(finals)
    return Separated(
        answer=answer, num_chars_cut=len(text) - len(answer), num_parts_cut=num_parts, is_unclosed=not finals
    )


def _after_bare_channels(text: str, start: int) -> Separated:
    finals = list(_BARE_FINAL.finditer(text, start))
    answer = text[finals[-1].end() :] if finals else ""
    return Separated(answer=answer, num_chars_cut=len(text) - len(answer), num_parts_cut=1, is_unclosed=not finals)
