"""The stages of the driver around engines and training that are functions: no Ray, no vLLM, no DeepSpeed."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from siked_ray.capacity.await_capacity import Anywhere
from siked_ray.config import Config, dump_config
from siked_ray.core.ids import request_id
from siked_ray.core.objective import CROSS_ENTROPY
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE, TAG_ALONE, Rollout
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.core.stopping import Decision
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.engines import EnginePools, SamplingReport
from siked_ray.driver.lab import RayLab
from siked_ray.errors import ConfigError, UserError
from siked_ray.generation.durable import finished_rows, pending
from siked_ray.generation.requests import lay_out, missing_requests
from siked_ray.preflight.check import check
from siked_ray.recipes import siked
from siked_ray.recipes.verbs import Asked, Model, Rollouts, Table
from siked_ray.report.summary import build_summary
from siked_ray.report.what_if import recompute_mixture
from tests.plain_rollout import PLAIN

SETTINGS = (
    "strategies=[cot, pot]",
    "generation.num_samples=3",
    "teacher={source: vllm, model: 'world:teacher'}",
    "iterations={max: 2, patience: 5, min_gain: 0.01}",
)


class Board:
    """Takes every call and forgets it."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class FakeGenerating:
    """Rollouts as a function of the request; `solves(weights, problem, strategy)` says which are correct."""

    def __init__(self, storage: Storage, solves) -> None:
        self.storage = storage
        self.solves = solves
        self.calls: list[tuple[str, str, int]] = []

    def sample(self, key, task, asks, sink, **_) -> SamplingReport:
        blocks, _ = missing_requests(self.storage, asks, finished_rows(sink))
        if not blocks:
            return SamplingReport()
        self.calls.append((sink.stage, task.weights, sum(map(len, blocks))))
        rows = [row for block in blocks for row in lay_out(self.storage, asks, block).to_pylist()]
        rollouts = table("rollouts", [self._rollout(task, row) for row in rows])
        self.storage.write_parquet(f"{pending(sink.folder)}/part-{len(self.calls)}.parquet", rollouts)
        return SamplingReport()

    def _rollout(self, task, row) -> Rollout:
        requested = row["requested"]
        strategy = "pot" if requested in (FREE, TAG_ALONE) else requested
        solved = self.solves(task.weights.rpartition("/")[2], row["problem_id"], strategy)
        return replace(
            PLAIN,
            request_id=request_id(row["problem_id"], row["ask_id"], 0, task.label),
            problem_id=row["problem_id"],
            requested=requested,
            ask_id=row["ask_id"],
            strategy=strategy,
            seed=1,
            completion=f"{task.model} says {row['answer']}",
            num_tokens=3,
            verdict=Verdict.CORRECT if solved else Verdict.WRONG,
            reason="not what was asked",
            model=task.model,
            engine="fake",
        )

    def make_room_for_training(self) -> None: ...

    def close(self) -> None: ...


def share(*parts: str) -> float:
    return hashlib.sha256(" ".join(parts).encode()).digest()[0] / 256


def learning_students(weights: str, problem: str, strategy: str) -> bool:
    """The teacher solves 90 % and the students of iterations 0, 1, 2 solve 30, 50 and 70 % of the problems."""
    skill = {"world:teacher": 0.9, "iteration_00": 0.3, "iteration_01": 0.5, "iteration_02": 0.7}[weights]
    return share(problem, strategy) < skill


