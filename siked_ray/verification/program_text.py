"""Finds the program in a completion: inside ``` fences, or among prose."""

import re
from collections import Counter
from collections.abc import Iterator

from siked_ray.verification.plain import BLOCK_END

MAX_PROGRAM_CHARS = 50_000

_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+.-]*)[^\n]*\n(.*?)(?:(?:```|~~~)[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_PYTHON_LABELS = frozenset({"python", "python3", "py", "python3.11", "pycon"})
_CODE_LINE = re.compile(
    r"\s*(?:#|@|(?:import|from|def|class|for|while|if|elif|else|try|except|finally|with|return|print|assert|pass|break|continue|raise)\b"
    r"|[A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*\s*(?::\s*\w+\s*)?(?:[-+*/%]|//|\*\*)?=(?!=)|[A-Za-z_][\w.]*\()"
)
_PLAIN_IMPORT = re.compile(
    r"^([ \t]*)import[ \t]+(numpy|pandas|scipy|sympy|fractions|statistics)(?:[ \t]+as[ \t]+(\w+))?[ \t]*$", re.MULTILINE
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_RUN_ON = re.compile(r"\n(?=(?:Question|Q|Problem|Answer|A|#{2,3} ?(?:Instruction|Question|Input|Response))\s*:)")
_NEXT_QUESTION = re.compile(r"\n(?=[ \t]*(?:#+ ?)?(?:Question|Q|Problem)(?: \d{1,3})?[ \t]*:)")
_GIVES_ANSWER = re.compile(r"^(?:ans|answer)\b[^=\n]*=|^[ \t]*(?:print\b|return\b)|^[ \t]*```[ \t]*$", re.MULTILINE)
_SESSION_LINE = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: (.*))?$", re.MULTILINE)


def programs_in(completion: str) -> Iterator[str]:
    """Candidates, best first; a later one is for when an earlier one is not valid Python."""
    text = _before_next_question(completion.replace("\r\n", "\n"))
    fenced = _fenced(text)
    if fenced:
        yield fenced
        return
    text = _RUN_ON.split(text, maxsplit=1)[0] if not _RUN_ON.match("\n" + text[:20]) else text
    text = text.replace("```python", "").replace("```", "")
    whole = _typed(_dedented(text))
    yield whole
    inner = _dedented(_without_prose(text))
    if inner != whole and inner.strip():
        yield inner


def _before_next_question(text: str) -> str:
    """The text up to a question that follows a program: a base model running on."""
    first = _GIVES_ANSWER.search(text)
    question = _NEXT_QUESTION.search(text, first.end()) if first else None
    return text[: question.start()] if question else text


def _typed(code: str) -> str:
    """What was typed in an interpreter's session (`>>> x = 3`), without what it printed; other code as it is."""
    if not code.lstrip().startswith(">>>"):
        return code
    return "\n".join(match[1] or "" for match in _SESSION_LINE.finditer(code))


def _fenced(text: str) -> str:
    """All Python blocks, one after the other; blocks without a language only where none says Python.

    Between them stands a print that tells their outputs apart.
    """
    if "```" not in text and "~~~" not in text:
        return ""
    blocks = [(match[1].lower(), match[2]) for match in _FENCE.finditer(text)]
    python = [body for label, body in blocks if label in _PYTHON_LABELS]
    bodies = python or [body for label, body in blocks if not label][:1]
    return f"\nprint({BLOCK_END!r})\n".join(_typed(_dedented(body)) for body in bodies)


def _dedented(text: str) -> str:
    """Without a common indentation, or the single leading space that follows a strategy's tag."""
    lines = text.strip("\n").split("\n")
    if lines and lines[0].startswith(" ") and not any(line.startswith(" ") for line in lines[1:] if line.strip()):
        lines[0] = lines[0].lstrip()
    indents = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    margin = min(indents, default=0)
    if margin == 0 and indents and indents[0] > 0:
        lines[0] = lines[0].lstrip()
    return "\n".join(line[margin:] for line in lines) if margin else "\n".join(lines)


def _without_prose(text: str) -> str:
    """From the first line that looks like code to the line before prose starts again."""
    lines = text.split("\n")
    start = next((index for index, line in enumerate(lines) if _CODE_LINE.match(line)), None)
    if start is None:
        return ""
    end = start
    for index in range(start, len(lines)):
        line = lines[index]
        if line.strip() and not line.startswith((" ", "\t", ")", "]", "}")) and not _CODE_LINE.match(line):
            break
        end = index + 1
    return "\n".join(lines[start:end])


def without_unused_imports(code: str) -> str:
    """Zero-shot prompts open with `import numpy as np` whether or not it is used; unused, it costs a second tier."""

    if not _PLAIN_IMPORT.search(code):
        return code
    uses = Counter(_NAME.findall(code))
    return _PLAIN_IMPORT.sub(lambda line: line.group() if uses[line[3] or line[2]] > 1 else f"{line[1]}pass", code)
