"""The stages of the loop on Ray: each an idempotent function from committed inputs to committed outputs."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from siked_ray.config import Config
from siked_ray.core.ids import content_hash
from siked_ray.core.problem import Split
from siked_ray.core.stopping import Decision, Measured, Spent
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.storage import Storage
from siked_ray.driver.branching import branched_stages
from siked_ray.driver.candidates import choose_by_accuracy
from siked_ray.driver.counting import spent
from siked_ray.driver.evaluating import evaluation_metrics, free_accuracy
from siked_ray.driver.generating import Generating
from siked_ray.driver.mixing import decide_mixture, kept_rows
from siked_ray.driver.placement import mixture_rules, prompt_templates, training_plan, worker_group
from siked_ray.driver.sampling import Sampling
from siked_ray.errors import UserError
from siked_ray.generation.durable import discard_pending, quarantined_rows
from siked_ray.generation.task import Row
from siked_ray.training.health import loss_note
from siked_ray.training.selection import candidates_folder
from siked_ray.training.trainer import discard_checkpoints, fine_tune

VALIDATION = Split.VALIDATION.value


class RayStages:
    """Implements `siked_ray.loop.Stages`. References that pass between stages are names in the run directory.

    `teacher_models` (by part of the teacher) and `base_model` are directories or Hub names; `test_sets` are names of
    problem tables. `on_begin` is called with the name of what is about to be placed (a stage, or candidates within
    a training stage), `on_commit` after a stage, with its record.
    """

    def __init__(
        self,
        config: Config,
        storage: Storage,
        generating: Generating,
        board: Any,
        *,
        teacher_models: Mapping[str, str],
        base_model: str,
        test_sets: Sequence[str],
        log_dir: str,
        on_commit: Callable[[StageRecord], None],
        on_begin: Callable[[str], None] = lambda stage: None,
    ) -> None:
        self._config = config
        self._storage = storage
        self._ledger = Ledger(storage)
        self._generating = generating
        self._board = board
        self._sampling = Sampling(config, storage, generating, board, teacher_models)
        self._base_model = base_model
        self._test_sets = list(test_sets)
        self._log_dir = log_dir
        self._on_begin = on_begin
        self._on_commit = on_commit
        self._templates = prompt_templates(config)
        self._position = 0
        self._passed: list[StageRecord] = []
        self._branched = branched_stages(self._ledger)

    def sample_teacher(self) -> str:
        """Sample the teacher, or verify the rationales that exist; returns the folder of the rollouts."""
        folder = names.TEACHER_ROLLOUTS

        stage = "rollouts_teacher"
        self._once_sampled(stage, lambda: self._sampling.teacher(stage), folder)
        return folder

    def base_student(self) -> str:
        """The student before any distillation."""
        return self._base_model

    def sample_student(self, student: str, iteration: int) -> str:
        """Sample the student on the training problems, tags forced or free; returns the folder of the rollouts."""
        folder, stage = names.student_rollouts(iteration), f"rollouts_{iteration:02d}"
        self._once_sampled(stage, lambda: self._sampling.student(student, iteration, stage), folder)
        return folder

    def mix(self, iteration: int, teacher: str, student: str | None) -> str:
        """Keep what is correct, first per (problem, strategy), and apply the policy; returns the table's name."""
        output = names.mixture(iteration)

        def work() -> dict[str, Any]:
            parts = {
                "teacher": self._storage.files(teacher, ".parquet"),
                "student": self._storage.files(student, ".parquet") if student else [],
            }
            with kept_rows(self._storage, self._config.strategies, **parts) as mixture:
                if not mixture.kept.num_teacher:
                    raise UserError(self._unsolved(teacher))
                selection, policy = decide_mixture(mixture.kept, mixture_rules(self._config), iteration)
                mixed = mixture.apply(selection, policy)
                if not mixed.counts["rows"]:
                    raise UserError(
                        f"The mixture of iteration {iteration} is empty: the student solved no training problem. "
                        "Set mixture.policy=adaptive, or raise generation.num_samples."
                    )
                mixture.write(self._storage, output, names.problems(Split.TRAIN.value), self._templates)
            return {"mixture": mixed.counts, "kl_mixture_student": mixed.kl_mixture_student}

        self._once(f"mixture_{iteration:02d}", work, lambda: [output])
        return output

    def train(self, iteration: int, start: str, mixture: str) -> str:
        """Fine-tune; returns the new student's directory."""
        output, stage = names.student(iteration), f"training_{iteration:02d}"

        def work() -> dict[str, Any]:
            title = f"iteration {iteration} · training"
            self._board.begin.remote(title, "steps", 1)
            seed = int(content_hash("training", self._config.seed, iteration, num_chars=8), 16)
            metrics = fine_tune(
                [mixture],
                start,
                output,
                training_plan(self._config, seed),
                worker_group(self._config),
                self._storage,
                board=self._board,
                title=title,
                log_prefix=f"{self._log_dir}/{stage}",
            )
            self._board.end.remote(title, loss_note(metrics["losses"], metrics["warnings"]))
            if self._config.training.selection.by == "accuracy" and metrics["candidates"]:
                accuracy = partial(self._held_out_accuracy, iteration)
                metrics["candidates"] = choose_by_accuracy(self._storage, metrics["candidates"], output, accuracy)
            return {
                "backend": "deepspeed",
                "zero_stage": self._config.training.zero_stage,
                "num_workers": metrics["workers_at_end"],
                **metrics,
            }

        self._once(stage, work, lambda: [output])
        discard_checkpoints(self._storage, output)
        self._storage.delete_folder(candidates_folder(output))
        return self._storage.path(output)

    def _held_out_accuracy(self, iteration: int, student: str, step: int) -> float:
        """Greedy free accuracy of a candidate on the held-out problems."""
        self._on_begin(f"candidate_{iteration:02d}")
        self._sampling.candidate(student, iteration, step, VALIDATION)
        return free_accuracy(self._storage, names.candidate_rollouts(iteration, step), self._ids(VALIDATION))

    def evaluate(self, iteration: int, student: str) -> Measured:
        """Greedy rollouts, free and forced, on the held-out split, and on test sets that do not wait for the end."""
        every = self._config.evaluation.test_sets == "every_iteration"
        sets = (VALIDATION, *(self._test_sets if every else ()))
        record = self._evaluate_on(sets, iteration, student, f"evaluation_{iteration:02d}", "evaluation")
        held_out = record.metrics[VALIDATION]
        return Measured(accuracy=held_out["free"], histogram=held_out["strategy_histogram"])

    def finish(self, decision: Decision) -> None:
        """Evaluate iteration 0 and the best one on test sets that waited for the end."""
        if self._test_sets and self._config.evaluation.test_sets == "end":
            for iteration in sorted({0, decision.best_iteration}):
                student = self._storage.path(names.student(iteration))
                self._evaluate_on(self._test_sets, iteration, student, f"tests_{iteration:02d}", "test sets")

    def _evaluate_on(self, sets: Sequence[str], iteration: int, student: str, stage: str, title: str) -> StageRecord:
        folder, output = names.evaluation_rollouts(iteration), names.evaluation(iteration)

        def work() -> dict[str, Any]:
            self._sampling.evaluation(student, iteration, stage, sets, f"iteration {iteration} · {title}")
            ids = {name: self._ids(name) for name in sets}
            metrics = evaluation_metrics(self._storage, iteration, ids, self._config.strategies)
            quarantined = [row["problem_id"] for row in quarantined_rows(self._storage, stage)]
            for name, problems in ids.items():
                metrics[name]["quarantined"] = sum(map(set(problems).__contains__, quarantined))
            before = self._storage.read_json(output) if self._storage.exists(output) else {}
            self._storage.write_json(output, before | metrics)
            return metrics

        record = self._once(stage, work, lambda: [output])
        discard_pending(self._storage, folder)
        return record

    def spent(self) -> Spent:
        """What the stages so far have cost in this run; those of a run that it branched from are not its own."""
        return spent((record for record in self._passed if record.stage not in self._branched), self._config)

    def record(self, iteration: int, decision: Decision) -> None:
        """Commit what was decided."""
        self._once(f"decision_{iteration:02d}", lambda: asdict(decision), list)

    def flush(self, timeout_s: float) -> None:
        """Have engines write the rows that they have finished; may be called by another thread."""
        self._generating.flush(timeout_s)

    def close(self) -> None:
        """Give back what the stages hold."""
        self._generating.close()

    def _once_sampled(self, stage: str, work: Callable[[], dict[str, Any]], folder: str) -> None:
        """A sampling stage: its small parts are needed until it is committed, and no longer."""
        self._once(stage, work, lambda: self._storage.files(folder, ".parquet"))
        discard_pending(self._storage, folder)

    def _once(self, stage: str, work: Callable[[], dict[str, Any]], outputs: Callable[[], list[str]]) -> StageRecord:
        """The stage's committed record; runs the stage first if there is none."""
        self._position += 1
        record = self._ledger.read(stage) or self._run(stage, work, outputs)
        self._passed.append(record)
        return record

    def _run(self, stage: str, work: Callable[[], dict[str, Any]], outputs: Callable[[], list[str]]) -> StageRecord:
        self._on_begin(stage)
        started = time.monotonic()
        metrics = work()
        record = StageRecord(
            stage=stage,
            position=self._position,
            seconds=time.monotonic() - started,
            outputs=tuple(outputs()),
            metrics=metrics,
        )
        self._ledger.commit(record)
        self._on_commit(record)
        return record

    def _ids(self, problem_set: str) -> list[str]:
        rows = self._storage.read_parquet(names.problems(problem_set), ["problem_id"])
        return rows["problem_id"].to_pylist()

    def _rollouts(self, folder: str, columns: list[str]) -> list[Row]:
        parts = self._storage.files(folder, ".parquet")
        return self._storage.read_parquet(parts, columns).to_pylist() if parts else []

    def _unsolved(self, folder: str) -> str:
        columns = ["strategy", "completion", "verdict", "reason"]
        examples = self._rollouts(folder, columns)
        one_each = list({row["strategy"]: row for row in reversed(examples)}.values())
        shown = [
            f"\n--- {row['strategy']} · {row['verdict']}: {row['reason']}\n{row['completion'][:400]}"
            for row in [*one_each, *examples[1:]][:3]
        ]
        return (
            f"The teacher solved none of the training problems ({len(examples)} samples), so there is nothing to learn "
            "from. Check teacher.model, the prompts and their answer markers, and generation.max_new_tokens. "
            f"Some of its outputs:{''.join(shown)}"
        )