class Run:
    """A run directory with its problems, and the stages on it."""

    def __init__(self, config: Config, monkeypatch: pytest.MonkeyPatch, solves=learning_students) -> None:
        self.config = config
        self.storage = Storage(config.run_dir)
        self.generating = FakeGenerating(self.storage, solves)
        self.committed: list[str] = []
        self.trained: list[tuple[str, str, int]] = []
        self.candidate_steps: list[int] = []
        checked = check(config)
        splits = {Split.TRAIN.value: checked.train, Split.VALIDATION.value: checked.validation, **checked.tests}
        for name, problems in splits.items():
            rows = [
                {
                    "problem_id": p.problem_id,
                    "dataset": p.dataset,
                    "split": name,
                    "question": p.question,
                    "answer": p.answer,
                }
                for p in problems
            ]
            self.storage.write_parquet(names.problems(name), table("problems", rows))
        self.test_sets = list(checked.tests)
        self.num_train, self.num_validation = len(checked.train), len(checked.validation)
        monkeypatch.setattr("siked_ray.driver.training.fine_tune", self._fine_tune)

    def _fine_tune(self, rows, start: str, output: str, plan, group, storage, **_) -> dict:
        self.trained.append((start, output, storage.read_parquet(rows).num_rows))
        storage.write_text(f"{output}/config.json", "{}")
        figures = {"steps": 1, "tokens": 2, "seconds": 3.0, "first_loss": 4.0, "last_loss": 0.5, "workers_at_end": 2}
        candidates = [{"step": s, "model": f"{output}-candidates/step_{s}"} for s in self.candidate_steps]
        for one in candidates:
            storage.write_text(f"{one['model']}/config.json", one["model"])
        return figures | {"losses": [4.0, 0.5], "warnings": [], "skipped": 0, "candidates": candidates}

    def lab(self, generating=None, **models: str) -> RayLab:
        return RayLab(
            self.config,
            self.storage,
            generating or self.generating,
            Board(),
            models={"teacher": "world:teacher", "student": "base"} | models,
            test_sets=self.test_sets,
            max_model_len={},
            log_dir="",
            placement=Anywhere(),
            on_commit=lambda record: self.committed.append(record.stage),
        )

    def finish(self) -> Decision:
        """Run SIKeD to its end."""
        return siked.run(self.lab(), self.config)

    def summary(self) -> dict:
        return build_summary(self.config, Ledger(self.storage).records(), "finished", set(self.committed))


