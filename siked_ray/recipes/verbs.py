"""The lab: seven verbs that a recipe is written in. Each call is one stage: placed, resumable, recorded in the ledger.

A verb returns what is committed when its stage has run before. What passes between the verbs are references to what
lies in the run directory, never the data.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from siked_ray.core.asks import Render
from siked_ray.core.margin import Margin
from siked_ray.core.merge_rule import MergeRule
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.rule import Rule
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.stage import StageId
from siked_ray.core.stopping import Decision, Spent
from siked_ray.core.training_plan import Length


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Weights (a directory or Hub name), and the name of the engines that sample them: "student", "teacher", or a name
    of the settings' `models`.

    `steps` and `tokens` are what the run has trained them for: optimizer steps and tokens, from the model of the
    settings on.
    """

    engines: str
    weights: str
    fingerprint: str
    steps: int = 0
    tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollouts:
    """A folder of samples with their verdicts, and their margins where the plan has one. Where they are measured
    against others, `compared` says which: the free ones, or those of a strategy."""

    stage: StageId
    folder: str
    fingerprint: str
    margin: Margin | None = None
    compared: str = FREE

    def asked_for(self, strategy: str) -> "Rollouts":
        """The same samples, to be compared as those of a strategy."""
        return replace(self, compared=strategy, fingerprint=f"{self.fingerprint}:{strategy}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A Parquet file of rows that a rule selected, and the figures that the rule gave. The rows are of the problems of
    one set."""

    file: str
    fingerprint: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    problem_set: str = Split.TRAIN.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """A folder with a model's probabilities at the tokens of rows, by the rows' ids."""

    folder: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What teacher and student say of the tokens of the same solutions, which the student wrote."""

    rows: Table
    student: Model
    by_teacher: Scores
    by_student: Scores


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a sampling stage asks: every problem of some problem sets, once for each name in `requested`: a strategy,
    whose tag is forced, or `core.rollout.FREE`. Or the rows {problem_id, requested, context} of a table.

    `render` makes the prompts; without it they are those of the teacher or of the student.
    """

    problems: tuple[str, ...]
    requested: tuple[str, ...] = ()
    table: Table | None = None
    render: Render | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes these asks these, as plain values for the record."""
        return {
            "problems": list(self.problems),
            "requested": list(self.requested),
            **({"table": self.table.fingerprint} if self.table else {}),
            **({"render": type(self.render).__qualname__} if self.render else {}),
        }


#: Figures by problem set, as `siked_ray.evaluation` makes them.
Figures = Mapping[str, Mapping[str, Any]]


class Lab(Protocol):
    """Implemented on Ray by `siked_ray.driver.lab`, with tiny fakes by the tests."""

    def model(self, name: str) -> Model:
        """The model that the settings call by this name."""

    def test_sets(self) -> tuple[str, ...]:
        """Names of the problem sets that select nothing."""

    def sample(self, stage: StageId, model: Model, asked: Asked, how: SamplingPlan) -> Rollouts:
        """Sample a model; every sample is verified as it is made."""

    def select(self, stage: StageId, rule: Rule, **tables: Rollouts | Table) -> Table:
        """Select rows from tables of any size; the problems of the rule's set are the table `problems`."""

    def score(self, stage: StageId, model: Model, rows: Table, top_k: int, known: Sequence[Scores] = ()) -> Scores:
        """A model's `top_k` most likely tokens at each token of the responses of rows {problem_id, strategy, response,
        request_id}, but of rows with scores that are `known`. The teacher's are for any student with the same tokens;
        the student's own are for measuring."""

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
        """Fine-tune `start` on rows {prompt, response}; the result is a whole model with merged weights. `beside` is
        the teacher of an objective that holds the student against one, `scores` what one reads that is `with_teacher`.
        `length` ends training in the place of the settings' epochs."""

    def merge(self, stage: StageId, base: Model, parts: Mapping[str, Model], rule: MergeRule) -> Model:
        """One model out of several that were trained from the same base."""

    def measure(
        self,
        stage: StageId,
        answers: Mapping[str, Rollouts],
        against: Mapping[str, Rollouts] | None = None,
        reading: Reading | None = None,
        samples: Rollouts | None = None,
    ) -> Figures:
        """What answers to problem sets are worth: free, forced, oracle, intervals; and, problem by problem, against
        the answers of other models, the free ones or those that were `asked_for`; and, with a `reading`, token by
        token against the teacher; and, with `samples` of the same problems at T > 0, by pass@k and the majority of k.
        """

    def decide(self, stage: StageId, make: Callable[[], Decision]) -> Decision:
        """Record a decision with its reason; `make` is pure."""

    def spent(self) -> Spent:
        """What the stages so far have cost, as it was recorded when they ran."""
