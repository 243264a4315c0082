"""`siked report`: report.html of a run, and its table, or all of the report as text."""

import argparse

SUMMARY = "write report.html of a run and print its table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--text", action="store_true", help="print everything that the page shows")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.data import run_directory as names
    from siked_ray.data.storage import Storage
    from siked_ray.errors import DataError
    from siked_ray.report.changes import find_changes
    from siked_ray.report.html.page import render
    from siked_ray.report.screen.text import print_report
    from siked_ray.report.table import print_results
    from siked_ray.verification.row_files import standard_output

    storage = Storage(options.run)
    summary = storage.read_json(names.SUMMARY)
    changes = find_changes(storage, summary)
    page = render(summary, storage.read_text(names.CONFIG), changes)
    try:
        storage.write_text(names.REPORT, page)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise DataError(f"cannot write {storage.path(names.REPORT)}: {reason}") from None
    with standard_output():
        if options.text:
            print_report(summary, changes)
        else:
            print_results(summary, best_student=lambda iteration: storage.path(names.student(iteration)))
        print(f"report: {storage.path(names.REPORT)}")
    return 0
