"""The memory of `siked verify` on a file far larger than it: what all its processes hold, each tenth of the way.

    python benchmarks/verification_memory.py [--rows 10000000] [--workers 2] [--folder DIR]

One row in a hundred is a program, and one in a million a program that never ends. The input and the output, some
200 bytes a row each, are written to a temporary folder below `--folder`, and removed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_PROGRAM_EVERY = 100
_ENDLESS_EVERY = 1_000_000
_LOOK_AGAIN_S = 1.0


def rows(num_rows: int) -> Iterator[dict[str, str]]:
    """Rows of `siked verify`; every second answer is right."""
    numbers = random.Random(0)
    for index in range(num_rows):
        a, b = numbers.randint(1, 5000), numbers.randint(1, 99)
        gold = str(a + 12 * b + index % 2)
        if index % _ENDLESS_EVERY == _ENDLESS_EVERY - 1:
            strategy, completion = "pot", "while True:\n    pass"
        elif index % _PROGRAM_EVERY == 0:
            strategy, completion = "pot", f"eggs = {a}\ndozens = {b}\nanswer = eggs + 12 * dozens"
        else:
            strategy, completion = "cot", f"12 * {b} = {12 * b}, and {a} + {12 * b} is it. The answer is {a + 12 * b}."
        yield {"id": str(index), "strategy": strategy, "completion": completion, "answer": gold}


def resident_mb(process: psutil.Process) -> float:
    """Of a process and its descendants, in 1e6 bytes; memory they share counts for each."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def count_in_order(path: Path) -> int:
    """Rows of an output; raises ValueError at the first that is not where it was in the input."""
    index = -1
    with path.open("rb") as lines:
        for index, line in enumerate(lines):
            if json.loads(line)["id"] != str(index):
                raise ValueError(f"Row {index} of the output is not row {index} of the input.")
    return index + 1


def measure(folder: Path, num_rows: int, workers: int) -> None:
    source, verdicts = folder / "in.jsonl", folder / "out.jsonl"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(num_rows))
    command = [sys.executable, "-m", "siked_ray", "verify", str(source), "-o", str(verdicts), "--workers", str(workers)]
    started = time.monotonic()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process, sizes = psutil.Process(running.pid), []
    while running.poll() is None:
        sizes.append(resident_mb(process))
        time.sleep(_LOOK_AGAIN_S)
    seconds = time.monotonic() - started
    row_bytes = source.stat().st_size / num_rows
    tenths = [max(sizes[len(sizes) * part // 10 : len(sizes) * (part + 1) // 10] or [0.0]) for part in range(10)]
    print(f"{num_rows:,} rows of {row_bytes:.0f} bytes in {seconds:.0f} s, exit {running.returncode}")
    print(f"{count_in_order(verdicts):,} verdicts in order. Largest resident size in each tenth of the time, in MB:")
    print(" ".join(f"{size:.0f}" for size in tenths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where the temporary folder is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), options.rows, options.workers)


if __name__ == "__main__":
    main()
