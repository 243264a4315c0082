"""`siked plan`: validate everything and show what a run would do, without generating or training."""

import argparse
import os
import socket
import sys
from urllib.parse import urlsplit
from urllib.request import getproxies

SUMMARY = "validate everything and show what a run would do"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.config import dump_config, load_config
    from siked_ray.data.storage import Storage
    from siked_ray.driver.forecast import first_prompts, forecast
    from siked_ray.driver.preflight import check, check_run_directory

    _do_without_an_unreachable_hub()
    config = load_config(options.config, options.overrides)
    state = check_run_directory(config, Storage(config.run_dir))
    checked = check(config, offline_is_fine=True)
    print(f"# settings (run directory: {state})\n{dump_config(config)}")
    for title, prompt in first_prompts(config, checked).items():
        print(f"# {title}\n{prompt}\n")
    print("# what a run would do")
    for name, value in forecast(config, checked).items():
        print(f"{name:<34} {value}")
    for note in checked.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _do_without_an_unreachable_hub() -> None:
    """Without a network, do not let the Hub's client try each file again and again for a minute and a half."""
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    if getproxies() or host is None:
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
