"""What `siked run` and `siked plan` refuse, or ask for, before anything is started."""

import pytest

from siked_ray.cli import main


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_run_directory_that_cannot_be_made(command: str, settings_file, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([command, str(settings_file), f"run_dir={tmp_path}/file/run"]) == 2
    assert "cannot be a directory" in capsys.readouterr().err


def test_a_plan_for_a_cluster_does_not_need_its_directory_here(settings_file, tmp_path, capsys):
    (tmp_path / "file").write_text("#SBATCH --cpus-per-task=64\n")
    main(["plan", str(settings_file), f"run_dir={tmp_path}/file/run", "--cluster", f"{tmp_path}/file"])
    assert "# what a run would do" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "run.yaml", "student.model=models/small/v2"],
        ["plan", "run.yaml", "student.model=models/small/v2"],
        ["eval", "models/small/v2", "--data", "more.jsonl"],
    ],
)
def test_an_unreachable_hub_is_noticed_first(arguments: list[str], settings_file, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("siked_ray.preflight.offline.do_without_an_unreachable_hub", lambda: asked.append(True))
    monkeypatch.chdir(settings_file.parent)
    assert main(arguments) == 2
    assert "there is no directory models/small/v2" in capsys.readouterr().err
    assert asked == [True]


def test_a_plan_shows_what_a_server_charges(settings_file, monkeypatch, capsys):
    monkeypatch.setattr("siked_ray.sources.openai.check_endpoint", lambda *_: None)
    price = "teacher.endpoint.price_per_million_generated_tokens=1000"
    assert main(["plan", str(settings_file), "teacher.source=openai", "teacher.model=big", price]) == 0
    assert "teacher's server charges" in capsys.readouterr().out


def test_a_student_out_of_a_gguf_file(settings_file, tiny_model: str, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SIKED_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "tiny.gguf"
    assert main(["export", tiny_model, "-o", str(file)]) == 0
    assert main(["plan", str(settings_file), f"student.model={file}"]) == 0
    assert f"{file} (a GGUF file, dequantised once into the cache)" in capsys.readouterr().out
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []
    file.write_bytes(file.read_bytes()[:-100])
    for command in (["plan", str(settings_file), f"student.model={file}"], ["eval", str(file), "--data", "world:test"]):
        assert main(command) == 2
        assert "the GGUF file is damaged: it ends before the end of its tensor" in capsys.readouterr().err
