"""`siked submit` around a client that answers at once; the real one is in tests/cluster."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from siked_ray.cli import main
from siked_ray.launch import submission


class Client:
    """Takes one job and plays it back."""

    def __init__(self, status: str = "SUCCEEDED", exit_code: int | None = 0, message: str = "") -> None:
        self.details = SimpleNamespace(status=status, driver_exit_code=exit_code, message=message)
        self.jobs: list[dict[str, Any]] = []

    def submit_job(self, **job: Any) -> str:
        self.jobs.append(job)
        return "raysubmit_1"

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        yield "Starting it\n"
        yield "done\n"

    def get_job_info(self, job: str) -> Any:
        return self.details


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, settings_file: Path) -> Client:
    client = Client()
    monkeypatch.setattr(submission, "_client", lambda address: client)
    monkeypatch.chdir(settings_file.parent)
    return client


def test_a_job_is_sent_followed_and_its_exit_code_returned(client: Client, settings_file: Path, capsys) -> None:
    assert main(["submit", "run.yaml", "seed=7", "strategies=[cot, pot]"]) == 0
    (job,) = client.jobs
    assert job["entrypoint"] == "python -m siked_ray run run.yaml seed=7 'strategies=[cot, pot]'"
    assert job["runtime_env"]["working_dir"] == "." and ".venv" in job["runtime_env"]["excludes"]
    assert "env_vars" not in job["runtime_env"], "the environment stays at home"
    assert capsys.readouterr().out == "raysubmit_1\nStarting it\ndone\n"


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"),
    [("FAILED", 2, 2), ("FAILED", 1, 1), ("FAILED", None, 1), ("STOPPED", None, 1)],
)
def test_the_exit_code_is_the_jobs(status: str, exit_code: int | None, expected: int, client: Client, capsys) -> None:
    client.details = SimpleNamespace(status=status, driver_exit_code=exit_code, message="head\nno such thing")
    assert main(["submit", "run.yaml"]) == expected
    assert status.lower() in capsys.readouterr().err


def test_without_waiting_only_the_id_is_printed(client: Client, capsys) -> None:
    assert main(["submit", "run.yaml", "--no-wait"]) == 0
    assert capsys.readouterr().out == "raysubmit_1\n"


def test_settings_are_checked_before_anything_is_sent(client: Client, capsys) -> None:
    assert main(["submit", "run.yaml", "iterations.maximum=1"]) == 2
    assert client.jobs == []


def test_settings_from_elsewhere_would_not_be_there(client: Client, settings_file: Path, monkeypatch, capsys) -> None:
    (settings_file.parent / "below").mkdir()
    monkeypatch.chdir(settings_file.parent / "below")
    assert main(["submit", "../run.yaml"]) == 2
    assert "outside the current directory" in capsys.readouterr().err


def test_a_cluster_has_to_be_named(settings_file: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(settings_file.parent)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    assert main(["submit", "run.yaml"]) == 2
    assert "Which cluster?" in capsys.readouterr().err
    assert main(["submit", "run.yaml", "--address", "http://127.0.0.1:9"]) == 2
    assert "No Ray dashboard answers at http://127.0.0.1:9" in capsys.readouterr().err
