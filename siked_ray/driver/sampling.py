"""The sampling stages: what is asked of whom, and the figures of what came."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from siked_ray.capacity.await_capacity import Placement
from siked_ray.config import Config
from siked_ray.core.asks import Asks
from siked_ray.core.problem import Problem, Split
from siked_ray.core.prompts import StudentPrompts, TeacherPrompts
from siked_ray.core.reasoning import Accept
from siked_ray.core.reporting import Reporter
from siked_ray.core.rollout import FREE, TAG_ALONE
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.stage import Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.data.schemas import kind_of_rollouts
from siked_ray.data.storage import Storage
from siked_ray.driver.engines import EnginePools, SamplingReport
from siked_ray.driver.figures import cost_of_servers, sampling_metrics
from siked_ray.driver.titles import title_of, title_of_candidate
from siked_ray.generation.durable import compact, discard_pending, quarantined_rows
from siked_ray.generation.tag_alone import take_over
from siked_ray.generation.task import GenerationTask, RowSink
from siked_ray.recipes.verbs import Asked, Model
from siked_ray.settings import STUDENT, TEACHER, TeacherPart
from siked_ray.sources import WrittenSource, sampled, written
from siked_ray.sources.existing import write_existing

_PROBLEM_FIELDS = ("problem_id", "dataset", "question", "answer")


class Sampling:
    """`models` gives the directory or name of the student and of each part of the teacher that is sampled."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        engines: EnginePools,
        board: Reporter,
        models: Mapping[str, str],
        placement: Placement,
    ) -> None:
        self._config = config
        self._storage = storage
        self._engines = engines
        self._board = board
        self._models = models
        self._placement = placement

    def stage(self, stage: StageId, model: Model, asked: Asked, how: SamplingPlan) -> Mapping[str, Any]:
        """Sample a stage's rows; its metrics."""
        folder, columns = names.place_of(stage), kind_of_rollouts(how.margin)
        sink = RowSink(storage=self._storage, folder=folder, stage=stage.name, columns=columns)
        if model.engines == TEACHER:
            return self._teacher(stage, asked, how, sink)
        self._placement.before_sampling(model.engines)
        if model.engines != STUDENT:
            report = self._student(stage, model.weights, asked, how, sink, title_of(stage), engines=model.engines)
        elif stage.kind in (Kind.ANSWERS, Kind.SAMPLES):
            report, num_taken_over = self._answers(stage, model.weights, asked, how, sink, title_of(stage))
            return asdict(report) | {"taken_over": num_taken_over}
        else:
            report = self._student(stage, model.weights, asked, how, sink, title_of(stage))
        return self._metrics(sink, report, how.accept)

    def answers(self, stage: StageId, weights: str, problem_sets: Sequence[str], title: str) -> None:
        """Greedy rollouts of any student, free and forced, on sets of problems; outside a recipe. And with
        `evaluation.samples` free ones at T > 0 beside them."""
        wanted = [(stage, (FREE, *self._config.strategies), self._config.evaluation.plan(), title)]
        if how := self._config.evaluation.sampled_plan():
            wanted.append((stage.of_samples(), (FREE,), how, f"{title} · samples"))
        for own, requested, plan, shown in wanted:
            sink = RowSink(storage=self._storage, folder=names.place_of(own), stage=own.name)
            asked = Asked(problems=tuple(problem_sets), requested=requested)
            self._answers(own, weights, asked, plan, sink, shown)

    def candidate(self, training: StageId, weights: str, step: int, problem_set: str) -> str:
        """Greedy free rollouts of one candidate of a training stage on a set of problems; their folder."""
        self._placement.before_sampling(STUDENT)
        stage = StageId(Kind.CANDIDATE, f"{training.label}_{step:07d}", training.iteration)
        folder = names.candidate_rollouts(training, step)
        sink = RowSink(storage=self._storage, folder=folder, stage=stage.name)
        asked = Asked(problems=(problem_set,), requested=(FREE,))
        title = title_of_candidate(training, step)
        label = f"{training.folder}/step_{step:07d}"
        self._student(stage, weights, asked, self._config.evaluation.plan(), sink, title, label=label)
        compact(sink)
        discard_pending(self._storage, folder)
        return folder

    def problem_ids(self, problem_set: str) -> list[str]:
        """Ids of a set's problems."""
        rows = self._storage.read_parquet(names.problems(problem_set), ["problem_id"])
        return rows["problem_id"].to_pylist()

    def _teacher(self, stage: StageId, asked: Asked, how: SamplingPlan, sink: RowSink) -> Mapping[str, Any]:
        """Each part of the teacher for its own strategies: sampled, or verified where it has rationales."""
        for source in sampled(self._config):
            self._placement.before_sampling(source.part.key)
        report = SamplingReport()
        for source in sampled(self._config):
            report += self._sample_part(stage, source.part, asked, how, sink)
        for existing in written(self._config):
            self._verify_part(existing, sink)
        self._engines.close()
        metrics = self._metrics(sink, report, how.accept)
        files = self._storage.files(sink.folder, ".parquet")
        return {**metrics, "cost": cost_of_servers(self._storage, files, self._config)}

    def _sample_part(
        self, stage: StageId, part: TeacherPart, asked: Asked, how: SamplingPlan, sink: RowSink
    ) -> SamplingReport:
        wanted = [name for name in part.strategies if name in asked.requested]
        asks = self._asks(asked, wanted, TeacherPrompts)
        task = self._task(stage, asks, part.key, self._models[part.key], how)
        return self._sample(part.key, task, asks, sink, f"{part.key} samples")

    def _verify_part(self, source: WrittenSource, sink: RowSink) -> None:
        rows = self._storage.read_parquet(names.problems(Split.TRAIN.value), list(_PROBLEM_FIELDS)).to_pylist()
        title = f"{source.part.key} rationales"
        write_existing(source, [Problem(**row) for row in rows], self._config, sink, board=self._board, title=title)

    def _answers(
        self, stage: StageId, weights: str, asked: Asked, how: SamplingPlan, sink: RowSink, title: str
    ) -> tuple[SamplingReport, int]:
        """Sample and compact; also how many free rows were taken over from forced ones (`generation.tag_alone`)."""
        report, num_taken_over = SamplingReport(), 0
        views = self._config.prompts.templates().of_strategy
        if self._config.engine_of(STUDENT).is_deterministic and not views and _has_twins(asked, how):
            forced = [name for name in asked.requested if name != FREE]
            report = self._student(stage, weights, replace(asked, requested=(*forced, TAG_ALONE)), how, sink, title)
            asks = self._asks(asked, asked.requested, StudentPrompts)
            num_taken_over = take_over(sink, self._task(stage, asks, weights.rpartition("/")[2], weights, how))
        report += self._student(stage, weights, asked, how, sink, title)
        compact(sink)
        return report, num_taken_over

    def _student(
        self,
        stage: StageId,
        weights: str,
        asked: Asked,
        how: SamplingPlan,
        sink: RowSink,
        title: str,
        *,
        label: str | None = None,
        engines: str = STUDENT,
    ) -> SamplingReport:
        """Any model that is asked as the student is."""
        asks = self._asks(asked, asked.requested, StudentPrompts)
        task = self._task(stage, asks, label or weights.rpartition("/")[2], weights, how)
        return self._sample(engines, task, asks, sink, title)

    def _asks(
        self, asked: Asked, requested: Sequence[str], prompts: type[TeacherPrompts] | type[StudentPrompts]
    ) -> Asks:
        own = prompts(templates=self._config.prompts.templates(), strategies=self._config.strategy_records())
        return Asks(
            problems=tuple(names.problems(name) for name in asked.problems),
            requested=tuple(requested),
            render=asked.render or own,
            table=asked.table.file if asked.table else None,
        )

    def _task(self, stage: StageId, asks: Asks, model: str, weights: str, how: SamplingPlan) -> GenerationTask:
        label = stage.label if stage.iteration is None else stage.iteration
        return GenerationTask(
            label=f"{stage.kind} {label}" if stage.kind is Kind.SAMPLES else label,
            model=model,
            weights=weights,
            run_seed=self._config.seed,
            strategies=self._config.strategy_records(),
            stop=asks.render.stop,
            plan=how,
            program_timeout_s=self._config.generation.program_timeout_s,
            thought_tags=self._config.prompts.all_thought_tags(),
        )

    def _sample(self, engines: str, task: GenerationTask, asks: Asks, sink: RowSink, title: str) -> SamplingReport:
        fraction = self._config.max_quarantined_fraction
        return self._engines.sample(engines, task, asks, sink, title=title, max_quarantined_fraction=fraction)

    def _metrics(self, sink: RowSink, report: SamplingReport, accept: Accept) -> dict[str, Any]:
        counts = sampling_metrics(self._storage, compact(sink), self._config.strategies, accept)
        return counts | {"quarantined": len(quarantined_rows(self._storage, sink.stage))} | asdict(report)


def _has_twins(asked: Asked, how: SamplingPlan) -> bool:
    """Whether free responses are asked for beside forced ones of the same prompts, and both are greedy."""
    own_prompts = asked.table is None and asked.render is None and how.margin is None
    return own_prompts and how.temperature == 0 and FREE in asked.requested and len(asked.requested) > 1
