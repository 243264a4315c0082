import pytest

from siked_ray.cli import main
from siked_ray.config import dump_config
from siked_ray.data import run_directory as names
from siked_ray.driver.measuring import read_outcomes
from siked_ray.report.changes import find_changes
from siked_ray.report.html.page import render
from siked_ray.report.screen.text import print_report
from tests.driver.test_lab import SETTINGS, Run


@pytest.fixture
def run(make_config, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(make_config(*SETTINGS), monkeypatch)
    run.finish()
    return run


def solved(run: Run, iteration: int) -> set[str]:
    test_set = {row["problem_id"] for row in run.storage.read_parquet(names.problems("more")).to_pylist()}
    outcomes = read_outcomes(run.storage, names.evaluation_rollouts(iteration))
    return {one.problem_id for one in outcomes if one.requested == "free" and one.correct} & test_set


def test_changes_are_those_between_plain_distillation_and_the_best_student(run: Run):
    changes = find_changes(run.storage, run.summary())
    assert changes is not None
    assert (changes.dataset, changes.best) == ("more", 2)
    gained, lost = solved(run, 2) - solved(run, 0), solved(run, 0) - solved(run, 2)
    assert changes.counts == [{"strategy": "pot", "gained": len(gained), "lost": len(lost)}]
    assert len(gained) > 0
    assert len(changes.examples) == min(2, len(gained))
    example = changes.examples[0]
    assert (example["verdict_before"], example["verdict_after"]) == ("wrong", "correct")
    assert example["completion_after"] == f"iteration_02 says {example['answer']}"


def test_page_and_text_show_them(run: Run, capsys: pytest.CaptureFixture[str]):
    summary = run.summary()
    changes = find_changes(run.storage, summary)
    assert changes is not None
    page = render(summary, dump_config(run.config), changes)
    print_report(summary, changes)
    shown = capsys.readouterr().out
    for text in (page, shown):
        assert changes.examples[0]["question"] in text
        assert changes.examples[0]["completion_before"] in text
        assert "wrong → right" in text
        assert "p (McNemar)" in text and "Is the chosen strategy the better one there?" in text
    assert "iteration 0 · chose pot" in page


def test_without_a_better_student_there_is_nothing_to_show(run: Run):
    assert find_changes(run.storage, run.summary() | {"best_iteration": 0}) is None
    assert find_changes(run.storage, {"iterations": []}) is None


def test_the_command_writes_the_page_and_prints_the_text(run: Run, capsys: pytest.CaptureFixture[str]):
    run.storage.write_text(names.CONFIG, dump_config(run.config))
    run.storage.write_json(names.SUMMARY, run.summary())
    assert main(["report", run.storage.root, "--text"]) == 0
    shown = capsys.readouterr().out
    assert "Decisions" in shown and "iterations.max = 2 is reached" in shown
    assert "<svg" in run.storage.read_text(names.REPORT)
    assert main(["report", run.storage.root]) == 0
    assert "best by held-out free accuracy: iteration 2" in capsys.readouterr().out
