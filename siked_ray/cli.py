"""The command line: `siked …`, the same as `python -m siked_ray …`."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from siked_ray.errors import SikedError

#: Modules of `siked_ray.commands`; each has SUMMARY, add_arguments(parser) and execute(options) -> exit code.
_COMMANDS = {
    "run": "run",
    "submit": "submit",
    "status": "status",
    "plan": "plan",
    "report": "report",
    "compare": "compare",
    "mix": "mix",
    "eval": "evaluate",
    "push": "push",
    "export": "export_gguf",
    "merge": "merge",
    "verify": "verify",
    "doctor": "doctor",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 only when finished, 2 for what the user has to change."""
    options = _options(_parser(), arguments)
    _quiet_libraries()
    try:
        return options.execute(options)
    except SikedError as error:
        print(f"siked: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("siked: interrupted; the same command continues from what was kept.", file=sys.stderr)
        return 130


def _options(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command; overrides may stand anywhere, those after an option are left over by argparse."""
    options, left_over = parser.parse_known_args(arguments)
    wrong = [one for one in left_over if "overrides" not in options or one.startswith("-") or "=" not in one]
    if wrong:
        parser.error(f"unrecognized arguments: {' '.join(wrong)}")
    if left_over:
        options.overrides = [*options.overrides, *left_over]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="siked", description="Self-guided iterative knowledge distillation of mathematical reasoning, on Ray."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module_name in _COMMANDS.items():
        module = import_module(f"siked_ray.commands.{module_name}")
        command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        module.add_arguments(command)
        command.set_defaults(execute=module.execute)
    return parser


def _quiet_libraries() -> None:
    """Keep off the screen what libraries print on import; engines and workers log to files of the run."""
    if not os.path.exists("/dev/nvidiactl"):
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
