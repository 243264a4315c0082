"""`siked verify`: verdicts for rows of text and programs."""

import argparse

SUMMARY = "verdicts for rows {id, strategy, completion, answer}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN.jsonl")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.jsonl")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that verify (default: 1)")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.verification import DEFAULT_ANSWER_FORMATS, verify_file

    counts = verify_file(
        options.input,
        options.output,
        num_workers=options.workers,
        strategies=DEFAULT_ANSWER_FORMATS,
        show_progress=True,
    )
    print(" · ".join(f"{verdict} {count:,}" for verdict, count in counts.items()))
    return 0
