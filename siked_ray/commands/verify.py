"""`siked verify`: verdicts for rows of text and programs, and the audit of a run's verdicts."""

import argparse
import sys

SUMMARY = "verdicts for rows {id, strategy, completion, answer}, or an audit of a run's verdicts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN.jsonl", nargs="?")
    parser.add_argument(
        "-o", "--output", metavar="OUT.jsonl", help="where the rows with their verdicts go (-: standard output)"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that verify (default: 1)")
    parser.add_argument("--audit", metavar="RUN", help="re-score a run's rollouts and show what deserves a look")


def execute(options: argparse.Namespace) -> int:
    if options.audit and not (options.input or options.output):
        return _audit(options.audit, options.workers)
    if options.audit or not (options.input and options.output):
        from siked_ray.errors import ConfigError

        raise ConfigError("siked verify needs IN.jsonl -o OUT.jsonl, or --audit RUN alone.")
    return _verify(options.input, options.output, options.workers)


def _verify(in_path: str, out_path: str, num_workers: int) -> int:
    from siked_ray.verification import DEFAULT_ANSWER_FORMATS, verify_file
    from siked_ray.verification.row_files import STDOUT, standard_output

    counts = verify_file(
        in_path, out_path, num_workers=num_workers, strategies=DEFAULT_ANSWER_FORMATS, show_progress=True
    )
    with standard_output():
        shown = " · ".join(f"{verdict} {count:,}" for verdict, count in counts.items())
        print(shown, file=sys.stderr if out_path == STDOUT else sys.stdout)
    return 0


def _audit(run_dir: str, num_workers: int) -> int:
    from siked_ray.data.storage import Storage
    from siked_ray.report.what_if import read_config
    from siked_ray.verification.audit import audit_run
    from siked_ray.verification.audit_report import render
    from siked_ray.verification.row_files import standard_output

    strategies = read_config(Storage(run_dir)).strategy_records()
    report = audit_run(run_dir, strategies=strategies, num_workers=num_workers, show_progress=True)
    with standard_output():
        print(render(report))
    return 0
