"""The sampling stages: what is asked of whom, and the figures of what came."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from siked_ray.config import Config
from siked_ray.core.problem import Problem, Split
from siked_ray.core.rollout import FREE
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.counting import cost_of_servers, sampling_metrics
from siked_ray.driver.demand import STUDENT
from siked_ray.driver.existing import write_existing
from siked_ray.driver.generating import Generating, SamplingReport
from siked_ray.driver.placement import evaluation_plan, prompt_templates, sampling_plan
from siked_ray.generation.durable import compact, discard_pending, quarantined_rows
from siked_ray.generation.task import GenerationTask, Role, RowSink, SamplingPlan
from siked_ray.settings import TeacherPart

_PROBLEM_FIELDS = ("problem_id", "dataset", "question", "answer")


class Sampling:
    """`teacher_models` gives the directory or name for each part of the teacher that is sampled."""

    def __init__(
        self, config: Config, storage: Storage, generating: Generating, board: Any, teacher_models: Mapping[str, str]
    ) -> None:
        self._config = config
        self._storage = storage
        self._generating = generating
        self._board = board
        self._teacher_models = teacher_models
        self._train = names.problems(Split.TRAIN.value)

    def teacher(self, stage: str) -> dict[str, Any]:
        """Sample the teacher, or verify the rationales that exist; each part of it for its own strategies."""
        sink = RowSink(storage=self._storage, folder=names.TEACHER_ROLLOUTS, stage=stage)
        report = SamplingReport()
        for part in self._config.teacher_parts():
            report += self._sample_part(part, sink) if part.source.is_sampled else self._verify_part(part, sink)
        self._generating.close()
        metrics = self._metrics(sink, report)
        files = self._storage.files(sink.folder, ".parquet")
        return metrics | {"cost": cost_of_servers(self._storage, files, self._config)}

    def student(self, student: str, iteration: int, stage: str) -> dict[str, Any]:
        """Sample the student on the training problems, with each tag forced or with none."""
        sink = RowSink(storage=self._storage, folder=names.student_rollouts(iteration), stage=stage)
        label = student.rpartition("/")[2]
        task = self.task(Role.STUDENT, iteration, label, student, sampling_plan(self._config))
        title = f"iteration {iteration} · student samples"
        strategies = [FREE] if self._config.iterations.generator == "self_free" else self._config.strategies
        report = self._sample(STUDENT, task, [self._train], strategies, sink, title)
        return self._metrics(sink, report)

    def evaluation(self, student: str, iteration: int, stage: str, problem_sets: Sequence[str], title: str) -> None:
        """Greedy rollouts, free and forced, on sets of problems."""
        sink = RowSink(storage=self._storage, folder=names.evaluation_rollouts(iteration), stage=stage)
        label = student.rpartition("/")[2]
        task = self.task(Role.STUDENT, iteration, label, student, evaluation_plan(self._config))
        tables = [names.problems(name) for name in problem_sets]
        self._sample(STUDENT, task, tables, (FREE, *self._config.strategies), sink, title)
        compact(sink)

    def candidate(self, student: str, iteration: int, step: int, problem_set: str) -> None:
        """Greedy free rollouts of one candidate of a training stage on a set of problems."""
        folder, stage = names.candidate_rollouts(iteration, step), f"candidate_{iteration:02d}_{step:07d}"
        sink = RowSink(storage=self._storage, folder=folder, stage=stage)
        label = f"iteration_{iteration:02d}/step_{step:07d}"
        task = self.task(Role.STUDENT, iteration, label, student, evaluation_plan(self._config))
        title = f"iteration {iteration} · candidate of step {step}"
        self._sample(STUDENT, task, [names.problems(problem_set)], [FREE], sink, title)
        compact(sink)
        discard_pending(self._storage, folder)

    def task(self, role: Role, iteration: int, model: str, weights: str, plan: SamplingPlan) -> GenerationTask:
        return GenerationTask(
            role=role,
            iteration=iteration,
            model=model,
            weights=weights,
            run_seed=self._config.seed,
            strategies=self._config.strategy_records(),
            templates=prompt_templates(self._config),
            plan=plan,
            program_timeout_s=self._config.generation.program_timeout_s,
        )

    def _sample_part(self, part: TeacherPart, sink: RowSink) -> SamplingReport:
        weights = self._teacher_models[part.key]
        task = self.task(Role.TEACHER, 0, part.key, weights, sampling_plan(self._config))
        title = "teacher samples" if part.key == "teacher" else f"{part.key} samples"
        return self._sample(part.key, task, [self._train], part.strategies, sink, title)

    def _verify_part(self, part: TeacherPart, sink: RowSink) -> SamplingReport:
        rows = self._storage.read_parquet(self._train, list(_PROBLEM_FIELDS)).to_pylist()
        title = "teacher rationales" if part.key == "teacher" else f"{part.key} rationales"
        write_existing(part, [Problem(**row) for row in rows], self._config, sink, board=self._board, title=title)
        return SamplingReport()

    def _sample(
        self,
        key: str,
        task: GenerationTask,
        tables: Sequence[str],
        strategies: Sequence[str],
        sink: RowSink,
        title: str,
    ) -> SamplingReport:
        fraction = self._config.max_quarantined_fraction
        return self._generating.sample(
            key, task, tables, strategies, sink, title=title, max_quarantined_fraction=fraction
        )

    def _metrics(self, sink: RowSink, report: SamplingReport) -> dict[str, Any]:
        counts = sampling_metrics(self._storage, compact(sink), self._config.strategies)
        return counts | {"quarantined": len(quarantined_rows(self._storage, sink.stage))} | asdict(report)
