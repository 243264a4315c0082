"""Code that comes with a model is never run unless the settings say so."""

import json
from pathlib import Path

import pytest

from siked_ray.errors import ModelError
from siked_ray.preflight.check import check


def with_code(folder: str, evidence: Path) -> str:
    """The model's configuration points to a file of its own, which would leave a trace."""
    settings = json.loads((Path(folder) / "config.json").read_text())
    settings |= {"model_type": "my-own", "auto_map": {"AutoConfig": "mine.MyConfig"}}
    (Path(folder) / "config.json").write_text(json.dumps(settings))
    code = ("from transformers import LlamaConfig", f"open({str(evidence)!r}, 'w').close()")
    (Path(folder) / "mine.py").write_text("\n".join(code) + "\nclass MyConfig(LlamaConfig): pass\n")
    return folder


def test_a_model_with_code_is_refused_with_the_setting_that_would_allow_it(
    make_config, make_model, tmp_path: Path
) -> None:
    evidence = tmp_path / "was-run"
    model = with_code(make_model("coded"), evidence)
    with pytest.raises(ModelError, match=r"student\.model: .* code of its own; set trust_remote_code=true"):
        check(make_config(f"student.model={model}"))
    assert not evidence.exists()


def test_the_setting_is_what_runs_it(make_config, make_model, tmp_path: Path) -> None:
    evidence = tmp_path / "was-run"
    model = with_code(make_model("coded"), evidence)
    check(
        make_config(
            f"student.model={model}",
            "trust_remote_code=true",
            "generation.max_new_tokens=20",
            "evaluation.max_new_tokens=30",
        )
    )
    assert evidence.exists()


def test_the_default_is_not_to_trust(make_config) -> None:
    assert make_config().trust_remote_code is False
