"""A lab with stub engines, whose rules are the real ones: rollouts are drawn by a seed, rows are selected by SQL, and a
student chooses strategies as often as its training rows have them."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from siked_ray.core.asks import ask_id
from siked_ray.core.ids import request_id, unit_interval
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.stage import StageId
from siked_ray.core.stopping import Decision, Spent
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import SqlTables, sql_engine
from siked_ray.driver.measuring import measured
from siked_ray.recipes.verbs import Asked, Model, Rollouts, Table
from tests.plain_rollout import PLAIN

#: What a student has learnt: shares of strategies, by what it tells problems apart by.
Choice = Mapping[str, Mapping[str, float]]
TEACHER = "teacher"


@dataclass
class Told:
    """A record of the ledger."""

    id: StageId
    metrics: dict[str, Any]


@dataclass(kw_only=True)
class StubLab:
    """`solves(problem, strategy)` is the probability that one attempt is right; None as a strategy is no known tag.
    `sees(question)` is what a student tells problems apart by. `chooses` decides in the place of what was learnt."""

    folder: Path
    strategies: Sequence[str]
    problems: Sequence[str]
    solves: Callable[[str, str], float]
    held_out: Sequence[str] = ("held out",)
    sees: Callable[[str], str] = lambda question: ""
    chooses: Callable[[str], str | None] | None = None
    committed: list[Told] = field(default_factory=list)
    students: dict[str, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.storage = Storage(str(self.folder))
        for split, problems in {Split.TRAIN: self.problems, Split.VALIDATION: self.held_out}.items():
            rows = [{"problem_id": one, "question": f"Q {one}", "answer": "1"} for one in problems]
            rows = [{"dataset": "", "split": split.value, **row} for row in rows]
            self.storage.write_parquet(names.problems(split.value), table("problems", rows))

    def model(self, name: str) -> Model:
        return Model(engines=name, weights=name, fingerprint="")

    def test_sets(self) -> tuple[str, ...]:
        return ()

    def sample(self, stage: StageId, model: Model, asked: Asked, how: Any) -> Rollouts:
        place = names.place_of(stage)
        rows = [
            one
            for problem, requested, context in self._asks(asked)
            for one in self._row(stage, model, problem, requested, context, how)
        ]
        self.storage.write_parquet(f"{place}/part-0.parquet", table("rollouts", rows))
        self.committed.append(Told(stage, {"rows": len(rows)}))
        return Rollouts(stage=stage, folder=place, fingerprint="")

    def select(self, stage: StageId, rule: Any, **tables: Rollouts | Table) -> Table:
        file = names.place_of(stage)
        with sql_engine() as connection:
            sql = SqlTables(connection, self.storage)
            sql.attach("problems", problems=[names.problems(rule.problem_set)])
            for name, one in tables.items():
                sql.attach("rollouts", **{name: self.storage.files(one.folder, ".parquet")})
            selected = rule.apply(sql)
            sql.write(file, selected.query, rule.columns, rule.finish)
        most = {name: len(self.rows(one)) for name, one in tables.items()}
        problems = self.storage.read_parquet(names.problems(rule.problem_set)).num_rows
        assert len(self.storage.read_parquet(file)) <= rule.max_rows({"problems": problems, **most})
        self.committed.append(Told(stage, dict(selected.figures)))
        return Table(file=file, fingerprint="", figures=selected.figures)

    def train(self, stage: StageId, start: Model, rows: Table, *_: Any) -> Model:
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for row in self.storage.read_parquet(rows.file).to_pylist():
            tag = re.match(r"\[(\w+)\]: ", row["response"])
            assert tag and tag[1] == row["strategy"]
            counted[self.sees(row["prompt"])][tag[1]] += 1
        self.students[stage.name] = {
            seen: {name: count / counts.total() for name, count in counts.items()} for seen, counts in counted.items()
        }
        return Model(engines="student", weights=stage.name, fingerprint="")

    def measure(self, stage: StageId, answers: Mapping[str, Rollouts], against: Any = None, *_: Any) -> Any:
        config: Any = SimpleNamespace(strategies=self.strategies)
        figures = measured(self.storage, config, answers, against or {})
        self.committed.append(Told(stage, figures))
        return figures

    def decide(self, stage: StageId, make: Callable[[], Decision]) -> Decision:
        decision = make()
        self.committed.append(Told(stage, asdict(decision)))
        return decision

    def spent(self) -> Spent:
        return Spent()

    def rows(self, of: str | Rollouts) -> list[dict[str, Any]]:
        """The rollouts of a folder, or the rows of a table by its stage's label."""
        files = self.storage.files(of.folder if isinstance(of, Rollouts) else of, ".parquet")
        return self.storage.read_parquet(files).to_pylist() if files else []

    def figures(self, name: str) -> dict[str, Any]:
        return next(one.metrics for one in self.committed if one.id.name == name)

    def _asks(self, asked: Asked) -> list[tuple[str, str, str | None]]:
        if asked.table is not None:
            rows = self.storage.read_parquet(asked.table.file).to_pylist()
            return [(row["problem_id"], row["requested"], row["context"]) for row in rows]
        sets = {Split.TRAIN.value: self.problems, Split.VALIDATION.value: self.held_out}
        problems = [problem for name in asked.problems for problem in sets[name]]
        return [(problem, requested, None) for problem in problems for requested in asked.requested]

    def _row(
        self, stage: StageId, model: Model, problem: str, requested: str, context: str | None, how: Any
    ) -> list[Rollout]:
        """Samples until one is right, where that ends a row."""
        drawn = []
        for index in range(how.num_samples):
            one = self._rollout(stage, model, problem, requested, context, index)
            drawn.append(one)
            if how.keep and one.verdict is Verdict.CORRECT:
                break
        return drawn

    def _rollout(
        self, stage: StageId, model: Model, problem: str, requested: str, context: str | None, index: int
    ) -> Rollout:
        identity = request_id(problem, ask_id(requested, context), index, stage.label)
        strategy = self._chosen(model, problem, identity) if requested == FREE else requested
        share = 1.0 if model.engines == TEACHER else self.solves(problem, strategy) if strategy else 0.0
        verdict = Verdict.CORRECT if unit_interval("solves", identity) < share else Verdict.WRONG
        return replace(
            PLAIN,
            request_id=identity,
            problem_id=problem,
            requested=requested,
            ask_id=ask_id(requested, context),
            strategy=strategy or "none",
            sample_index=index,
            completion=f"{stage.name} {problem} {verdict.value}",
            verdict=verdict,
            sound=verdict is Verdict.CORRECT,
        )

    def _chosen(self, model: Model, problem: str, identity: str) -> str | None:
        if self.chooses is not None:
            return self.chooses(problem)
        shares = self.students[model.weights].get(self.sees(f"Q {problem}"), {})
        at, below = unit_interval("chooses", identity), 0.0
        for name in self.strategies:
            below += shares.get(name, 0.0)
            if at < below:
                return name
        return self.strategies[-1]
