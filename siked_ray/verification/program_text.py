"""Finds the program in a completion: inside ``` fences, or among prose."""

import re
from collections import Counter
from collections.abc import Iterator

from siked_ray.verification.plain import BLOCK_END
from siked_ray.verification.run_on import END_OF_TEXT

MAX_PROGRAM_CHARS = 50_000

#: Tags that published models put around code and outputs in place of fences.
_TAGS = (
    (re.compile(r"<\|text\|>((?:(?!<\|).)*)<\|endofblock\|>", re.DOTALL), r"\1\n"),
    (re.compile(r"<llm-code>|<\|code\|>"), "\n```python\n"),
    (re.compile(r"<llm-code-output>|<\|execution\|>"), "\n```output\n"),
    (re.compile(r"</llm-code(?:-output)?>|<\|endofblock\|>"), "\n```\n"),
)
_FAILED_OUTPUT = re.compile(r"^[ \t]*Traceback\b|^[ \t]*-{10,}|\b[A-Z]\w*Error\b", re.MULTILINE)
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
_NEXT_TAG = re.compile(r"\n[ \t]*\[[a-z][a-z0-9_]{1,20}\]:(?=\s|$)")
_GIVES_ANSWER = re.compile(r"^(?:ans|answer)\b[^=\n]*=|^[ \t]*(?:print\b|return\b)|^[ \t]*```[ \t]*$", re.MULTILINE)
_SESSION_LINE = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: (.*))?$", re.MULTILINE)


def programs_in(completion: str) -> Iterator[str]:
    """Candidates, best first; a later one is for when an earlier one is not valid Python (of blocks also: raises)."""
    text = _before_next_question(_before_end_mark(completion.replace("\r\n", "\n")))
    fenced = _fenced(_with_fences(text))
    if fenced:
        yield from fenced
        return
    text = _RUN_ON.split(text, maxsplit=1)[0] if not _RUN_ON.match("\n" + text[:20]) else text
    text = text.replace("```python", "").replace("```", "")
    whole = _typed(_dedented(text))
    yield whole
    inner = _dedented(_without_prose(text))
    if inner != whole and inner.strip():
        yield inner


def _before_end_mark(text: str) -> str:
    """The text up to where a tokenizer marks its end."""
    return next((part for part in END_OF_TEXT.split(text) if part.strip()), "")


def has_blocks(completion: str) -> bool:
    """Whether the completion sets its code off from its text."""
    return any(mark in completion for mark in ("```", "~~~", "<llm-code>", "<|code|>"))


def _before_next_question(text: str) -> str:
    """The text up to a question that follows a program: a base model running on."""
    first = _GIVES_ANSWER.search(text)
    if first and (tag := _NEXT_TAG.search(text, first.end())):
        text = text[: tag.start()]
    question = _NEXT_QUESTION.search(text, first.end()) if first else None
    return text[: question.start()] if question else text


def _typed(code: str) -> str:
    """What was typed in an interpreter's session (`>>> x = 3`), without what it printed; other code as it is."""
    if not code.lstrip().startswith(">>>"):
        return code
    return "\n".join(match[1] or "" for match in _SESSION_LINE.finditer(code))


def _with_fences(text: str) -> str:
    if "<llm-code>" in text or "<|code|>" in text:
        for tag, fence in _TAGS:
            text = tag.sub(fence, text)
    return text


def _fenced(text: str) -> list[str]:
    """All Python blocks, one after the other; blocks without a language only where none says Python.

    Next without the blocks that failed when they were written, by the output that follows them; last the last alone.
    """
    if "```" not in text and "~~~" not in text:
        return []
    blocks = [(match[1].lower(), match[2]) for match in _FENCE.finditer(text)]
    python = [index for index, (label, _) in enumerate(blocks) if label in _PYTHON_LABELS]
    chosen = python or [index for index, (label, _) in enumerate(blocks) if not label][:1]
    readings = [chosen, [index for index in chosen if not _has_failed(blocks, index)], chosen[-1:]]
    programs = [_joined([blocks[index][1] for index in reading]) for reading in readings if reading]
    return [program for program in dict.fromkeys(programs) if program.strip()]


def _has_failed(blocks: list[tuple[str, str]], index: int) -> bool:
    label, output = blocks[index + 1] if index + 1 < len(blocks) else ("", "")
    return label not in _PYTHON_LABELS and _FAILED_OUTPUT.search(output) is not None


def _joined(bodies: list[str]) -> str:
    """Between blocks stands a print that tells their outputs apart."""
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
