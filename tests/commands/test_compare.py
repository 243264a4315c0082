"""`siked compare`: students of runs against each other, from the directories alone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from siked_ray.cli import main
from siked_ray.config import dump_config
from siked_ray.core.intervals import mcnemar
from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from tests.plain_rollout import PLAIN

OLD = Path(__file__).parent.parent / "old_runs" / "smoke_0_1"


@pytest.fixture
def make_run(make_config, tmp_path):
    """Makes a run whose students, by stage, solve the problems that have "1" in their texts, free and with cot."""

    def make(name: str, sets: Mapping[str, list[str]], students: Mapping[StageId, str], best: int | None = None) -> str:
        storage = Storage(str(tmp_path / name))
        storage.write_text(names.CONFIG, dump_config(make_config("strategies=[cot, pot]")))
        for set_name, ids in sets.items():
            rows = [
                {"problem_id": i, "dataset": set_name, "split": "", "question": f"Q {i}?", "answer": "7"} for i in ids
            ]
            storage.write_parquet(names.problems(set_name), table("problems", rows))
        asked = [i for set_name, ids in sets.items() if set_name != "train" for i in ids]
        for position, (stage, solved) in enumerate(students.items()):
            rows = [rollout(i, way, bit) for way in (FREE, "cot") for i, bit in zip(asked, solved, strict=True)]
            file = f"{names.place_of(stage)}/part.parquet"
            storage.write_parquet(file, table("rollouts", rows))
            commit(storage, stage, position, [file])
        if best is not None:
            commit(storage, StageId.of_iteration(Kind.DECISION, 1), 99, [], best_iteration=best)
        return storage.root

    return make


def commit(storage: Storage, stage: StageId, position: int, outputs: list[str], **metrics) -> None:
    record = StageRecord(
        id=stage, position=position, seconds=1.0, outputs=tuple(outputs), metrics=metrics, made_from={}
    )
    Ledger(storage).commit(record)


def rollout(problem: str, requested: str, bit: str) -> Rollout:
    return replace(
        PLAIN,
        request_id=f"{problem} {requested}",
        problem_id=problem,
        requested=requested,
        ask_id=requested,
        seed=1,
        completion=f"my {'right' if bit == '1' else 'other'} text on {problem}",
        num_tokens=3,
        verdict=Verdict.CORRECT if bit == "1" else Verdict.WRONG,
        model="m",
        engine="e",
    )


def answers(iteration: int) -> StageId:
    return StageId.of_iteration(Kind.ANSWERS, iteration)


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["compare", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["compare", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_two_iterations_of_a_run_of_0_1(capsys):
    found = compared(capsys, f"{OLD}:0", str(OLD))
    assert [one["name"] for one in found["students"]] == ["smoke_0_1:0", "smoke_0_1:1"], "1 is the best one"
    stored = json.loads((OLD / "summary.json").read_text())["iterations"][1]["evaluation"]
    for one in found["sets"]:
        free, *forced = one["measures"]
        paired = stored[one["problem_set"]]["paired"]["iteration_0"]
        assert {key: free["pairs"][0][key] for key in ("gained", "lost", "difference", "interval", "p_value")} == {
            key: paired[key] for key in ("gained", "lost", "difference", "interval", "p_value")
        }
        accuracies = {one["requested"]: one["accuracies"]["smoke_0_1:1"]["accuracy"] for one in forced}
        assert accuracies == stored[one["problem_set"]]["forced"]


def test_runs_differ_on_the_problems_that_both_answered(make_run, capsys):
    a = make_run("a", {"t": ["p1", "p2", "p3", "p4"]}, {answers(0): "0000", answers(1): "1100"}, best=1)
    b = make_run("b", {"t": ["p2", "p3", "p4", "p5"], "train": ["p4", "x"]}, {answers(0): "0111"})
    found = compared(capsys, a, b)
    (one,) = found["sets"]
    assert (one["num_problems"], one["students"]) == (3, ["a:1", "b:0"])
    assert [measure["requested"] for measure in one["measures"]] == ["free", "cot"], "pot was asked of none"
    (pair,) = one["measures"][0]["pairs"]
    assert (pair["one"], pair["other"], pair["gained"], pair["lost"]) == ("a:1", "b:0", 2, 1)
    assert pair["difference"] == pytest.approx(1 / 3)
    assert pair["p_holm"] == pair["p_value"] == mcnemar(2, 1)
    assert any("a:1 4, b:0 4" in note for note in one["notes"])
    assert any("1 of these problems are training problems of b:0" in note for note in one["notes"])
    first = one["examples"][0]
    assert (first["question"], first["answer"], first["right"]) == ("Q p2?", "7", "a:1")
    assert first["said"]["a:1"]["completion"] == "my right text on p2"
    assert first["said"]["b:0"]["verdict"] == "wrong"
    assert [example["right"] for example in one["examples"]] == ["a:1", "b:0", "b:0"]


def test_three_arms_of_a_recipe_are_corrected_for_three_pairs(make_run, capsys, tmp_path):
    arms = {StageId(Kind.ANSWERS, label): solved for label, solved in
            {"combined": "1" * 10, "average": "1" * 5 + "0" * 5, "metagpt": "0" * 10}.items()}  # fmt: skip
    run = make_run("arms", {"t": [f"p{i}" for i in range(10)]}, arms)
    labels = [f"{run}:{name}" for name in ("combined", "average", "metagpt")]
    page = tmp_path / "page.html"
    found = compared(capsys, *labels, "-o", str(page))
    pairs = found["sets"][0]["measures"][0]["pairs"]
    assert [pair["p_value"] for pair in pairs] == [mcnemar(0, 5), mcnemar(0, 10), mcnemar(0, 5)]
    assert [pair["p_holm"] for pair in pairs] == [2 * mcnemar(0, 5), 3 * mcnemar(0, 10), 2 * mcnemar(0, 5)]
    html = page.read_text()
    assert html.count("<svg") == 2 and "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "p (Holm)" in html and "my right text on p5" in html
    assert main(["compare", *labels]) == 0
    assert "arms:metagpt against arms:combined" in capsys.readouterr().out
    assert "name one of" in refused(capsys, run, labels[0])


def test_test_sets_that_waited_for_the_end_belong_to_their_iteration(make_run, capsys):
    run = make_run("r", {"t": ["p1", "p2"]}, {StageId.of_tests(0): "10", StageId.of_tests(2): "11"}, best=2)
    assert compared(capsys, f"{run}:0", run)["sets"][0]["students"] == ["r:0", "r:2"]


def test_held_out_problems_are_compared_where_they_are_the_same(make_run, capsys):
    a = make_run("a", {"validation": ["p1", "p2"], "t": ["p9"]}, {answers(0): "101"})
    b = make_run("b", {"validation": ["p2", "p3"], "t": ["p9"]}, {answers(0): "110"})
    found = compared(capsys, a, b)
    assert [one["problem_set"] for one in found["sets"]] == ["t"]
    assert "may have trained on" in found["notes"][0]


def test_what_cannot_be_compared_is_said_in_a_sentence(make_run, capsys, tmp_path):
    a = make_run("a", {"t": ["p1"]}, {answers(0): "1"})
    other = make_run("b", {"t": ["p2"]}, {answers(0): "1"})
    empty = make_run("c", {"t": ["p1"]}, {})
    assert f"{tmp_path}/none is no run directory" in refused(capsys, a, f"{tmp_path}/none:3")
    assert f"{a} has no student 4 that was evaluated; there are {a}:0." in refused(capsys, a, f"{a}:4")
    assert "is named twice" in refused(capsys, a, f"{a}:0")
    assert "no common problems. No problem of t was answered by all of a:0 and b:0" in refused(capsys, a, other)
    assert "no student that was evaluated yet" in refused(capsys, a, empty)
    assert "needs two students" in refused(capsys, a)
    page = f"{tmp_path}/not/there.html"
    assert f"cannot write {page}" in refused(capsys, f"{OLD}:0", f"{OLD}:1", "-o", page)


def test_runs_whose_directories_are_called_alike_are_told_apart(make_run, capsys):
    a = make_run("x/run", {"t": ["p1"]}, {answers(0): "1"})
    b = make_run("y/run", {"t": ["p1"]}, {answers(0): "0"})
    assert [one["name"] for one in compared(capsys, a, b)["students"]] == [f"{a}:0", f"{b}:0"]
