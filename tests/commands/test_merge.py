"""`siked merge` on model directories."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from siked_ray.cli import main


@pytest.fixture
def models(make_model, tmp_path: Path) -> list[str]:
    """A base, and two that went away from it: the second three times as far."""
    folders = [make_model(name) for name in ("base", "near", "far")]
    for folder, distance in zip(folders[1:], (1, 3), strict=True):
        model = AutoModelForCausalLM.from_pretrained(folder)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += distance * 0.01 * torch.randn_like(parameter)
        model.save_pretrained(folder)
    return folders


def test_the_merged_model_can_be_loaded_and_lies_between(models: list[str], tmp_path: Path, capsys):
    base, near, far = models
    output = tmp_path / "merged"
    assert main(["merge", base, "--models", near, far, "-o", str(output), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["weights"] == pytest.approx({"near": 0.1, "far": 0.9}, abs=1e-4)
    assert said["cosines"]["far near"] == pytest.approx(1, abs=1e-3)
    merged, start, end = (AutoModelForCausalLM.from_pretrained(one) for one in (output, base, far))
    for ours, first, last in zip(merged.parameters(), start.parameters(), end.parameters(), strict=True):
        assert torch.allclose(ours, first + (0.1 / 3 + 0.9) * (last - first), atol=1e-4)
    assert (output / "tokenizer.json").read_bytes() == (Path(base) / "tokenizer.json").read_bytes()


def test_it_shows_weights_and_lengths(models: list[str], tmp_path: Path, capsys):
    base, near, far = models
    assert main(["merge", base, "--models", near, far, "-o", str(tmp_path / "m"), "--rule", "average"]) == 0
    said = capsys.readouterr().out
    assert "near  λ 0.50000" in said and "far   λ 0.50000" in said and "cosine far near: 1.0000" in said
    one = ["merge", base, "--models", near, far, "-o", str(tmp_path / "n"), "--rule", "task_arithmetic"]
    assert main([*one, "--weights", "0.3"]) == 0
    assert "near  λ 0.30000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "1"], "--weights go with --rule task_arithmetic"),
        (["--rule", "task_arithmetic"], "--weights go with --rule task_arithmetic"),
        (["--rule", "task_arithmetic", "--weights", "1", "2", "3"], "3 numbers for 2 models"),
        (["--models", "{near}", "{near}"], "names one model twice"),
        (["-o", "{near}"], "is there already"),
        (["--models", "{near}", "{other}"], "other has other tokens than the base"),
    ],
)
def test_what_cannot_be_merged_is_one_sentence(
    models: list[str], make_model, tmp_path: Path, capsys, arguments: list[str], words: str
):
    base, near, far = models
    other = make_model("other", num_extra_tokens=3)
    capsys.readouterr()
    filled = [one.format(near=near, other=other) for one in arguments]
    assert main(["merge", base, "--models", near, far, "-o", str(tmp_path / "out"), *filled]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
