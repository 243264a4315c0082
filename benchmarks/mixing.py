"""`siked mix` on a run of ten million rollouts: seconds and memory of the whole command.

    python benchmarks/mixing.py [--rollouts 10000000] [--folder DIR] [--policy adaptive …]

Makes a run directory with random rollouts, two fifths of them correct (3 s per million; kept in DIR where it is given),
then starts the command as a process of its own for each policy.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

_POLICIES = {
    "adaptive": [],
    "all": [],
    "biased": ["mixture.order=[pot,cot,l2m]"],
    "fixed_alpha": ["mixture.alphas=[0.5]"],
    "kl_target": ["mixture.kl_bound=0.01"],
}
#: Three samples per (problem, strategy), about what sampling that stops at the first correct one draws, so that many
#: rows are kept. Prompts are short, because a mixture's figures never read them.
_ROLLOUTS = """
COPY (
    SELECT substr(md5('{source}' || i), 1, 16) AS request_id, substr(md5('p' || (i // 9)), 1, 16) AS problem_id,
           s AS requested, s AS strategy, (i // 3 % 3)::INTEGER AS sample_index, i::BIGINT AS seed,
           'Below is a question from mathematics. Answer it.' AS prompt,
           'So it is ' || md5('{source}a' || i) || md5('b' || i) || '. The answer is ' || i || '.' AS completion,
           40::INTEGER AS num_tokens, false AS truncated,
           CASE WHEN hash('{source}' || i) % 5 < 2 THEN 'correct' ELSE 'wrong' END AS verdict,
           i::VARCHAR AS predicted, '' AS reason, '{source}' AS model, 'vllm' AS engine
    FROM (SELECT range AS i, ['cot', 'l2m', 'pot'][(range % 3 + 1)::INTEGER] AS s FROM range({start}, {stop}))
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def make_run(folder: Path, num_rollouts: int) -> None:
    """A run directory of which iteration 1 was sampled; half of the rollouts are the teacher's."""
    half, part = num_rollouts // 2, 1_000_000
    for source, name in (("t", "teacher"), ("s", "iteration_01")):
        (folder / "rollouts" / name).mkdir(parents=True)
        for number, start in enumerate(range(0, half, part)):
            path = folder / "rollouts" / name / f"part-{number:05d}.parquet"
            duckdb.sql(_ROLLOUTS.format(source=source, start=start, stop=min(start + part, half), path=path))
    config = ["-m", "siked_ray", "plan", "jobs/demo.yaml", f"run_dir={folder}"]
    settings = subprocess.run([sys.executable, *config], capture_output=True, text=True, check=True).stdout
    (folder / "config.yaml").write_text(settings.partition("\n")[2].partition("\n# ")[0])


def measure(folder: Path, policy: str) -> tuple[float, float, str]:
    """Seconds and GiB of one command, and its first two lines."""
    parameters = [part for override in _POLICIES[policy] for part in ("--set", override)]
    command = [
        sys.executable,
        "-m",
        "siked_ray",
        "mix",
        str(folder),
        "--iteration",
        "1",
        "--policy",
        policy,
        *parameters,
    ]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, output
    return time.monotonic() - started, usage.ru_maxrss / (1 << 20), " / ".join(output.split("\n")[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=10_000_000)
    parser.add_argument("--folder", help="keep the run here, and use it if it is there")
    parser.add_argument("--policy", nargs="*", default=["adaptive"], choices=_POLICIES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.folder or scratch)
        if not (folder / "config.yaml").exists():
            make_run(folder, options.rollouts)
        for policy in options.policy:
            seconds, gib, words = measure(folder, policy)
            print(f"{policy:<12} {seconds:6.1f} s  {gib:5.2f} GiB  {words}", flush=True)


if __name__ == "__main__":
    main()
