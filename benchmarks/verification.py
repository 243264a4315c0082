"""How fast the verifier is, beside the tools it could be replaced with: medians of repetitions taken in turns.

    python benchmarks/verification.py [--data DIR]

Text answers: whole judgements against math-verify's parse + verify of the same texts. Programs: whole judgements
against one `python -c` per program. Start-up: a process that verifies a file of text answers and programs.
With `--data DIR` (or SIKED_TEST_DATA) the texts are GSM8K's test solutions, otherwise made-up ones.
"""

import argparse
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from siked_ray.verification import DEFAULT_ANSWER_FORMATS, Verifier

_REPETITIONS = 5
_NUM_TEXTS = 300
_NUM_PROGRAMS = 400
_NUM_PYTHONS = 10


def texts(data_dir: Path | None) -> list[tuple[str, str]]:
    """(completion, gold) pairs; every second one is wrong by one."""
    if data_dir is not None and (data_dir / "gsm8k_test.jsonl").exists():
        lines = (data_dir / "gsm8k_test.jsonl").read_text().splitlines()[:_NUM_TEXTS]
        pairs = [json.loads(line)["answer"].rsplit("\n#### ", 1) for line in lines]
    else:
        numbers = random.Random(0)
        pairs = [
            (
                f"She has {a} eggs and buys {b} dozen more.\n12 * {b} = {12 * b}\n{a} + {12 * b} = {a + 12 * b}",
                str(a + 12 * b),
            )
            for a, b in ((numbers.randint(1, 5000), numbers.randint(1, 99)) for _ in range(_NUM_TEXTS))
        ]
    golds = [gold.replace(",", "") for _, gold in pairs]
    return [
        (f"{text}\nThe answer is ${gold}$.", gold if index % 2 else str(int(gold) + 1))
        for index, ((text, _), gold) in enumerate(zip(pairs, golds, strict=True))
    ]


def programs() -> list[tuple[str, str]]:
    """(program, gold) pairs of the kind that models write."""
    made = []
    for n in range(_NUM_PROGRAMS):
        lines = f"price = {n + 3}\ncount = {n % 7 + 2}\ndiscount = 10 / 100\ntotal = price * count"
        body = f"{lines}\nanswer = total * (1 - discount)"
        if n % 3 == 1:
            body = (
                "import math\ndef solution():\n    " + lines.replace("\n", "\n    ") + "\n    return math.floor(total)"
            )
        elif n % 3 == 2:
            body = f"{lines}\nfor day in range(3):\n    total += day\nprint(total)"
        made.append((body, "7"))
    return made


def rate(work: Callable[[], int]) -> float:
    """Rows per second of one run."""
    start = time.perf_counter()
    return work() / (time.perf_counter() - start)


def judge_all(verifier: Verifier, strategy: str, rows: list[tuple[str, str]]) -> int:
    for completion, gold in rows:
        verifier.judge(strategy, completion, gold)
    return len(rows)


def math_verify_all(rows: list[tuple[str, str]]) -> int:
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its timeouts are off: they use signals

    for completion, gold in rows:
        verify(parse(gold, parsing_timeout=None), parse(completion, parsing_timeout=None), timeout_seconds=None)
    return len(rows)


def pythons(rows: list[tuple[str, str]]) -> int:
    for code, _ in rows[:_NUM_PYTHONS]:
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return _NUM_PYTHONS


def start_up(rows: list[tuple[str, str]]) -> float:
    """Seconds from starting Python to a verified file with one text answer and one program in it."""
    code = (
        "import sys; from siked_ray.verification import verify_file\n"
        "verify_file(sys.argv[1], sys.argv[2], show_progress=False)"
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.jsonl")
        lines = [
            {"id": 1, "strategy": "cot", "completion": "#### 7", "answer": "7"},
            {"id": 2, "strategy": "pot", "completion": rows[0][0], "answer": "7"},
        ]
        source.write_text("\n".join(map(json.dumps, lines)) + "\n")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, source, Path(folder, "out.jsonl")], check=True)
        return time.perf_counter() - start


def in_turns(first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both, and of their ratio within a repetition."""
    pairs = [(first(), second()) for _ in range(_REPETITIONS)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SIKED_TEST_DATA"), help="folder with gsm8k_test.jsonl"
    )
    data = parser.parse_args().data
    text_rows, program_rows = texts(Path(data) if data else None), programs()
    with Verifier(DEFAULT_ANSWER_FORMATS, num_workers=1) as verifier:
        judge_all(verifier, "cot", text_rows), judge_all(verifier, "pot", program_rows), math_verify_all(text_rows[:20])
        text = in_turns(
            lambda: rate(lambda: judge_all(verifier, "cot", text_rows)),
            lambda: rate(lambda: math_verify_all(text_rows)),
        )
        program = in_turns(
            lambda: rate(lambda: judge_all(verifier, "pot", program_rows)), lambda: rate(lambda: pythons(program_rows))
        )
    seconds = statistics.median(start_up(program_rows) for _ in range(_REPETITIONS))
    print(f"median of {_REPETITIONS} repetitions, one worker")
    print(_line("text answers", text, "math-verify", 3))
    print(_line("programs", program, "python -c", 50))
    print(f"programs wanted at 800 rows/s: {'reached' if program[0] >= 800 else 'MISSED'}")
    print(f"start-up to a verified file {seconds:5.2f} s  (wanted: under 2)")


def _line(title: str, medians: tuple[float, float, float], other: str, wanted: int) -> str:
    ours, theirs, ratio = medians
    return f"{title:13}{ours:9.0f} rows/s   {other:12}{theirs:7.1f} rows/s   ratio {ratio:6.1f}  (wanted: {wanted})"


if __name__ == "__main__":
    main()
