"""What servers with OpenAI's interface do not take of a request, and what they get instead.

OpenAI's reasoning models want another name for the limit of tokens, others refuse a seed, a stop text or a temperature,
some only stream. Each says so of the first request, in its own words; later ones are put right beforehand.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

from siked_ray.generation.engines.openai_refusals import Complaint, Refusal

_LOG = logging.getLogger(__name__)
#: What becomes of an option that a server does not take.
_OTHERWISE = {
    "max_tokens": "max_completion_tokens is sent instead",
    "seed": "it is left out, and the server draws other samples each time",
    "stop": "it is left out, and completions are cut at the stop texts when they are here",
    "temperature": "it is left out, and the server samples at its own",
    "top_p": "it is left out, and the server samples with its own",
    "stream_options": "it is left out, and tokens may not be counted",
}
#: How servers say that they do not know an option, as opposed to its value.
_NOT_KNOWN = re.compile(
    r"unsupported|(not|n't|no longer) (\w+ )?support|unrecogni[sz]ed|unknown|unexpected|extra_forbidden|extra inputs|"
    r"not permitted|not allowed|not accepted|not available|not implemented|extraneous|deprecated|only the default|"
    r"not a valid (field|parameter|argument|option|property)|(cannot|can't|may only) (both )?be (set|specified)",
    re.I,
)
#: What follows names options that a server does take.
_KNOWN = re.compile(
    r"expected (one )?of|\buse\b|\b(?<!not )(allowed|valid|supported|known|available) (\w+ )?"
    r"(parameters|params|fields|options|arguments|properties|names|keys)\b",
    re.I,
)
_SENTENCE_END = re.compile(r"[.;]\s+|\n")
_NOT_BOTH = re.compile(r"\bboth\b|mutually exclusive", re.I)
#: `stop` is a word of its own too.
_BARE_STOP = re.compile(
    r"\bstop(?=[_ ](sequence|word|string|text|token|parameter|argument|option))|"
    r"(?:(parameter|argument|option|field|property|key|supplied)s?:?|[:,\[]) stop\b|^stop:",
    re.I,
)
_STREAM = re.compile(r"\bstream(ing|ed)?\b", re.I)
_STREAM_WANTED = re.compile(r"\b(must|only|requires?|required|please|enable)\b|non-?stream", re.I)
#: Status codes that say nothing of options.
_ABOUT_OTHERS = (401, 402, 403, 408, 409, 413, 429)


class Dialect:
    """What one server was found not to take; `server` is its name in the log."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._refused: set[str] = set()
        self._streams = False

    def spoken(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options as the server takes them."""
        spoken = dict(options)
        if self._streams:
            spoken |= {"stream": True, "stream_options": {"include_usage": True}}
        if "max_tokens" in self._refused:
            spoken["max_completion_tokens"] = spoken["max_tokens"]
        return {name: value for name, value in spoken.items() if name not in self._refused}

    def learn(self, sent: Mapping[str, Any], refusal: Refusal) -> bool:
        """Take in what a server says of a request; True when it is worth another try. What is new goes to the log."""
        if refusal.status in _ABOUT_OTHERS:
            return False
        refused = {name for one in refusal.complaints for name in refused_options(one, sent)}
        for name in sorted(refused - self._refused):
            _LOG.warning("%s does not take %s (%s): %s.", self._server, name, refusal.words, _OTHERWISE[name])
        self._refused |= refused
        return bool(refused) or self._learn_to_stream(sent, refusal)

    def _learn_to_stream(self, sent: Mapping[str, Any], refusal: Refusal) -> bool:
        if "stream" in sent or not any(wants_a_stream(one) for one in refusal.complaints):
            return False
        if not self._streams:
            _LOG.warning("%s only streams (%s): its answers are streamed from here on.", self._server, refusal.words)
        self._streams = True
        return True


def refused_options(complaint: Complaint, sent: Mapping[str, Any]) -> set[str]:
    """The options among those sent that the server does not know, or of which it takes its own value only."""
    candidates = {name for name in _OTHERWISE if name in sent}
    named = candidates & set(complaint.names)
    if named and _NOT_KNOWN.search(" ".join([complaint.words, *complaint.codes])):
        return _one_of_both(named, complaint.words)
    found: set[str] = set()
    for sentence in _SENTENCE_END.split(complaint.words):
        if _NOT_KNOWN.search(sentence):
            found |= _named_in(_KNOWN.split(sentence)[0], candidates)
    return _one_of_both(found, complaint.words) or _of_no_account(named, complaint.words, sent)


def wants_a_stream(complaint: Complaint) -> bool:
    """Whether the server says that it answers in streams only."""
    said = " ".join([complaint.words, *complaint.names])
    return bool(_STREAM.search(said) and _STREAM_WANTED.search(said))


def _named_in(sentence: str, candidates: set[str]) -> set[str]:
    """Options in quotes, brackets or as a place; else as bare words."""
    return _marked_in(sentence, candidates) or {name for name in candidates if _is_bare(name, sentence)}


def _marked_in(text: str, candidates: set[str]) -> set[str]:
    return {name for name in candidates if re.search(rf"['\"`\[.]{name}(?=['\"`\]:])", text)}


def _is_bare(name: str, sentence: str) -> bool:
    return bool(_BARE_STOP.search(sentence) if name == "stop" else re.search(rf"\b{name}\b", sentence))


def _one_of_both(names: set[str], words: str) -> set[str]:
    """Some models take a temperature or a top_p, not both."""
    return names - {"temperature"} if {"temperature", "top_p"} <= names and _NOT_BOTH.search(words) else names


def _of_no_account(named: set[str], words: str, sent: Mapping[str, Any]) -> set[str]:
    """Values that are refused and change nothing: TGI has no top_p of 1, and what a seed does is up to the server."""
    named = named or _marked_in(words, set(_OTHERWISE))
    return {name for name in named if (name == "seed" and name in sent) or (name == "top_p" and sent.get(name) == 1.0)}