@pytest.fixture
def run(make_config, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(make_config(*SETTINGS), monkeypatch)


TRAINING = StageId.of_iteration(Kind.TRAINING, 0)
BASE = Model(engines="student", weights="base", fingerprint="")


def sample_teacher(run: Run, lab: RayLab) -> Rollouts:
    asked = Asked(problems=("train",), requested=tuple(run.config.strategies))
    return lab.sample(TEACHER, lab.model("teacher"), asked, run.config.generation.plan())


def first_mixture(run: Run, lab: RayLab) -> Table:
    rule = run.config.mixture_rule(0)
    return lab.select(StageId.of_iteration(Kind.MIXTURE, 0), rule, teacher_rollouts=sample_teacher(run, lab))


STAGES = [
    "rollouts_teacher",
    *("mixture_00", "training_00", "answers_00", "evaluation_00", "decision_00"),
    *("rollouts_01", "mixture_01", "training_01", "answers_01", "evaluation_01", "decision_01"),
    *("rollouts_02", "mixture_02", "training_02", "answers_02", "evaluation_02", "decision_02"),
]


def test_the_whole_loop(run: Run):
    decision = run.finish()
    assert run.committed == STAGES
    assert decision.best_iteration == 2
    summary = run.summary()
    assert [stage["name"] for stage in summary["stages"]] == STAGES
    alphas = [entry["mixture"]["alpha"] for entry in summary["iterations"]]
    assert alphas[0] == 1.0 > alphas[1] > alphas[2] > 0
    frees = [entry["evaluation"]["more"]["free"] for entry in summary["iterations"]]
    assert frees == sorted(frees) and frees[0] < frees[-1]
    assert set(summary["iterations"][0]["evaluation"]) == {"validation", "more"}


def test_who_samples_what_and_who_starts_where(run: Run):
    run.finish()
    requests, evaluations = 2 * run.num_train, 3 * (run.num_validation + 10)
    students = [run.storage.path(names.student(iteration)) for iteration in range(3)]
    assert run.generating.calls == [
        ("rollouts_teacher", "world:teacher", requests),
        ("answers_00", students[0], evaluations),
        ("rollouts_01", students[0], requests),
        ("answers_01", students[1], evaluations),
        ("rollouts_02", students[1], requests),
        ("answers_02", students[2], evaluations),
    ]
    assert [start for start, _, _ in run.trained] == ["base", students[0], students[1]]


def test_what_is_trained_on_is_what_the_summary_counts_and_what_mix_recomputes(run: Run):
    run.finish()
    run.storage.write_text(names.CONFIG, dump_config(run.config))
    for iteration, (_, _, num_rows) in enumerate(run.trained):
        stored = run.storage.read_parquet(names.mixture(iteration)).to_pylist()
        counted = run.summary()["iterations"][iteration]["mixture"]
        assert len(stored) == num_rows == counted["rows"]
        assert sum(row["source"] == "student" for row in stored) == counted["student_rows"]
        assert recompute_mixture(run.config.run_dir, iteration)["sha256"] == counted["sha256"]
        assert all(row["response"].startswith(f"[{row['strategy']}]: ") for row in stored)


def test_a_finished_run_does_nothing_again(run: Run):
    first = run.finish()
    run.committed.clear()
    run.generating.calls.clear()
    assert run.finish() == first
    assert (run.committed, run.generating.calls, len(run.trained)) == ([], [], 3)
    assert all(stage["resumed"] for stage in run.summary()["stages"])


@pytest.mark.parametrize("lost", ["mixture_01", "training_01", "decision_02"])
def test_only_a_stage_without_a_record_is_run(run: Run, lost: str):
    run.finish()
    before = run.summary()["iterations"]
    run.committed.clear()
    Path(run.storage.path(f"ledger/{lost}.json")).unlink()
    run.finish()
    assert run.committed == [lost]
    after = run.summary()["iterations"]
    assert [entry["mixture"] for entry in after] == [entry["mixture"] for entry in before]
    assert [stage["name"] for stage in run.summary()["stages"]] == STAGES, "in its place among the stages"


def test_the_held_out_split_decides_and_no_test_set(make_config, monkeypatch: pytest.MonkeyPatch):
    """A student that gets worse on the held-out problems, and better on the test set, is not chosen."""
    config = make_config(*SETTINGS, "iterations.max=3", "iterations.patience=1")
    held_out = {problem.problem_id for problem in check(config).validation}

    def solves(weights: str, problem: str, strategy: str) -> bool:
        return weights == "world:teacher" or (weights == "iteration_00") == (problem in held_out)

    run = Run(config, monkeypatch, solves)
    decision = run.finish()
    assert decision.best_iteration == 0
    assert run.committed[-1] == "decision_01"
    assert [entry["evaluation"]["more"]["free"] for entry in run.summary()["iterations"]] == [0.0, 1.0]


def test_a_teacher_that_solves_nothing_is_shown_with_three_of_its_outputs(make_config, monkeypatch):
    run = Run(make_config(*SETTINGS), monkeypatch, lambda *_: False)
    with pytest.raises(UserError, match="solved none of the training problems") as raised:
        run.finish()
    assert str(raised.value).count("teacher says") == 3
    assert "wrong: not what was asked" in str(raised.value)
    assert run.committed == ["rollouts_teacher"] and run.trained == []


def test_an_empty_mixture_says_what_to_set(make_config, monkeypatch):
    config = make_config(*SETTINGS, "mixture.policy=self_only")
    run = Run(config, monkeypatch, lambda weights, *_: weights == "world:teacher")
    with pytest.raises(UserError, match=r"iteration 1 is empty.*mixture\.policy=adaptive"):
        run.finish()


def test_rationales_that_exist_are_verified_like_any_teachers(make_config, monkeypatch, settings_file):
    path = settings_file.with_name("rationales.jsonl")
    text = path.read_text()
    first_problem = text.splitlines()[0]
    path.write_text(text.replace("The answer is 1.", "The answer is 2.") + first_problem + "\n")
    run = Run(make_config("strategies=[cot]"), monkeypatch)
    generating = EnginePools(Board(), specs={}, sizes={}, log_dir="", keep_engines_while_training=True)
    folder = sample_teacher(run, run.lab(generating)).folder
    rollouts = run.storage.read_parquet(run.storage.files(folder)).to_pylist()
    train = {row["problem_id"]: row for row in run.storage.read_parquet(names.problems("train")).to_pylist()}
    assert {row["problem_id"] for row in rollouts} == set(train), "held-out problems are not learned from"
    first = [row for row in rollouts if train[row["problem_id"]]["question"] == "What is 0 plus 1?"]
    assert [(row["sample_index"], row["verdict"]) for row in first] == [(0, "wrong"), (1, "correct")]
    assert all(row["verdict"] == "correct" for row in rollouts if row not in first)


def test_problems_of_an_evaluation_that_could_not_be_sampled_are_counted(run: Run):
    held_out = run.storage.read_parquet(names.problems("validation"))["problem_id"].to_pylist()
    lost = {"stage": "answers_00", "problem_id": held_out[0], "reason": "too long"}
    rows = [lost | {"strategy": strategy, "ask_id": strategy} for strategy in ("cot", FREE)]
    run.storage.write_parquet("quarantine/answers_00-a-0.parquet", table("quarantine", rows))
    run.finish()
    entries = run.summary()["iterations"]
    assert [entry["evaluation"]["validation"]["quarantined"] for entry in entries] == [2, 0, 0]
    assert entries[0]["evaluation"]["more"]["quarantined"] == 0
    assert run.summary()["quarantined"] == 2


def test_the_summary_has_the_workers_that_there_were(make_config, monkeypatch):
    run = Run(make_config(*SETTINGS, "training.num_workers=[1, 4]"), monkeypatch)
    run.finish()
    assert [entry["training"]["num_workers"] for entry in run.summary()["iterations"]] == [2, 2, 2]


def test_test_sets_can_wait_for_the_end(make_config, monkeypatch):
    run = Run(make_config(*SETTINGS, "evaluation.test_sets=end"), monkeypatch)
    run.finish()
    assert run.committed == [*STAGES, "answers_tests_00", "tests_00", "answers_tests_02", "tests_02"]
    requests = {stage: num for stage, _, num in run.generating.calls}
    assert (requests["answers_00"], requests["answers_tests_00"]) == (3 * run.num_validation, 3 * 10)
    entries = run.summary()["iterations"]
    assert [sorted(entry["evaluation"]) for entry in entries] == [
        ["more", "validation"],
        ["validation"],
        ["more", "validation"],
    ]
    assert entries[2]["evaluation"]["more"]["paired"] == {
        "iteration_0": entries[2]["evaluation"]["more"]["paired"]["iteration_0"]
    }
    assert entries[2]["evaluation"] == run.storage.read_json(names.evaluation(2))


def test_iterations_are_compared_on_the_same_problems(run: Run):
    run.finish()
    first, _, last = (entry["evaluation"]["more"] for entry in run.summary()["iterations"])
    assert "paired" not in first
    assert last["paired"]["previous"]["iteration"] == 1
    against_first = last["paired"]["iteration_0"]
    assert against_first["difference"] == pytest.approx(last["free"] - first["free"])
    assert against_first["gained"] - against_first["lost"] == round(10 * against_first["difference"])
    assert 0 < against_first["p_value"] <= 1


def test_a_free_generator_asks_once_per_problem(make_config, monkeypatch):
    run = Run(make_config(*SETTINGS, "iterations.generator=self_free", "iterations.max=1"), monkeypatch)
    run.finish()
    assert ("rollouts_01", run.storage.path(names.student(0)), run.num_train) in run.generating.calls
    generation = run.summary()["iterations"][1]["generation"]
    assert generation["requests"] == run.num_train
    assert generation["accepted_by_strategy"]["cot"] == 0 < generation["accepted_by_strategy"]["pot"]
    own = run.storage.read_parquet(names.mixture(1)).to_pylist()
    assert {row["strategy"] for row in own if row["source"] == "student"} == {"pot"}, (
        "what it chose, not what was asked"
    )


def test_a_collapsed_student_is_left_behind(make_config, monkeypatch):
    """Iteration 1 forgets nearly everything: iteration 2 samples from iteration 0 and starts there."""
    skills = {"world:teacher": 0.9, "iteration_00": 0.8, "iteration_01": 0.1, "iteration_02": 0.8}
    config = make_config(*SETTINGS, "iterations.max_drop=0.2")
    run = Run(config, monkeypatch, lambda w, *parts: share(*parts) < skills[w])
    run.finish()
    student = run.storage.path(names.student(0))
    assert [weights for stage, weights, _ in run.generating.calls if stage.startswith("rollouts")][1:] == [student] * 2
    assert run.trained[2][0] == student
    decision = run.summary()["iterations"][1]["decision"]
    assert decision["roll_back"] and "back to iteration 0" in decision["reason"]


def test_what_is_spent_is_counted_from_the_ledger(run: Run):
    lab = run.lab()
    siked.run(lab, run.config)
    spent = lab.spent()
    generated = sum(entry["generation"]["generated_tokens"] for entry in run.summary()["iterations"])
    assert spent.tokens == generated + 3 * 2, "tokens sampled, and 2 trained on in each of three iterations"
    assert spent.hours == pytest.approx(sum(stage["seconds"] for stage in run.summary()["stages"]) / 3600)
    assert spent.gpu_hours == 0


def test_strategies_can_have_teachers_of_their_own(make_config, monkeypatch, settings_file):
    path = settings_file.with_name("rationales.jsonl")
    own = f"{{cot: {{source: dataset, path: '{path}'}}}}"
    teacher = f"teacher={{source: vllm, model: 'world:teacher', strategies: {own}}}"
    run = Run(make_config("strategies=[cot, pot]", teacher), monkeypatch)
    folder = sample_teacher(run, run.lab()).folder
    assert run.generating.calls == [("rollouts_teacher", "world:teacher", run.num_train)], "the other strategy alone"
    rollouts = run.storage.read_parquet(run.storage.files(folder, ".parquet")).to_pylist()
    models = {(row["requested"], row["model"]) for row in rollouts}
    assert models == {("cot", "dataset"), ("pot", "teacher")}
    generation = run.summary()["iterations"][0]["generation"]
    assert generation["requests"] == 2 * run.num_train
    assert generation["engine"] == "dataset, fake"


def test_a_teacher_for_a_strategy_that_is_not_there_is_refused(make_config):
    with pytest.raises(ConfigError, match=r"teacher\.strategies names \['l2m'\]"):
        make_config("strategies=[cot]", "teacher.strategies={l2m: {source: annotations}}")


def test_candidates_stay_until_their_stage_is_committed(make_config, monkeypatch):
    """A stage that is killed before goes on from a checkpoint that names them."""
    settings = ("training.selection.every_steps=10", "training.selection.by=accuracy")
    run = Run(make_config(*SETTINGS, *settings), monkeypatch, lambda *_: True)
    run.candidate_steps = [10, 20]
    lab = run.lab()
    mixture = first_mixture(run, lab)
    with monkeypatch.context() as killed, pytest.raises(OSError, match="killed"):
        killed.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        lab.train(TRAINING, BASE, mixture, CROSS_ENTROPY)
    left = [run.storage.exists(f"students/iteration_00-candidates/step_{step}/config.json") for step in (10, 20)]
    assert left == [True, True]
    run.lab().train(TRAINING, BASE, mixture, CROSS_ENTROPY)
    assert not run.storage.exists("students/iteration_00-candidates")


def test_a_candidate_is_chosen_by_what_it_solves_of_the_held_out_problems(make_config, monkeypatch):
    """The middle one of three is best: its weights become the student, and the test set is not looked at for it."""
    settings = ("training.selection.every_steps=10", "training.selection.by=accuracy")
    skills = {"step_10": 0.3, "step_20": 0.9, "step_30": 0.6}

    def solves(weights: str, problem: str, strategy: str) -> bool:
        return share(problem, strategy) < skills.get(weights, 0.8)

    run = Run(make_config(*SETTINGS, *settings), monkeypatch, solves)
    run.candidate_steps = [10, 20, 30]
    lab = run.lab()
    student = lab.train(TRAINING, BASE, first_mixture(run, lab), CROSS_ENTROPY)
    assert (Path(student.weights) / "config.json").read_text().endswith("step_20")
    judged = run.generating.calls[-3:]
    assert [weights.rpartition("/")[2] for _, weights, _ in judged] == ["step_10", "step_20", "step_30"]
    assert {num_rows for _, _, num_rows in judged} == {run.num_validation}
    candidates = Ledger(run.storage).read(TRAINING).metrics["candidates"]
    assert [one["step"] for one in candidates] == [10, 20, 30]
    assert max(candidates, key=lambda one: one["held_out_accuracy"])["step"] == 20
    assert not run.storage.exists("students/iteration_00-candidates")
