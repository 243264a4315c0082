"""Names of what lies where in a run directory."""

from siked_ray.core.stage import Kind, StageId

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
#: What of training problems and prompts was found in test sets; runs of 0.1 have none.
CONTAMINATION = "problems/contamination.json"


def place_of(stage: StageId) -> str:
    """What a stage makes: a folder of rollouts, a Parquet file, a model directory, or a file of metrics."""
    if stage.kind is Kind.TESTS:  # beside what the evaluation of the same student found
        return evaluation(stage.iteration or 0)
    return _PLACES[stage.kind].format(stage.folder)


_PLACES = {
    Kind.ROLLOUTS: "rollouts/{}",
    Kind.ANSWERS: "evaluations/{}",
    Kind.SAMPLES: "samples/{}",
    Kind.TABLE: "tables/{}/part-00000.parquet",
    Kind.MIXTURE: "mixtures/{}/part-00000.parquet",
    Kind.SCORES: "scores/{}",
    Kind.READING: "readings/{}",
    Kind.TRAINING: "students/{}",
    Kind.MERGE: "students/{}",
    Kind.EVALUATION: "evaluations/{}.json",
}


def student_rollouts(iteration: int) -> str:
    """Folder of the student's samples that an iteration trains on."""
    return place_of(StageId.of_iteration(Kind.ROLLOUTS, iteration))


def mixture(iteration: int) -> str:
    """The training rows of an iteration."""
    return place_of(StageId.of_iteration(Kind.MIXTURE, iteration))


def student(iteration: int) -> str:
    """Model directory of an iteration's student."""
    return place_of(StageId.of_iteration(Kind.TRAINING, iteration))


def evaluation(iteration: int) -> str:
    """Metrics of an iteration's student."""
    return place_of(StageId.of_iteration(Kind.EVALUATION, iteration))


def evaluation_rollouts(iteration: int) -> str:
    """Folder of the greedy completions behind an evaluation."""
    return place_of(StageId.of_iteration(Kind.ANSWERS, iteration))


def test_rollouts(iteration: int) -> str:
    """Folder of the greedy completions on test sets that waited for the end."""
    return place_of(StageId.of_tests(iteration))


def candidate_rollouts(training: StageId, step: int) -> str:
    """Folder of the greedy completions by which a candidate of a training stage is judged."""
    return f"evaluations/{training.folder}_candidates/step_{step:07d}"
