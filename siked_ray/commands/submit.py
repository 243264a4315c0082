"""`siked submit`: hand a job to a Ray cluster and follow it, over Ray's own job interface."""

import argparse

SUMMARY = "run a job on a Ray cluster and follow it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG.yaml", help="a file below the current directory, which is sent along")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument(
        "--address",
        help="the cluster's dashboard, such as http://127.0.0.1:8265 (default: RAY_API_SERVER_ADDRESS or RAY_ADDRESS)",
    )
    parser.add_argument("--no-wait", action="store_true", help="print the job's id and leave")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.launch.submission import follow, submit

    client, job = submit(options.config, options.overrides, address=options.address)
    print(job, flush=True)
    return 0 if options.no_wait else follow(client, job)
