"""Names of what lies where in a run directory."""

TEACHER_ROLLOUTS = "rollouts/teacher"
CONFIG = "config.yaml"
SUMMARY = "summary.json"
METRICS = "metrics.jsonl"
REPORT = "report.html"
#: The driver's sign of life: stages, counts and figures, written every few seconds.
PROGRESS = "progress.json"


def problems(split: str) -> str:
    """Problems of a split: train, validation, or a test set by its name."""
    return f"problems/{split}.parquet"


EXCLUDED = "problems/excluded.parquet"


def student_rollouts(iteration: int) -> str:
    """Folder of the student's samples that an iteration trains on."""
    return f"rollouts/iteration_{iteration:02d}"


def mixture(iteration: int) -> str:
    """The training rows of an iteration."""
    return f"mixtures/iteration_{iteration:02d}/part-00000.parquet"


def student(iteration: int) -> str:
    """Model directory of an iteration's student."""
    return f"students/iteration_{iteration:02d}"


def evaluation(iteration: int) -> str:
    """Metrics of an iteration's student."""
    return f"evaluations/iteration_{iteration:02d}.json"


def evaluation_rollouts(iteration: int) -> str:
    """Folder of the greedy completions behind an evaluation."""
    return f"evaluations/iteration_{iteration:02d}"


def candidate_rollouts(iteration: int, step: int) -> str:
    """Folder of the greedy completions by which a candidate of a training stage is judged."""
    return f"evaluations/iteration_{iteration:02d}_candidates/step_{step:07d}"
