"""The lab on Ray: each verb is a stage, an idempotent function from committed inputs to committed outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from siked_ray.capacity.await_capacity import Placement
from siked_ray.config import Config
from siked_ray.core.merge_rule import MergeRule
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.reporting import TrainingReporter
from siked_ray.core.rule import Rule
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.stage import StageId
from siked_ray.core.stopping import Decision, Spent
from siked_ray.core.training_plan import Length
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.schemas import kind_of_rollouts
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.driver.engines import EnginePools
from siked_ray.driver.figures import spent
from siked_ray.driver.measuring import measured
from siked_ray.driver.merge_stage import merge_models
from siked_ray.driver.once import Once, fingerprint_in, fingerprint_of
from siked_ray.driver.sampling import Sampling
from siked_ray.driver.scoring import Scoring
from siked_ray.driver.training import Training
from siked_ray.errors import StageError
from siked_ray.generation.durable import discard_pending
from siked_ray.preflight.branch import branched_stages, origin_by_fingerprint, take_over_stage
from siked_ray.recipes.verbs import Asked, Figures, Model, Reading, Rollouts, Scores, Table
from siked_ray.settings import STUDENT


class RayLab:
    """Implements `siked_ray.recipes.verbs.Lab`. `models` gives the directory or Hub name of the student and each part
    of the teacher; `placement` waits until a stage has its place."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        engines: EnginePools,
        board: TrainingReporter,
        *,
        models: Mapping[str, str],
        test_sets: Sequence[str],
        log_dir: str,
        placement: Placement,
        max_model_len: Mapping[str, int],
        on_commit: Callable[[StageRecord], None],
    ) -> None:
        self._config = config
        self._storage = storage
        self._engines = engines
        self._board = board
        self._models = models
        self._test_sets = tuple(test_sets)
        ledger = Ledger(storage)
        self._branched = set(branched_stages(ledger))
        self._origin = origin_by_fingerprint(config)
        self._once = Once(ledger, taken_over=self._branched, on_commit=on_commit, take_over=self._take_over)
        self._sampling = Sampling(config, storage, engines, board, models, placement)
        self._scoring = Scoring(
            config,
            storage,
            engines,
            board,
            placement,
            tokenizer=models.get(STUDENT, ""),
            max_model_len=max_model_len,
            log_dir=log_dir,
        )
        self._training = Training(config, storage, board, self._sampling, placement, log_dir=log_dir)

    def model(self, name: str) -> Model:
        """The student ("student"), the teacher ("teacher"), which may be put together of several sources, or one of
        the settings' `models` by its name. ConfigError where the settings have none of this name."""
        self._config.require_model(name)
        return Model(engines=name, weights=self._models.get(name, name), fingerprint=fingerprint_in(self._config, name))

    def test_sets(self) -> tuple[str, ...]:
        """Names of the problem sets that select nothing."""
        return self._test_sets

    def sample(self, stage: StageId, model: Model, asked: Asked, how: SamplingPlan) -> Rollouts:
        """Sample a model, or verify the rationales that a teacher without a model has."""
        folder = names.place_of(stage)
        record = self._once(
            stage,
            {"verb": "sample", "model": model.fingerprint, "asked": asked.arguments, "how": how.arguments},
            lambda: self._sampling.stage(stage, model, asked, how),
            lambda: self._storage.files(folder, ".parquet"),
        )
        discard_pending(self._storage, folder)
        return Rollouts(stage=stage, folder=folder, fingerprint=fingerprint_of(record), margin=how.margin)

    def select(self, stage: StageId, rule: Rule, **tables: Rollouts | Table) -> Table:
        """Apply a rule by SQL; its figures are the stage's metrics."""
        file = names.place_of(stage)

        def work() -> Mapping[str, Any]:
            with sql_engine() as connection:
                sql = SqlTables(connection, self._storage)
                sql.attach("problems", problems=[names.problems(rule.problem_set)])
                for name, one in tables.items():
                    if isinstance(one, Table):
                        sql.attach_file(name, one.file)
                    else:
                        files = self._storage.files(one.folder, ".parquet")
                        sql.attach(kind_of_rollouts(one.margin), **{name: files})
                selected = rule.apply(sql)
                sql.write(file, selected.query, rule.columns, rule.finish)
            return selected.figures

        inputs = {name: one.fingerprint for name, one in tables.items()}
        made_from = {"verb": "select", "tables": inputs, **rule.arguments}
        record = self._once(stage, made_from, work, lambda: [file])
        return Table(
            file=file, fingerprint=fingerprint_of(record), figures=record.metrics, problem_set=rule.problem_set
        )

    def score(self, stage: StageId, model: Model, rows: Table, top_k: int, known: Sequence[Scores] = ()) -> Scores:
        """Ask a model for its probabilities at the tokens of rows that have none yet."""
        folder = names.place_of(stage)
        made_from = {
            "verb": "score",
            "teacher": model.fingerprint,
            "rows": rows.fingerprint,
            "top_k": top_k,
            "known": [one.fingerprint for one in known],
        }
        record = self._once(
            stage,
            made_from,
            lambda: self._scoring.stage(stage, model, rows, top_k, known),
            lambda: self._storage.files(folder, ".parquet"),
        )
        self._scoring.discard(folder)
        return Scores(folder=folder, fingerprint=fingerprint_of(record))

    def train(
        self,
        stage: StageId,
        start: Model,
        rows: Table,
        objective: ObjectiveSpec,
        beside: Model | None = None,
        scores: Sequence[Scores] = (),
        length: Length | None = None,
    ) -> Model:
        """Fine-tune on Ray Train; with `training.selection` the best of several steps' weights."""
        if objective.beside_teacher and beside is None:
            raise StageError(f"The objective {objective.kind} holds the student against a teacher, and there is none.")
        output = names.place_of(stage)
        made_from = {
            "verb": "train",
            "start": start.fingerprint,
            "rows": rows.fingerprint,
            "objective": objective.arguments,
            "plan": self._training.plan(stage, rows, length).values(),
            **({"beside": beside.fingerprint} if beside else {}),
            **({"scores": [one.fingerprint for one in scores]} if scores else {}),
        }
        record = self._once(
            stage,
            made_from,
            lambda: self._training.stage(stage, start, rows, objective, self._once.passed, beside, scores, length),
            lambda: [output],
        )
        self._training.discard(output)
        steps, tokens = start.steps + record.metrics["steps"], start.tokens + record.metrics["tokens"]
        return replace(self._trained(record, output), steps=steps, tokens=tokens)

    def merge(self, stage: StageId, base: Model, parts: Mapping[str, Model], rule: MergeRule) -> Model:
        """Put weights together, tensor by tensor."""
        output = names.place_of(stage)
        made_from = {
            "verb": "merge",
            "base": base.fingerprint,
            "parts": {name: part.fingerprint for name, part in parts.items()},
            "rule": asdict(rule),
        }
        weights = {name: part.weights for name, part in parts.items()}
        record = self._once(
            stage, made_from, lambda: merge_models(self._storage, output, base.weights, weights, rule), lambda: [output]
        )
        return self._trained(record, output)

    def measure(
        self,
        stage: StageId,
        answers: Mapping[str, Rollouts],
        against: Mapping[str, Rollouts] | None = None,
        reading: Reading | None = None,
        samples: Rollouts | None = None,
    ) -> Figures:
        """Figures by problem set, and a file of them."""
        output, others = names.place_of(stage), against or {}

        def work() -> Mapping[str, Any]:
            metrics = measured(self._storage, self._config, answers, others, reading, samples)
            before = self._storage.read_json(output) if self._storage.exists(output) else {}
            self._storage.write_json(output, before | metrics)
            return metrics

        made_from = {
            "verb": "measure",
            "answers": {name: one.fingerprint for name, one in answers.items()},
            "against": {name: one.fingerprint for name, one in others.items()},
            **({"samples": samples.fingerprint} if samples else {}),
            **({"read": [reading.by_teacher.fingerprint, reading.by_student.fingerprint]} if reading else {}),
        }
        return self._once(stage, made_from, work, lambda: [output]).metrics

    def decide(self, stage: StageId, make: Callable[[], Decision]) -> Decision:
        """Commit what was decided; decided anew where it is pure and committed already, so that it cannot drift."""
        decision = make()
        self._once(stage, {"verb": "decide"}, lambda: asdict(decision))
        return decision

    def spent(self) -> Spent:
        """What the stages so far have cost in this run; those of a run that it branched from are not its own."""
        return spent((one for one in self._once.passed if one.stage not in self._branched), self._config)

    def flush(self, timeout_s: float) -> None:
        """Have engines write the rows that they have finished; may be called by another thread."""
        self._engines.flush(timeout_s)

    def close(self) -> None:
        """Give back what the stages hold."""
        self._engines.close()

    def _take_over(self, stage: StageId, made_from: Mapping[str, Any], position: int) -> StageRecord | None:
        """What the run that `start_from` names made from the same."""
        if self._origin is None:
            return None
        record = take_over_stage(self._origin, self._storage, stage, made_from, position)
        if record is not None:
            self._branched.add(stage.name)
        return record

    def _trained(self, record: StageRecord, output: str) -> Model:
        return Model(engines="student", weights=self._storage.path(output), fingerprint=fingerprint_of(record))
