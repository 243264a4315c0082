"""The stages of the loop on Ray: each an idempotent function from committed inputs to committed outputs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from siked_ray.config import Config
from siked_ray.core.ids import content_hash
from siked_ray.core.mixture import Source
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.stopping import Decision
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.generating import Generating
from siked_ray.driver.mixing import COLUMNS, Kept, keep_first_correct, mix
from siked_ray.driver.placement import evaluation_plan, prompt_templates, sampling_plan, training_plan, worker_group
from siked_ray.errors import UserError
from siked_ray.evaluation.metrics import Outcome, evaluate_dataset
from siked_ray.generation.task import GenerationTask, Role, Row, SamplingPlan
from siked_ray.training.trainer import discard_checkpoints, fine_tune, loss_note

VALIDATION = Split.VALIDATION.value


class RayStages:
    """Implements `siked_ray.loop.Stages`. References that pass between stages are names in the run directory.

    `teacher_model` and `base_model` are directories or Hub names; `test_sets` are names of problem tables.
    `on_commit` is called after each stage that was run, with its record.
    """

    def __init__(
        self,
        config: Config,
        storage: Storage,
        generating: Generating,
        board: Any,
        *,
        teacher_model: str,
        base_model: str,
        test_sets: Sequence[str],
        log_dir: str,
        on_commit: Callable[[StageRecord], None],
    ) -> None:
        self._config = config
        self._storage = storage
        self._ledger = Ledger(storage)
        self._generating = generating
        self._board = board
        self._teacher_model = teacher_model
        self._base_model = base_model
        self._test_sets = list(test_sets)
        self._log_dir = log_dir
        self._on_commit = on_commit
        self._strategies = config.strategy_records()
        self._templates = prompt_templates(config)
        self._position = 0

    def sample_teacher(self) -> str:
        """Sample the teacher, or verify the rationales that exist; returns the folder of the rollouts."""
        folder = names.TEACHER_ROLLOUTS

        def work() -> dict[str, Any]:
            if self._config.teacher.source == "vllm":
                task = self._task(Role.TEACHER, 0, "teacher", self._teacher_model, sampling_plan(self._config))
                self._sample(task, self._requests(), folder, "rollouts_teacher", "teacher samples")
                self._generating.close()
            else:
                self._generating.verify_existing(self._training_rows(), self._config, folder)
            return self._sampling_metrics(folder, "rollouts_teacher")

        self._once("rollouts_teacher", work, lambda: self._storage.files(folder, ".parquet"))
        return folder

    def base_student(self) -> str:
        """The student before any distillation."""
        return self._base_model

    def sample_student(self, student: str, iteration: int) -> str:
        """Sample the student on the training problems with its tag forced; returns the folder of the rollouts."""
        folder, stage = names.student_rollouts(iteration), f"rollouts_{iteration:02d}"

        def work() -> dict[str, Any]:
            label = student.rpartition("/")[2]
            task = self._task(Role.STUDENT, iteration, label, student, sampling_plan(self._config))
            self._sample(task, self._requests(), folder, stage, f"iteration {iteration} · student samples")
            return self._sampling_metrics(folder, stage)

        self._once(stage, work, lambda: self._storage.files(folder, ".parquet"))
        return folder

    def mix(self, iteration: int, teacher: str, student: str | None) -> str:
        """Keep what is correct, first per (problem, strategy), and apply the policy; returns the table's name."""
        output = names.mixture(iteration)

        def work() -> dict[str, Any]:
            kept_teacher = self._kept(teacher, Source.TEACHER)
            if not kept_teacher.rows:
                raise UserError(self._unsolved(teacher))
            mixed = mix(
                self._config.mixture.policy,
                kept_teacher,
                self._kept(student, Source.STUDENT) if student else None,
                {row["problem_id"]: row["question"] for row in self._training_rows()},
                self._config.strategies,
                self._templates,
            )
            if not mixed.table_rows:
                raise UserError(
                    f"The mixture of iteration {iteration} is empty: the student solved no training problem. "
                    "Set mixture.policy=adaptive, or raise generation.num_samples."
                )
            self._storage.write_parquet(output, table("mixture", mixed.table_rows))
            return {"mixture": mixed.counts, "kl_mixture_student": mixed.kl_mixture_student}

        self._once(f"mixture_{iteration:02d}", work, lambda: [output])
        return output

    def train(self, iteration: int, start: str, mixture: str) -> str:
        """Fine-tune; returns the new student's directory."""
        output, stage = names.student(iteration), f"training_{iteration:02d}"

        def work() -> dict[str, Any]:
            self._generating.make_room_for_training()
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
            self._board.end.remote(title, loss_note(metrics))
            return {
                "backend": "deepspeed",
                "zero_stage": self._config.training.zero_stage,
                "num_workers": self._config.training.max_workers,
                **metrics,
            }

        self._once(stage, work, lambda: [output])
        discard_checkpoints(self._storage, output)
        return self._storage.path(output)

    def evaluate(self, iteration: int, student: str) -> float:
        """Greedy rollouts, free and forced, on the held-out split and the test sets; the held-out free accuracy."""
        folder, stage = names.evaluation_rollouts(iteration), f"evaluation_{iteration:02d}"

        def work() -> dict[str, Any]:
            label = student.rpartition("/")[2]
            task = self._task(Role.STUDENT, iteration, label, student, evaluation_plan(self._config))
            problems = {name: self._problems(name) for name in (VALIDATION, *self._test_sets)}
            unique = {row["problem_id"]: row for rows in problems.values() for row in rows}
            self._sample(
                task,
                [_request(row, s) for s in (FREE, *self._config.strategies) for row in unique.values()],
                folder,
                stage,
                f"iteration {iteration} · evaluation",
            )
            metrics = self._evaluation_metrics(folder, problems)
            self._storage.write_json(names.evaluation(iteration), metrics)
            return metrics

        record = self._once(stage, work, lambda: [names.evaluation(iteration)])
        return record.metrics[VALIDATION]["free"]

    def record(self, iteration: int, decision: Decision) -> None:
        """Commit what was decided."""
        self._once(f"decision_{iteration:02d}", lambda: asdict(decision), list)

    def close(self) -> None:
        """Give back what the stages hold."""
        self._generating.close()

    def _once(self, stage: str, work: Callable[[], dict[str, Any]], outputs: Callable[[], list[str]]) -> StageRecord:
        """The stage's committed record; runs the stage first if there is none."""
        self._position += 1
        record = self._ledger.read(stage)
        if record is not None:
            return record
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

    def _task(self, role: Role, iteration: int, model: str, weights: str, plan: SamplingPlan) -> GenerationTask:
        return GenerationTask(
            role=role,
            iteration=iteration,
            model=model,
            weights=weights,
            run_seed=self._config.seed,
            strategies=self._strategies,
            templates=self._templates,
            plan=plan,
            program_timeout_s=self._config.generation.program_timeout_s,
        )

    def _sample(self, task: GenerationTask, rows: list[Row], folder: str, stage: str, title: str) -> None:
        self._generating.sample(
            task,
            rows,
            folder=folder,
            stage=stage,
            title=title,
            batch_size=self._config.generation.batch_size,
            max_quarantined_fraction=self._config.max_quarantined_fraction,
        )

    def _problems(self, name: str) -> list[Row]:
        return self._storage.read_parquet(names.problems(name)).to_pylist()

    def _training_rows(self) -> list[Row]:
        return self._problems(Split.TRAIN.value)

    def _requests(self) -> list[Row]:
        """One row per (problem, strategy), problems apart, so that a batch holds prompts with the same beginning."""
        return [_request(row, s) for s in self._config.strategies for row in self._training_rows()]

    def _rollouts(self, folder: str, columns: list[str]) -> list[Row]:
        parts = self._storage.files(folder, ".parquet")
        return self._storage.read_parquet(parts, columns).to_pylist() if parts else []

    def _kept(self, folder: str, source: Source) -> Kept:
        return keep_first_correct(self._rollouts(folder, COLUMNS), source)

    def _sampling_metrics(self, folder: str, stage: str) -> dict[str, Any]:
        """Counts of a sampling stage, from what it stored."""
        columns = ["problem_id", "strategy", "verdict", "num_tokens", "engine"]
        rollouts = self._rollouts(folder, columns)
        solved = {(r["problem_id"], r["strategy"]) for r in rollouts if r["verdict"] == Verdict.CORRECT}
        verdicts = {v.value: sum(r["verdict"] == v for r in rollouts) for v in Verdict}
        return {
            "engine": rollouts[0]["engine"] if rollouts else "",
            "requests": len({(r["problem_id"], r["strategy"]) for r in rollouts}),
            "samples": len(rollouts),
            "accepted": len(solved),
            "accepted_by_strategy": {n: sum(s == n for _, s in solved) for n in self._config.strategies},
            "verdicts": verdicts,
            "generated_tokens": sum(r["num_tokens"] for r in rollouts),
            "quarantined": self._generating.num_quarantined(stage),
        }

    def _evaluation_metrics(self, folder: str, problems: dict[str, list[Row]]) -> dict[str, Any]:
        columns = ["problem_id", "requested", "strategy", "verdict"]
        outcomes = [Outcome(**(row | {"verdict": Verdict(row["verdict"])})) for row in self._rollouts(folder, columns)]
        return {
            name: asdict(evaluate_dataset([row["problem_id"] for row in rows], outcomes, self._config.strategies))
            for name, rows in problems.items()
        }

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


def _request(problem: Row, strategy: str) -> Row:
    return {
        "problem_id": problem["problem_id"],
        "question": problem["question"],
        "answer": problem["answer"],
        "strategy": strategy,
    }
