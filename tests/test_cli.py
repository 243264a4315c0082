import json
import subprocess
import sys
from pathlib import Path

import pytest

from siked_ray.cli import main
from siked_ray.config import dump_config, load_config
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage

COMMANDS = ["run", "submit", "status", "plan", "report", "mix", "eval", "push", "verify", "doctor"]


def siked(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "siked_ray", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def exit_code(*arguments: str) -> int:
    """The command line in this process."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


def one_line(text: str) -> str:
    assert text.startswith("siked: ") and text.count("\n") == 1, text
    return text


def test_the_module_is_the_command():
    answer = siked("--help")
    assert answer.returncode == 0
    assert all(f"    {command} " in answer.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]):
    assert exit_code(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: siked {command}")


def test_an_unknown_command_is_the_users_mistake(capsys: pytest.CaptureFixture[str]):
    assert exit_code("distill") == 2
    assert "distill" in capsys.readouterr().err


def test_no_command_is_the_users_mistake():
    assert exit_code() == 2


def test_missing_settings_are_one_line_and_no_traceback():
    answer = siked("run", "missing.yaml")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "missing.yaml" in one_line(answer.stderr)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["generation.num_sample=3"], "did you mean num_samples?"),
        (["data.train=/nowhere/gsm8k.jsonl"], "gsm8k.jsonl"),
        (["data.test=/nowhere/svamp.json"], "svamp.json"),
        (["student.model=/nowhere/student"], "student.model"),
        (["strategies=[tot]"], "tot"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_the_user_has_to_change_is_one_line_and_nothing_is_started(
    command: str, overrides: list[str], words: str, settings_file: Path, capsys: pytest.CaptureFixture[str]
):
    assert exit_code(command, str(settings_file), *overrides) == 2
    captured = capsys.readouterr()
    assert words in one_line(captured.err)
    assert captured.out == ""
    assert not settings_file.with_name("run").exists(), "no run directory is left behind"


def test_a_plan_shows_settings_prompts_and_figures(settings_file: Path, capsys: pytest.CaptureFixture[str]):
    assert exit_code("plan", str(settings_file), "seed=77") == 0
    shown = capsys.readouterr().out
    assert "run directory: new" in shown
    assert "seed: 77" in shown
    assert "# student's prompt" in shown
    assert "requests per sampling stage" in shown
    assert not settings_file.with_name("run").exists()


def test_overrides_may_stand_behind_an_option(settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "job.sh").write_text("#SBATCH --cpus-per-task=64\n")
    exit_code("plan", str(settings_file), "seed=5", "--cluster", str(tmp_path / "job.sh"), "seed=77", "data.limit=30")
    shown = capsys.readouterr().out
    assert "seed: 77" in shown and "limit: 30" in shown


@pytest.mark.parametrize("arguments", [["plan", "x", "--fast", "a=1"], ["plan", "x", "--cluster", "y", "z"]])
def test_what_is_neither_option_nor_override_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert exit_code(*arguments) == 2
    assert "unrecognized arguments: " in capsys.readouterr().err


def test_a_run_with_other_settings_is_refused(settings_file: Path, capsys: pytest.CaptureFixture[str]):
    config = load_config(settings_file)
    Storage(config.run_dir).write_text(names.CONFIG, dump_config(config))
    assert exit_code("run", str(settings_file), "iterations.max=1") == 2
    assert "iterations.max: 3 -> 1" in one_line(capsys.readouterr().err)


def test_a_finished_run_says_so_and_shows_its_table(settings_file: Path, capsys: pytest.CaptureFixture[str]):
    config = load_config(settings_file)
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    summary = {"run": config.run_dir, "status": "finished", "best_iteration": None, "iterations": []}
    storage.write_json(names.SUMMARY, summary)
    assert exit_code("run", str(settings_file)) == 0
    captured = capsys.readouterr()
    assert "is finished" in captured.err
    assert "iteration" in captured.out


@pytest.mark.parametrize("arguments", [["mix", "nowhere", "--iteration", "1"], ["report", "nowhere"]])
def test_a_run_directory_that_is_none(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert exit_code(*arguments) == 2
    assert "nowhere" in one_line(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_the_wrong_path_and_a_damaged_summary(settings_file: Path, capsys: pytest.CaptureFixture[str]):
    assert exit_code("report", str(settings_file)) == 2
    assert "a part of that path is a file" in one_line(capsys.readouterr().err)
    config = load_config(settings_file)
    Storage(config.run_dir).write_text(names.SUMMARY, '{"run": ')
    assert exit_code("report", config.run_dir) == 2
    assert "summary.json is damaged" in one_line(capsys.readouterr().err)


def test_verify_reads_rows_and_writes_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [
        {"id": "b", "strategy": "cot", "completion": "The answer is 4.", "answer": "4"},
        {"id": "a", "strategy": "cot", "completion": "The answer is 5.", "answer": "4"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert exit_code("verify", f"{tmp_path}/in.jsonl", "-o", f"{tmp_path}/out.jsonl") == 0
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["verdict"]) for row in written] == [("b", "correct"), ("a", "wrong")]
    assert "correct 1" in capsys.readouterr().out


def test_verify_without_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert exit_code("verify", f"{tmp_path}/gone.jsonl", "-o", f"{tmp_path}/out.jsonl") == 2
    assert "gone.jsonl" in one_line(capsys.readouterr().err)
