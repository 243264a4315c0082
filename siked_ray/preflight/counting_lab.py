"""A lab that only counts: a recipe's own `run` on it says what its stages would do at most.

Upper bounds: every sample is drawn, every row is kept, and no decision stops. Rationales that exist count as K samples
of each (problem, strategy).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from siked_ray.config import Config
from siked_ray.core.merge_rule import MergeRule
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.problem import Split
from siked_ray.core.rule import Rule
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.stopping import Decision, Spent
from siked_ray.core.training_plan import Length
from siked_ray.errors import ConfigError
from siked_ray.evaluation import compare_answers, evaluate_dataset
from siked_ray.preflight.check import Checked
from siked_ray.recipes import recipe_named
from siked_ray.recipes.verbs import Asked, Figures, Model, Reading, Rollouts, Scores, Table
from siked_ray.settings import TEACHER
from siked_ray.sources import sampled

_MOST_STAGES = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingCount:
    """`num_asked` counts what is asked; `requests` those to models that are sampled, by the name of their engines."""

    stage: StageId
    model: Model
    asked: Asked
    how: SamplingPlan
    num_asked: int
    requests: Mapping[str, int]

    @property
    def num_requests(self) -> int:
        return sum(self.requests.values())

    @property
    def num_completions(self) -> int:
        return self.num_requests * self.how.num_samples

    @property
    def measures_only(self) -> bool:
        """Whether nothing of it is trained on."""
        return self.stage.kind in (Kind.ANSWERS, Kind.SAMPLES)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCount:
    """Rows that a rule can select."""

    stage: StageId
    num_rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCount:
    """Rows that are trained on, how often each of them, and optimizer steps."""

    stage: StageId
    num_rows: int
    epochs: float
    num_steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringCount:
    """Rows whose tokens a model scores, at most."""

    stage: StageId
    model: Model
    num_rows: int
    top_k: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherCount:
    """A stage that samples and trains nothing."""

    stage: StageId
    verb: str


Count = SamplingCount | TableCount | ScoringCount | TrainingCount | OtherCount


class CountingLab:
    """`siked_ray.recipes.verbs.Lab`; `counts` has the stages in the order in which they would run."""

    def __init__(self, config: Config, checked: Checked) -> None:
        self.counts: list[Count] = []
        self._config = config
        self._tests = tuple(checked.tests)
        sets = {Split.TRAIN.value: checked.train, Split.VALIDATION.value: checked.validation, **checked.tests}
        self._ids = {name: frozenset(one.problem_id for one in problems) for name, problems in sets.items()}
        self._num_problems: dict[tuple[str, ...], int] = {}
        self._rows: dict[str, int] = {}
        self._parts = tuple(source.part for source in sampled(config))
        unsolved = ["a problem"]
        self._figures = asdict(evaluate_dataset(unsolved, (), config.strategies)) | {"quarantined": 0}
        self._paired = asdict(compare_answers(unsolved, (), ()))

    def model(self, name: str) -> Model:
        self._config.require_model(name)
        return Model(engines=name, weights=name, fingerprint="")

    def test_sets(self) -> tuple[str, ...]:
        return self._tests

    def sample(self, stage: StageId, model: Model, asked: Asked, how: SamplingPlan) -> Rollouts:
        num_asked, requests = self._asks(asked, asked.requested), self._requests(model, asked)
        self._add(SamplingCount(stage=stage, model=model, asked=asked, how=how, num_asked=num_asked, requests=requests))
        self._rows[stage.name] = num_asked * how.num_samples
        return Rollouts(stage=stage, folder=stage.name, fingerprint="")

    def select(self, stage: StageId, rule: Rule, **tables: Rollouts | Table) -> Table:
        names = {name: one.file if isinstance(one, Table) else one.folder for name, one in tables.items()}
        most = {"problems": self._problems((rule.problem_set,))} | {name: self._rows[of] for name, of in names.items()}
        num_rows = self._rows[stage.name] = rule.max_rows(most)
        self._add(TableCount(stage=stage, num_rows=num_rows))
        return Table(file=stage.name, fingerprint="", figures={"rows": num_rows})

    def score(self, stage: StageId, model: Model, rows: Table, top_k: int, known: Sequence[Scores] = ()) -> Scores:
        num_rows = self._rows[rows.file]
        self._add(ScoringCount(stage=stage, model=model, num_rows=num_rows, top_k=top_k))
        return Scores(folder=stage.name, fingerprint="")

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
        """The tokens of a model are counted in rows here."""
        num_rows, training = self._rows[rows.file], self._config.training
        epochs: float = training.epochs
        num_steps = training.epochs * math.ceil(num_rows / training.rows_per_step)
        if length is not None:
            num_steps = length.steps or math.ceil((length.tokens or 0) / training.rows_per_step)
            epochs = (length.tokens or num_steps * training.rows_per_step) / max(num_rows, 1)
        self._add(TrainingCount(stage=stage, num_rows=num_rows, epochs=epochs, num_steps=num_steps))
        return Model(
            engines="student",
            weights=stage.name,
            fingerprint="",
            steps=start.steps + num_steps,
            tokens=start.tokens + round(num_rows * epochs),
        )

    def merge(self, stage: StageId, base: Model, parts: Mapping[str, Model], rule: MergeRule) -> Model:
        self._add(OtherCount(stage=stage, verb="merge"))
        return Model(engines="student", weights=stage.name, fingerprint="")

    def measure(
        self,
        stage: StageId,
        answers: Mapping[str, Rollouts],
        against: Mapping[str, Rollouts] | None = None,
        reading: Reading | None = None,
        samples: Rollouts | None = None,
    ) -> Figures:
        """Figures of a student that solves nothing."""
        self._add(OtherCount(stage=stage, verb="measure"))
        others = against or {}
        paired = {label: {"iteration": one.stage.iteration, **self._paired} for label, one in others.items()}
        return dict.fromkeys(answers, self._figures | ({"paired": paired} if paired else {}))

    def decide(self, stage: StageId, make: Callable[[], Decision]) -> Decision:
        """Go on; the last iteration is the best one."""
        self._add(OtherCount(stage=stage, verb="decide"))
        return Decision(stop=False, best_iteration=stage.iteration or 0, reason="a forecast goes on to the end")

    def spent(self) -> Spent:
        return Spent()

    def _add(self, count: Count) -> None:
        self.counts.append(count)
        if len(self.counts) > _MOST_STAGES:
            raise ConfigError(
                f"recipe: {self._config.recipe} has more than {_MOST_STAGES:,} stages where no decision stops it; "
                "give it an end, such as iterations.max."
            )

    def _requests(self, model: Model, asked: Asked) -> dict[str, int]:
        """By the engines that they go to; a teacher that is put together has some for each part that is sampled."""
        if model.engines != TEACHER:
            return {model.engines: self._asks(asked, asked.requested)}
        wanted = {part.key: [name for name in part.strategies if name in asked.requested] for part in self._parts}
        return {key: self._asks(asked, names) for key, names in wanted.items()}

    def _asks(self, asked: Asked, requested: Sequence[str]) -> int:
        if asked.table is not None:
            return self._rows[asked.table.file]
        return self._problems(asked.problems) * len(requested)

    def _problems(self, names: tuple[str, ...]) -> int:
        """Problems of these sets; one of two of them counts once."""
        if names not in self._num_problems:
            self._num_problems[names] = len(frozenset().union(*(self._ids[name] for name in names)))
        return self._num_problems[names]


def count_stages(config: Config, checked: Checked) -> list[Count]:
    """What the recipe of these settings would do at most, stage by stage."""
    lab = CountingLab(config, checked)
    recipe_named(config.recipe).run(lab, config)
    return lab.counts


def num_candidates(config: Config, num_steps: int) -> int:
    """Candidates of a training stage that are judged by free completions on the held-out problems."""
    selection = config.training.selection
    if selection.every_steps is None or selection.by == "loss":
        return 0
    return math.ceil(num_steps / selection.every_steps)
