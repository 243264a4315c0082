"""`siked verify` on files: every line gives a line, in order, whatever it holds."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from siked_ray.cli import main
from siked_ray.errors import ConfigError, DataError
from siked_ray.verification import files, verify_file

_ROWS: list[bytes] = [
    b'{"id": 1, "strategy": "cot", "completion": "Final Answer: 72", "answer": "72", "extra": [1, {"a": null}]}',
    b'{"id": 2, "strategy": "pot", "completion": "answer = 5", "answer": 6}',
    b'{"id": 3, "strategy": "l2m", "completion": "no idea", "answer": "6"}',
    b'{"id": 4, "strategy": "tot", "completion": "x", "answer": "6"}',
    b'{"id": 5, "strategy": "cot", "completion": "#### 7"}',
    b'{"id": 6, "strategy": "cot", "completion": null, "answer": "7"}',
    b'{"id": 7, "strategy": "cot", "completion": 7, "answer": "7"}',
    b'{"id": 8, "strategy": "cot", "completion": "#### 7.50", "answer": 7.5}',
    b'{"id": 9, "strategy": "cot", "completion": "#### 1", "answer": true}',
    b'{"id": 10, "strategy": "pot", "completion": "while True: pass", "answer": "1"}',
    b"not json",
    b"",
    b"[1, 2]",
    b"null",
    b"\xff\xfe\x00garbage",
    b'{"id": 11, "strategy": "cot", "completion": "\\ud800 #### 3", "answer": "3"}',
    b"[" * 100_000,
    b'{"id": 12, "strategy": "cot", "completion": "Final Answer: \xe2\x88\x925", "answer": "-5"}',
    b'{"id": 13, "strategy": "cot", "completion": "#### 7", "answer": "7", "truncated": true}',
]
_EXPECTED = """
correct wrong unparsed error error error error correct error timeout error error error error error correct error correct
unparsed
"""
_VERDICTS = _EXPECTED.split()


def _verified(tmp_path: Path, lines: list[bytes], **options: object) -> tuple[dict[str, int], list[dict[str, object]]]:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    counts = verify_file(source, target, **{"show_progress": False, **options})  # type: ignore[arg-type]
    return counts, [json.loads(line) for line in target.read_bytes().splitlines()]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_any_row_survives_in_its_place(tmp_path: Path, num_workers: int) -> None:
    counts, rows = _verified(tmp_path, _ROWS, num_workers=num_workers)
    assert [row["verdict"] for row in rows] == _VERDICTS
    assert [row["id"] for row in rows if row["id"]] == list(range(1, 14))
    assert sum(counts.values()) == len(_ROWS) and counts["correct"] == _VERDICTS.count("correct")
    assert all({"verdict", "predicted", "reason"} <= row.keys() for row in rows)
    assert rows[0]["extra"] == [1, {"a": None}] and rows[0]["predicted"] == "72"


def test_order_is_kept_over_many_chunks(tmp_path: Path) -> None:
    lines = [b'{"id": %d, "strategy": "cot", "completion": "#### %d", "answer": "%d"}' % (i, i, i) for i in range(3000)]
    counts, rows = _verified(tmp_path, lines, num_workers=2)
    assert [row["id"] for row in rows] == list(range(3000)) and counts["correct"] == 3000


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    line = json.dumps({"id": 1, "strategy": "cot", "completion": "x " * 500 + "#### 7", "answer": "7"}).encode()
    peaks = []
    for num_rows in (500, 4_000):
        (tmp_path / "in.jsonl").write_bytes((line + b"\n") * num_rows)
        tracemalloc.start()
        verify_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", show_progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 1_000_000, peaks


def test_a_line_without_end_is_one_error_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MAX_LINE_BYTES", 100)
    lines = list(files._lines(io.BytesIO(b"a" * 350 + b"\nshort\n" + b"b" * 100).readline))
    assert [len(line) for line in lines[:2]] == [101, 6] and len(lines) == 3


def test_no_newline_at_the_end_and_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(_ROWS[0])
    assert verify_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", show_progress=False)["correct"] == 1
    (tmp_path / "in.jsonl").write_bytes(b"")
    assert sum(verify_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", show_progress=False).values()) == 0


def test_users_mistakes(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(_ROWS[0])
    with pytest.raises(DataError, match=r"missing\.jsonl"):
        verify_file(tmp_path / "missing.jsonl", tmp_path / "out.jsonl")
    with pytest.raises(DataError, match="also the input"):
        verify_file(tmp_path / "in.jsonl", tmp_path / "in.jsonl")
    with pytest.raises(DataError, match="cannot open"):
        verify_file(tmp_path / "in.jsonl", tmp_path / "no" / "out.jsonl")
    with pytest.raises(ConfigError, match="workers"):
        verify_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", num_workers=0)


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, partial(pa.compress, codec="zstd", asbytes=True)]
)
def test_packed_inputs_are_unpacked(tmp_path: Path, pack: Callable[[bytes], bytes], capfd) -> None:
    packed = pack(b"\n".join(_ROWS[:3]) + b"\n")
    (tmp_path / "in.jsonl").write_bytes(packed)
    counts = verify_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert counts["correct"] == 1 and sum(counts.values()) == 3
    (tmp_path / "in.jsonl").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"cannot read .*in\.jsonl to its end: "):
        verify_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", show_progress=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_ROWS[0].decode().encode("utf-16"), "is UTF-16 text; convert it to UTF-8"),
        (_ROWS[0].decode().encode("utf-16-le"), "is UTF-16 text"),
        (_ROWS[0].decode().encode("utf-16-be"), "is UTF-16 text"),
        (b"PAR1 and more", "is a Parquet file"),
        (b"PK\x03\x04 and more", "is a ZIP archive"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str, capsys) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    assert main(["verify", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl")]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    assert _verified(tmp_path, [b"\xef\xbb\xbf" + _ROWS[0]])[0]["correct"] == 1


def test_a_full_disk_is_one_sentence(tmp_path: Path, capsys) -> None:
    (tmp_path / "in.jsonl").write_bytes(_ROWS[0])
    assert main(["verify", str(tmp_path / "in.jsonl"), "-o", "/dev/full"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "siked: cannot write /dev/full: No space left on device"


def _siked_verify(tmp_path: Path, **streams: object) -> "subprocess.CompletedProcess[bytes]":
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(_ROWS[:3]))
    command = [sys.executable, "-m", "siked_ray", "verify", str(tmp_path / "in.jsonl"), "-o", "-"]
    return subprocess.run(command, **streams)  # type: ignore[call-overload, no-any-return]


def test_rows_on_standard_output(tmp_path: Path) -> None:
    done = _siked_verify(tmp_path, capture_output=True, check=True)
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["correct", "wrong", "unparsed"]
    assert b"wrong 1" in done.stderr


def test_a_full_standard_output_is_one_sentence(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = _siked_verify(tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == b"siked: cannot write standard output: No space left on device"


def test_progress_goes_to_stderr_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _verified(tmp_path, _ROWS[:2], show_progress=True)
    assert capfd.readouterr().out == ""
