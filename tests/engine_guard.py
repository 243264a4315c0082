"""A test that starts Ray, vLLM or training processes carries the marker `engines`; one that does not carry it fails."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

#: In the command lines of Ray's head and node, of vLLM, and of the tests' own training processes.
_ENGINES = ("gcs_server", "raylet", "vllm.entrypoints", "siked_ray.generation.engines", "tests.training.deepspeed_runs")
#: Ray refuses it at once, where it would wait two minutes for an address that does not answer.
_NO_CLUSTER = "the test is not marked as one of engines"


class EngineGuard:
    """A plugin: fixtures of all scopes are under it, as they are set up within a test's protocol."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if item.get_closest_marker("engines") is not None:
            return (yield)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess.Popen, "__init__", _guarded(subprocess.Popen.__init__))
            return (yield)


def _guarded(start: Any) -> Any:
    """Of a process that an unmarked test starts, the environment is all that can be guarded: it finds no Ray."""

    def guarded(process: Any, arguments: Any, *others: Any, env: dict[str, str] | None = None, **options: Any) -> None:
        command = str(arguments)
        if any(name in command for name in _ENGINES):
            pytest.fail(f"This test needs the marker `engines`, because it starts {command[:100]}")
        start(process, arguments, *others, env=dict(env or os.environ) | {"RAY_ADDRESS": _NO_CLUSTER}, **options)

    return guarded
