"""A Hub that cannot be reached is not asked again and again."""

import os

import pytest

from siked_ray.preflight.offline import do_without_an_unreachable_hub


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without proxies; what the function sets is taken back."""
    monkeypatch.setattr("siked_ray.preflight.offline.getproxies", dict)
    monkeypatch.setenv("HF_HUB_OFFLINE", "taken back")
    monkeypatch.delenv("HF_HUB_OFFLINE")


def refuse(*_: object) -> None:
    raise OSError("no such host")


def test_without_a_network_the_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    do_without_an_unreachable_hub()
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_with_a_network_or_a_proxy_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [])
    do_without_an_unreachable_hub()
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("siked_ray.preflight.offline.getproxies", lambda: {"https": "http://proxy:3128"})
    do_without_an_unreachable_hub()
    assert "HF_HUB_OFFLINE" not in os.environ
