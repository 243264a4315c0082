"""`siked compare`: students of any runs, problem by problem."""

import argparse

SUMMARY = "students of runs against each other, problem by problem"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "students",
        nargs="+",
        metavar="RUN[:N]",
        help="a run's best student, that of iteration N, or RUN:LABEL where a recipe calls its students so",
    )
    parser.add_argument("-o", "--output", metavar="FILE.html", help="write a page with pictures and examples")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    import json

    from siked_ray.errors import UserError
    from siked_ray.report.comparison import compare_students
    from siked_ray.report.html.comparison_page import comparison_page
    from siked_ray.report.screen.compared import print_comparison
    from siked_ray.report.students import find_students
    from siked_ray.verification.row_files import standard_output

    if len(options.students) < 2:
        raise UserError("siked compare needs two students or more, such as runs/a:0 runs/a:2.")
    found = compare_students(find_students(options.students))
    if options.output:
        _write(options.output, comparison_page(found))
    with standard_output():
        if options.json:
            print(json.dumps(found.values, indent=2, ensure_ascii=False))
        else:
            print_comparison(found)
            if options.output:
                print(f"page: {options.output}")
    return 0


def _write(path: str, page: str) -> None:
    from pathlib import Path

    from siked_ray.errors import DataError

    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
