"""Jobs on a cluster that is somewhere else: a thin layer over Ray's job interface.

The current directory goes along as the job's working directory, so settings, prompts and data files in it are there.
Environment variables do not: what is handed to Ray with a job is shown on its dashboard, and credentials are the
nodes' own affair.
"""

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from siked_ray.config import load_config
from siked_ray.errors import ConfigError, StageError

#: Left behind when the working directory is sent: environments, results, caches.
EXCLUDED = [".git", ".venv", "runs", "**/__pycache__", "**/.pytest_cache", "**/.mypy_cache", "**/.ruff_cache"]
_STOPPED = "STOPPED"


def submit(config_path: str, overrides: Sequence[str], *, address: str | None) -> tuple[Any, str]:
    """Check the settings, submit `siked run`; returns Ray's client and the job's id. Raises ConfigError."""
    load_config(config_path, overrides)
    relative = _below_working_directory(config_path)
    client = _client(address)
    entrypoint = shlex.join(["python", "-m", "siked_ray", "run", relative, *overrides])
    try:
        job = client.submit_job(
            entrypoint=entrypoint,
            runtime_env={"working_dir": ".", "excludes": EXCLUDED},
            metadata={"siked_job": relative},
        )
    except Exception as error:
        raise StageError(f"Ray did not take the job: {' '.join(str(error).split())[:400]}") from None
    return client, job


def follow(client: Any, job: str) -> int:
    """Print the job's log until it ends; returns its exit code. Ctrl-C stops following, not the job."""
    try:
        asyncio.run(_print_log(client, job))
    except KeyboardInterrupt:
        print(
            f"siked: {job} goes on; `ray job logs -f {job}` follows it, `ray job stop {job}` ends it.", file=sys.stderr
        )
        return 130
    details = client.get_job_info(job)
    status = getattr(details.status, "value", str(details.status))
    code = details.driver_exit_code
    print(f"siked: {job} {status.lower()}", file=sys.stderr)
    if status == "SUCCEEDED":
        return 0
    if status != _STOPPED and details.message and code is None:
        print(f"siked: {details.message.strip().splitlines()[-1]}", file=sys.stderr)
    return code if code else 1


async def _print_log(client: Any, job: str) -> None:
    async for text in client.tail_job_logs(job):
        print(text, end="", flush=True)


def _below_working_directory(config_path: str) -> str:
    path = Path(config_path).resolve()
    if not path.is_relative_to(Path.cwd()):
        raise ConfigError(
            f"{config_path} lies outside the current directory, which is what goes to the cluster; change to a "
            "directory above it, or copy it here."
        )
    return str(path.relative_to(Path.cwd()))


def _client(address: str | None) -> Any:
    address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
    if not address:
        raise ConfigError(
            "Which cluster? Set --address (or RAY_API_SERVER_ADDRESS) to its dashboard, such as http://127.0.0.1:8265; "
            "on this machine alone, `siked run` needs none."
        )
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"No Ray dashboard answers at {address} ({reason}); set --address to one that does."
        ) from None
