"""The arms of the experiment: which run each one starts from, and what it changes."""

from dataclasses import dataclass
from pathlib import Path

#: Student sizes by name: 0.4 and 0.7 million parameters.
SIZES = {"small": "world:student", "large": "world:large-student"}
SEEDS = (1, 2, 3, 4, 5)
NUM_ITERATIONS = 2
#: Iteration 0 has the epochs of base.yaml.
ITERATION_EPOCHS = 2
#: What the teacher wrote, below the folder of the runs.
RATIONALES = "rationales.jsonl"
#: What the run that samples the teacher changes.
TEACHER = ("seed=0", "generation.num_samples=6")

SINGLE = ("single_cot", "single_l2m", "single_pot")
SIKED = ("adaptive", "all")
#: What else can be iterated; each has a twin, trained on as many tokens of the teacher's rows alone.
OTHERS = ("sound", "by_problem", "best_strategy", "teacher_kl", "on_policy", "adaptive_gaps")
#: The teacher has no rationale for 30 % of the problems, by a hash of the question.
GAPS = "combined_gaps"
CONTROL = "tokens"
#: The compute-matched baseline of each.
MATCHED = tuple(f"matched_{name}" for name in SIKED)
#: The last mixture of each, trained on as its baseline is: what differs is the data alone.
DATA = tuple(f"{name}_data" for name in SIKED)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """`start` is the arm of the same size and seed that it goes on from, after `start_iteration`; None is the teacher's
    rollouts, which all arms share, or with `gaps` those of 70 % of the problems. With `matched_to`, it is given as many
    epochs as its optimizer steps need to be at least those of that arm in all iterations, over rows like those of that
    arm's `matched_iteration`."""

    name: str
    means: str
    overrides: tuple[str, ...]
    start: str | None = None
    start_iteration: int = 0
    gaps: bool = False
    matched_to: str | None = None
    matched_iteration: int = 0


def _iterated(name: str, policy: str, means: str, *more: str, start: str = "combined") -> Arm:
    overrides = (f"mixture.policy={policy}", f"iterations.max={NUM_ITERATIONS}", f"training.epochs={ITERATION_EPOCHS}")
    return Arm(name=name, means=means, overrides=(*overrides, *more), start=start, gaps=start == GAPS)


#: In the order in which they are run.
ARMS = (
    Arm(name="combined", means="the teacher's rows of all strategies: iteration 0 of SIKeD", overrides=()),
    _iterated("adaptive", "adaptive", "SIKeD: own rows, the teacher's where it has none"),
    _iterated("all", "all", "SIKeD: own rows and the teacher's"),
    *(
        Arm(
            name=f"matched_{name}",
            means=f"combined, trained at once for as many optimizer steps as {name} in all its iterations",
            overrides=(),
            matched_to=name,
        )
        for name in SIKED
    ),
    *(
        Arm(name=name, means="the teacher's rows of this strategy alone", overrides=(f"strategies=[{name[7:]}]",))
        for name in SINGLE
    ),
    _iterated("self_only", "self_only", "own rows alone after iteration 0"),
    *(
        _iterated(name, policy, means, *more, f"control={CONTROL}")
        for name, (policy, means, *more) in {
            "sound": ("adaptive", "SIKeD with sound rows alone, in each iteration", "generation.accept=sound"),
            "by_problem": ("by_problem", "own rows, the teacher's for problems that it does not solve"),
            "best_strategy": (
                "best_strategy",
                "of own rows only those of each problem's most successful strategies, as by_problem",
                "generation.keep=all",
            ),
            "teacher_kl": (
                "adaptive",
                "SIKeD, and own wrong solutions corrected by the teacher's probabilities (reverse KL)",
                "mixture.wrong=teacher_kl",
            ),
            "on_policy": (
                "adaptive",
                "on-policy distillation: own solutions, right and wrong, held to the teacher by reverse KL",
                "recipe=on_policy",
            ),
        }.items()
    ),
    Arm(name=GAPS, means="combined, with a teacher that solves 70 % of the problems", overrides=(), gaps=True),
    _iterated(
        "adaptive_gaps",
        "adaptive",
        "SIKeD, with a teacher that solves 70 % of the problems",
        f"control={CONTROL}",
        start=GAPS,
    ),
    *(
        Arm(
            name=f"{name}_data",
            means=f"the last mixture of {name}, trained from the base student at once, for as many optimizer steps as "
            f"matched_{name}",
            overrides=(f"mixture.policy={name}", f"iterations.max={NUM_ITERATIONS}", "iterations.start=base"),
            start=name,
            start_iteration=NUM_ITERATIONS - 1,
            matched_to=name,
            matched_iteration=NUM_ITERATIONS,
        )
        for name in SIKED
    ),
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run: an arm of one size and seed."""

    size: str
    seed: int
    arm: Arm

    @property
    def name(self) -> str:
        return f"{self.size}-{self.seed}-{self.arm.name}"

    def beside(self, arm: str) -> "Task":
        """The task of another arm with the same size and seed."""
        return Task(size=self.size, seed=self.seed, arm=next(one for one in ARMS if one.name == arm))

    def needs(self) -> list[str]:
        """Runs of the same size and seed that have to be finished before."""
        return [self.beside(name).name for name in (self.arm.start, self.arm.matched_to) if name]

    def overrides(self, root: Path, teacher: Path, epochs: int | None) -> list[str]:
        """What makes the base settings this task's."""
        start = root / self.beside(self.arm.start).name if self.arm.start else None
        origin = f"{start}:{self.arm.start_iteration}" if start else f"{teacher}:teacher"
        own_teacher = f"teacher={{source: dataset, path: '{root / RATIONALES}#question~30-100'}}"
        return [
            f"run_dir={root / self.name}",
            f"seed={self.seed}",
            f"student.model={SIZES[self.size]}",
            *([f"start_from={origin}"] if start or not self.arm.gaps else []),
            *([own_teacher] if self.arm.gaps else []),
            *self.arm.overrides,
            *([f"training.epochs={epochs}"] if epochs else []),
        ]
