"""`siked doctor`: what this machine or cluster has, what is missing, how to fix it."""

import argparse

SUMMARY = "what is there, what is missing, how to fix it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from siked_ray.report.screen.machine import examine

    findings = examine()
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{'ok     ' if finding.ok else 'MISSING'} {finding.subject:<24} {finding.found}")
            if not finding.ok:
                print(f"        {'':<24} {finding.remedy}")
    return 0 if all(finding.ok for finding in findings) else 1
