"""`siked verify`: judges the rows of a JSON lines file, in constant memory, keeping their order and number."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from siked_ray.core.strategy import Strategy
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.errors import ConfigError
from siked_ray.verification.defaults import DEFAULT_ANSWER_FORMATS
from siked_ray.verification.gold import Gold, read_gold
from siked_ray.verification.row_files import ReadLine, opened_output, opened_rows
from siked_ray.verification.verifier import Verifier
from siked_ray.verification.workers import in_processes, verifier_of_this_process

_MAX_LINE_BYTES = 32_000_000
_CHUNK_LINES = 256
_CHUNK_BYTES = 4_000_000


def verify_file(
    in_path: str | Path,
    out_path: str | Path,
    *,
    num_workers: int = 1,
    strategies: Sequence[Strategy] = DEFAULT_ANSWER_FORMATS,
    show_progress: bool = True,
) -> dict[str, int]:
    """Rows `{id, strategy, completion, answer}` → the same rows plus `{verdict, predicted, reason}`.

    Every line of the input gives one line of the output, in order, whatever it holds. Packed inputs (gzip, bzip2, xz,
    Zstandard) are unpacked; the output `-` is standard output. Returns the number of rows by verdict. Raises DataError
    when a file cannot be opened, read or written.
    """
    if num_workers < 1:
        raise ConfigError(f"--workers is {num_workers}, but at least one is needed")
    counts: Counter[str] = Counter({str(verdict): 0 for verdict in Verdict})
    in_path = Path(in_path)
    with (
        opened_rows(in_path) as (readline, num_bytes_in_all),
        opened_output(out_path, in_path) as write,
        _progress(in_path, num_bytes_in_all, show_progress) as advance,
    ):
        for num_bytes, rows in _judged(_chunks(readline), strategies, num_workers):
            for verdict, row in rows:
                counts[verdict] += 1
                write(row)
            advance(num_bytes)
    return dict(counts)


def _chunks(readline: ReadLine) -> Iterator[list[bytes]]:
    """Lines in chunks that are bounded in number and in bytes; a line that is too long comes as its beginning."""
    lines = _lines(readline)
    while chunk := list(_bounded(lines)):
        yield chunk


def _bounded(lines: Iterator[bytes]) -> Iterator[bytes]:
    num_bytes = 0
    for line in islice(lines, _CHUNK_LINES):
        yield line
        num_bytes += len(line)
        if num_bytes > _CHUNK_BYTES:
            return


def _lines(readline: ReadLine) -> Iterator[bytes]:
    while line := readline(_MAX_LINE_BYTES):
        is_whole = line.endswith(b"\n") or len(line) < _MAX_LINE_BYTES
        yield line if is_whole else line + b"\x00"  # not JSON: becomes an error row
        while not is_whole:
            is_whole = (rest := readline(_MAX_LINE_BYTES)).endswith(b"\n") or len(rest) < _MAX_LINE_BYTES


Judged = tuple[int, list[tuple[str, bytes]]]


def _judged(chunks: Iterable[list[bytes]], strategies: Sequence[Strategy], num_workers: int) -> Iterator[Judged]:
    if num_workers == 1:
        with Verifier(strategies, num_workers=1) as verifier:
            for chunk in chunks:
                yield sum(map(len, chunk)), [judged_line(verifier, line) for line in chunk]
    else:
        yield from _judged_in_processes(chunks, strategies, num_workers)


def _judged_in_processes(
    chunks: Iterable[list[bytes]], strategies: Sequence[Strategy], num_workers: int
) -> Iterator[Judged]:
    """A bounded number of chunks ahead of the writer, in the order of the input."""
    for chunk, future in in_processes(partial(_judge_chunk, tuple(strategies)), chunks, num_workers):
        yield _finished(chunk, future)


def _finished(chunk: list[bytes], future: "Future[list[tuple[str, bytes]]]") -> Judged:
    try:
        return sum(map(len, chunk)), future.result()
    except BrokenProcessPool:
        reason = "a verifying process died (out of memory?)"
        return sum(map(len, chunk)), [_error_row(line, reason) for line in chunk]


def _judge_chunk(strategies: tuple[Strategy, ...], chunk: list[bytes]) -> list[tuple[str, bytes]]:
    verifier = verifier_of_this_process(strategies)
    return [judged_line(verifier, line) for line in chunk]


def judged_line(verifier: Verifier, line: bytes) -> tuple[str, bytes]:
    """The verdict on one line and the line to write; never raises for what the line holds."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _error_row(line, f"not JSON: {error}"[:200])
    if not isinstance(row, dict):
        return _error_row(line, f"a JSON {type(row).__name__}, not an object")
    problem = _problem_with(row)
    gold = Gold(problem=problem) if problem else _gold_of(row["answer"])
    if gold.problem:
        judgement = Judgement(verdict=Verdict.ERROR, predicted=None, reason=gold.problem)
    else:
        is_cut = row.get("truncated") is True
        judgement = verifier.judge(row["strategy"], row["completion"], gold.value, truncated=is_cut)
    row.update(verdict=str(judgement.verdict), predicted=judgement.predicted, reason=judgement.reason)
    return str(judgement.verdict), _encoded(row)


def _gold_of(answer: str | int | float) -> Gold:
    return read_gold(answer) if isinstance(answer, str) else Gold(value=repr(answer))


def _problem_with(row: dict[str, Any]) -> str | None:
    missing = [key for key in ("strategy", "completion", "answer") if row.get(key) is None]
    if missing:
        return f"no {', '.join(missing)} in the row"
    for key in ("strategy", "completion"):
        if not isinstance(row[key], str):
            return f"{key} is a {type(row[key]).__name__}, not text"
    if isinstance(row["answer"], bool) or not isinstance(row["answer"], str | int | float):
        return f"answer is a {type(row['answer']).__name__}, neither text nor a number"
    return None


def _error_row(line: bytes, reason: str) -> tuple[str, bytes]:
    text = line[:200].decode("utf-8", "replace").rstrip("\n\x00")
    row = {"id": None, "line": text, "verdict": str(Verdict.ERROR), "predicted": None, "reason": reason}
    return str(Verdict.ERROR), _encoded(row)


def _encoded(row: dict[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except (UnicodeEncodeError, ValueError):  # lone surrogates survive as escapes
        return json.dumps(row).encode() + b"\n"


def _progress(in_path: Path, num_bytes: int | None, show: bool) -> Any:
    """A context manager that gives a function to call with the bytes read; draws on stderr only."""
    if not show:
        return nullcontext(lambda num_bytes: None)
    from siked_ray.verification.progress import byte_progress

    return byte_progress(num_bytes, f"verifying {in_path.name}")
