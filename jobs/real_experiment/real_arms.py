"""The arms of the real experiment: which files they learn from, what each changes, and whose stages it takes over."""

from dataclasses import dataclass
from pathlib import Path

SEEDS = (1, 2, 3)
#: The second one only with the first seed: a weak teacher is where own rows should help most.
TEACHERS = {"gpt-4": SEEDS, "code-davinci-002": SEEDS[:1]}
STRATEGIES = ("cot", "l2m", "pot")
NUM_ITERATIONS = 2
#: What is tested on; all but the last together are the headline.
TESTS = ("svamp", "multiarith", "asdiv")
TRANSFER = "gsm8k"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What an arm changes. `takes` is the arm whose stages it takes over where they are made from the same: the first
    iteration of all of them has the same student, so that its samples serve all."""

    name: str
    means: str
    overrides: tuple[str, ...]
    takes: str | None = None
    decides: bool = False


def _iterated(name: str, means: str, *overrides: str, takes: str | None = "adaptive", decides: bool = False) -> Arm:
    loop = (f"iterations.max={NUM_ITERATIONS}",)
    return Arm(name=name, means=means, overrides=(*loop, *overrides), takes=takes, decides=decides)


#: In the order in which they are run.
ARMS = (
    Arm(name="combined", means="the teacher's rows of all strategies: iteration 0", overrides=(), decides=True),
    _iterated("adaptive", "SIKeD", "control=matched", takes="combined", decides=True),
    _iterated("all", "SIKeD with all rows of both", "mixture.policy=all", "control=matched", decides=True),
    _iterated(
        "by_problem",
        "the teacher's rows only for problems that the student does not solve",
        "mixture.policy=by_problem",
        "control=matched",
        decides=True,
    ),
    _iterated("sound", "adaptive with sound rows alone from iteration 1 on", "generation.accept=sound"),
    _iterated("self_only", "own rows alone after iteration 0", "mixture.policy=self_only"),
    _iterated(
        "best_strategy",
        "of own rows only those of each problem's most successful strategies",
        "mixture.policy=best_strategy",
        "generation.keep=all",
        takes="combined",
    ),
    *(
        Arm(name=f"single_{one}", means="the teacher's rows of this strategy alone", overrides=(f"strategies=[{one}]",))
        for one in STRATEGIES
    ),
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run: an arm with a teacher and a seed. `data` has the files, `student` the weights."""

    teacher: str
    seed: int
    arm: Arm
    data: Path
    student: str

    @property
    def name(self) -> str:
        return f"{self.teacher}-{self.seed}-{self.arm.name}"

    def needs(self) -> list[str]:
        """The run whose stages it takes over."""
        return [f"{self.teacher}-{self.seed}-{self.arm.takes}"] if self.arm.takes else []

    def overrides(self, root: Path) -> list[str]:
        """What makes the base settings this task's."""
        svamp, multiarith, asdiv = (f"{self.data}/teachers/{name}.{self.teacher}.jsonl" for name in TESTS)
        train = (f"{svamp}#split=train&question~0-50", f"{multiarith}#split=train", f"{asdiv}#question~0-15")
        tests = (f"{svamp}#split=test", f"{multiarith}#split=test", f"{asdiv}#question~70-100")
        transfer = f"{self.data}/gsm8k_test.jsonl#question~0-20"
        return [
            f"run_dir={root / self.name}",
            f"seed={self.seed}",
            f"student.model={self.student}",
            f"data.train=[{', '.join(train)}]",
            f"data.test=[{', '.join((*tests, transfer))}]",
            f"teacher.path=[{svamp}, {multiarith}, {asdiv}]",
            *self.arm.overrides,
            *(f"start_from={root / name}" for name in self.needs()),
        ]


def tasks(data: Path, student: str) -> list[Task]:
    """All runs: the first teacher's deciding arms first, seed by seed."""
    found = [
        Task(teacher=teacher, seed=seed, arm=arm, data=data, student=student)
        for teacher, seeds in TEACHERS.items()
        for seed in seeds
        for arm in ARMS
        if arm.decides or seed == SEEDS[0]
    ]
    return sorted(found, key=lambda task: (list(TEACHERS).index(task.teacher), not task.arm.decides, task.seed))
