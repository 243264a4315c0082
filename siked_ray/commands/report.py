"""`siked report`: report.html of a run, and its table on the screen."""

import argparse

SUMMARY = "write report.html of a run and print its table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.data import run_directory as names
    from siked_ray.data.storage import Storage
    from siked_ray.report.html import render
    from siked_ray.report.table import print_results

    storage = Storage(options.run)
    summary = storage.read_json(names.SUMMARY)
    storage.write_text(names.REPORT, render(summary, storage.read_text(names.CONFIG)))
    print_results(summary, best_student=lambda iteration: storage.path(names.student(iteration)))
    print(f"report: {storage.path(names.REPORT)}")
    return 0
