"""Old job files resolve to what they resolved to: a run that was begun before can be continued."""

import hashlib
import json
from pathlib import Path

import pytest

from siked_ray.config import Config, config_sha256, load_config
from siked_ray.settings.base import leave_out_additions
from siked_ray.settings.yaml_text import write_yaml

ROOT = Path(__file__).parent.parent.parent
#: config_sha256 and the sha256 of the written settings, as version 0.1 computed them.
BEFORE = json.loads((Path(__file__).parent / "jobs_of_0.1.json").read_text(encoding="utf-8"))


def settings_of(job: str) -> Config:
    overrides = ["student.model=any/student"] if job.endswith("gsm8k_annotated.yaml") else []
    return load_config(ROOT / job, overrides)


@pytest.mark.parametrize("job", BEFORE)
def test_a_jobs_hash_is_what_it_was(job: str) -> None:
    assert config_sha256(settings_of(job)) == BEFORE[job]["config_sha256"]


@pytest.mark.parametrize("job", BEFORE)
def test_a_jobs_written_settings_are_what_they_were(job: str) -> None:
    """But for the keys that 0.1 did not have."""
    config = settings_of(job)
    values = config.model_dump(mode="json")
    leave_out_additions(config, values)
    written = write_yaml(values)
    assert hashlib.sha256(written.encode()).hexdigest() == BEFORE[job]["dump_sha256"]
