"""`siked push`: a student with its model card to the Hugging Face Hub."""

import argparse

SUMMARY = "upload a student with its model card to the Hugging Face Hub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("repository", metavar="OWNER/NAME")
    parser.add_argument("--iteration", type=int, metavar="N", help="default: the best one")
    parser.add_argument("--private", action="store_true", help="make a new repository a private one")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.report.publishing import push_student

    print(push_student(options.run, options.repository, iteration=options.iteration, private=options.private))
    return 0
