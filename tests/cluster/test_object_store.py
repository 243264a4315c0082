"""A run whose directory is on S3 (moto's server), from the command line; credentials come from the environment and
are never written down."""

import glob
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import ROOT, FakeRun, Nodes, make_fake_run
from tests.s3_server import SECRET, s3_server

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]
RUN_DIR = "s3://bucket/runs/fake"


@pytest.fixture(scope="module", autouse=True)
def s3() -> Iterator[Any]:
    with s3_server() as client:
        yield client


@pytest.fixture(scope="module")
def run(s3: Any, nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """A finished run on the bucket."""
    run = make_fake_run(tmp_path_factory.mktemp("s3") / "fake")
    process = run.submit(f"run_dir={RUN_DIR}")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    return run


def siked(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "siked_ray", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


def objects(s3: Any) -> dict[str, bytes]:
    found = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket")
    keys = [one["Key"] for page in found for one in page.get("Contents", [])]
    return {key: s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}


def test_everything_is_on_the_bucket(run: FakeRun, s3: Any) -> None:
    keys = {key.removeprefix("runs/fake/") for key in objects(s3)}
    expected = {
        "config.yaml",
        "summary.json",
        "metrics.jsonl",
        "report.html",
        "progress.json",
        "problems/train.parquet",
    }
    assert expected <= keys
    assert {"ledger/rollouts_teacher.json", "ledger/decision_02.json", "students/iteration_02/config.json"} <= keys
    assert not run.folder.exists(), "nothing is left on the machine that started it"


def test_status_mix_report_and_plan_read_it(run: FakeRun) -> None:
    status = siked("status", RUN_DIR, "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["state"] == "finished"
    recomputed = siked("mix", RUN_DIR, "--iteration", "1", "--json")
    assert recomputed.returncode == 0, recomputed.stderr
    summary = json.loads(siked_file("summary.json"))
    assert json.loads(recomputed.stdout)["sha256"] == summary["iterations"][1]["mixture"]["sha256"]
    report = siked("report", RUN_DIR)
    assert report.returncode == 0 and f"{RUN_DIR}/report.html" in report.stdout.replace("\n", "")
    plan = siked("plan", str(run.settings), f"run_dir={RUN_DIR}")
    assert plan.returncode == 2 and "holds a run with other settings" in plan.stderr


def siked_file(name: str) -> bytes:
    from siked_ray.data.storage import Storage

    return Storage(RUN_DIR).read_bytes(name)


def test_a_bucket_that_is_not_there_is_one_sentence(run: FakeRun) -> None:
    for command in (["status", "s3://nobody/run"], ["report", "s3://nobody/run"]):
        answer = siked(*command)
        assert answer.returncode == 2
        assert answer.stderr.startswith("siked: ") and "s3://nobody/run" in answer.stderr
        assert answer.stderr.count("\n") == 1


def test_credentials_are_nowhere(run: FakeRun, s3: Any) -> None:
    """Not in the run, not in the logs of the driver and the client, not in what commands print."""
    assert not [key for key, content in objects(s3).items() if SECRET.encode() in content]
    logs = [Path(name) for name in glob.glob("/tmp/siked-*/*.log")]
    assert any(path.name == "driver.log" for path in logs)
    assert not [path for path in logs if SECRET in path.read_text(errors="replace")]
    printed = siked("status", RUN_DIR).stdout + siked("plan", str(run.settings)).stdout
    assert printed and SECRET not in printed


def test_credentials_in_settings_are_refused(run: FakeRun) -> None:
    refused = siked("plan", str(run.settings), f"run_dir=s3://testing:{SECRET}@bucket/runs/other")
    assert refused.returncode == 2 and "run_dir holds what looks like a password" in refused.stderr
    assert SECRET not in refused.stderr + refused.stdout


def test_the_environment_is_what_lets_us_in(run: FakeRun) -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "siked_ray", "status", RUN_DIR]
    isolated = without | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(run.settings.parent)}
    isolated["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False, env=isolated)
    assert answer.returncode == 2 and "Traceback" not in answer.stderr
