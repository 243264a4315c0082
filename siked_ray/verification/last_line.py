"""The answer of a text without any marker or phrase: in its last line with a number."""

import re

from siked_ray.verification.region import Region, read_region

_NUMBER_START = re.compile(r"[\d.]")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b(?:Mr|Ms|Dr)\.)(?<!Mrs\.)\s+(?=[A-Z\"'(])")
_CONCLUDES = re.compile(
    r"\W*(?:So|Therefore|Thus|Hence|Since|Because|As|Consequently|Finally|Overall|Altogether"
    r"|In (?:total|all|the end|conclusion)|As a result|(?:This|That|Which) means|We (?:can )?conclude)\b"
)
#: A sentence that is nothing but the statement of its number: `The original number is 82.`
_STATES = re.compile(
    r"\W*(?:The|Its?|There|They|We|He|She)\b[^,;:]*\b(?:is|are|was|were|be|has|have|had) [-$]?\d[\d,.]*[.!\s]*"
)


def read_last_line(tail: str, *, truncated: bool) -> tuple[Region | None, str]:
    """What the last line with a number states, and by which rule: a concluding sentence's only number, else what
    follows the line's last `=`, else its last number. None, and why, where that is no answer."""
    lines = tail.split("\n")
    index = next((i for i in range(len(lines) - 1, -1, -1) if any(map(str.isdigit, lines[i]))), None)
    if index is None:
        return None, "no answer found"
    line, conclusion = lines[index], _conclusion(lines[index])
    last = conclusion or line
    ends_text = index == len(lines) - 1 and line.endswith(last)
    read = read_region(last, ends_text=ends_text, truncated=truncated, prefer_last=True)
    if read.is_cut:
        return None, "last number is cut off"
    if read.answer is None or not _NUMBER_START.search(read.answer):
        return None, "no answer found"  # what stands before an unclear line or conclusion is no answer
    return read, "concluding sentence" if conclusion else "last equation" if "=" in line else "last number"


def _conclusion(line: str) -> str:
    """The last sentence with a number, where it has one only and concludes from those before it; else nothing."""
    sentences = _BETWEEN_SENTENCES.split(line)
    last = next((one for one in reversed(sentences) if any(map(str.isdigit, one))), "")
    if last == sentences[0] or "=" in last or len(_NUMBER.findall(last)) != 1:
        return ""
    return last if _CONCLUDES.match(last) or _STATES.fullmatch(last) else ""
