"""`siked push` against a stub of the Hub, in a process of its own because the client reads its address on import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from siked_ray.config import dump_config
from siked_ray.data import run_directory as names
from siked_ray.report.publishing import write_model_card
from tests.driver.hub_stub import HubStub
from tests.driver.test_lab import SETTINGS, Run

TOKEN = "hf_stub"

pytestmark = pytest.mark.slow


@pytest.fixture
def run(make_config, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(make_config(*SETTINGS, "iterations.max=1"), monkeypatch)
    run.finish()
    run.storage.write_text(names.CONFIG, dump_config(run.config))
    run.storage.write_json(names.SUMMARY, run.summary())
    run.storage.write_bytes(f"{names.student(1)}/model.safetensors", b"weights of iteration 1")
    return run


def push(address: str, *arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """`siked push` as a user runs it, with the Hub at this address."""
    environment = os.environ | {
        "HF_ENDPOINT": address,
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
    }
    command = [sys.executable, "-m", "siked_ray", "push", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_the_best_student_arrives_with_its_card(run: Run):
    with HubStub(token=TOKEN) as hub:
        answer = push(hub.address, run.storage.root, "me/student", "--private")
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.strip() == f"{hub.address}/me/student"
    assert hub.created[0]["name"] == "student" and hub.created[0]["visibility"] == "private"
    assert hub.messages == ["SIKeD student of iteration 1"]
    assert hub.files["model.safetensors"] == b"weights of iteration 1"
    assert set(hub.files) == {"README.md", "config.json", "model.safetensors"}
    card = hub.files["README.md"].decode()
    assert "distilled with SIKeD (iteration 1)" in card


def test_an_earlier_student_can_be_pushed_and_the_run_stays_as_it_is(run: Run):
    write_model_card(run.storage, 0)
    before = run.storage.read_bytes(f"{names.student(0)}/README.md")
    with HubStub(token=TOKEN) as hub:
        assert push(hub.address, run.storage.root, "me/student", "--iteration", "0").returncode == 0
    assert set(hub.files) == {"README.md", "config.json"}
    assert run.storage.read_bytes(f"{names.student(0)}/README.md") == before


@pytest.mark.parametrize(
    ("arguments", "token", "words"),
    [
        (["me/student", "--iteration", "7"], TOKEN, "no student of iteration 7"),
        (["not a name"], TOKEN, "Cannot push to not a name"),
        (["me/student"], "hf_other", "The Hub refused me/student"),
    ],
)
def test_what_cannot_be_pushed_is_one_line(run: Run, arguments: list[str], token: str, words: str):
    with HubStub(token=TOKEN) as hub:
        answer = push(hub.address, run.storage.root, *arguments, token=token)
    assert (answer.returncode, answer.stdout, hub.files) == (2, "", {})
    assert words in answer.stderr and answer.stderr.count("\n") == 1, answer.stderr


def test_a_hub_that_is_not_there(run: Run):
    answer = push("http://127.0.0.1:9", run.storage.root, "me/student")
    assert answer.returncode == 2
    assert "cannot be reached" in answer.stderr and answer.stderr.count("\n") == 1, answer.stderr


def test_the_card_tells_where_everything_comes_from(run: Run, tmp_path: Path):
    write_model_card(run.storage, 1)
    card = run.storage.read_text(f"{names.student(1)}/README.md")
    front_matter = yaml.safe_load(card.split("---\n")[1])
    assert front_matter["library_name"] == "transformers"
    assert "base_model" not in front_matter, "world:student is no name of the Hub's"
    summary = run.summary()
    for entry in summary["iterations"]:
        assert entry["mixture"]["sha256"][:16] in card
    metrics = summary["iterations"][1]["evaluation"]["more"]
    assert f"| test set more | 10 | {metrics['free']:.1%} |" in card
    assert summary["config_sha256"] in card and "`world:teacher` (vllm)" in card
    assert "`[cot]:`, `[pot]:`" in card
    write_model_card(run.storage, 0)
    earlier = run.storage.read_text(f"{names.student(0)}/README.md")
    assert summary["iterations"][1]["mixture"]["sha256"][:16] not in earlier, "what came later is not its lineage"
