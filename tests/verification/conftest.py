"""Fixtures of the verification tests: one verifier for the session, and the public data sets where they are."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from siked_ray.verification import DEFAULT_ANSWER_FORMATS, Verifier

_DATA = Path(os.environ.get("SIKED_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


@pytest.fixture(scope="session")
def verifier() -> Iterator[Verifier]:
    with Verifier(DEFAULT_ANSWER_FORMATS) as verifier:
        yield verifier


@pytest.fixture(scope="session")
def data_dir() -> Path:
    if not (_DATA / "gsm8k_test.jsonl").exists():
        pytest.skip(f"no data sets in {_DATA}; set SIKED_TEST_DATA")
    return _DATA


@pytest.fixture(scope="session")
def golds(data_dir: Path) -> dict[str, list[str]]:
    """Distinct golds as text, by data set, in the forms in which the original files have them."""
    gsm8k = [line["answer"].rpartition("####")[2].strip() for line in _rows(data_dir / "gsm8k_train.jsonl")]
    svamp = [str(row["Answer"]) for row in json.loads((data_dir / "SVAMP.json").read_text())]
    multiarith = [str(row["lSolutions"][0]) for row in json.loads((data_dir / "MultiArith.json").read_text())]
    asdiv = re.findall(r"<Answer>(.*?)</Answer>", (data_dir / "ASDiv.xml").read_text())
    named = {"gsm8k": gsm8k, "svamp": svamp, "multiarith": multiarith, "asdiv": asdiv}
    return {name: sorted(set(values)) for name, values in named.items()}


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
