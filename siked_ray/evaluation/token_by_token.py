"""Teacher and student at the tokens of held-out solutions: what both have said of them, put side by side."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from siked_ray.core.objective import TEACHER_COLUMNS
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.payload import TopK
from siked_ray.data.storage import Storage
from siked_ray.data.teacher_columns import OWN_IDS, TEACHER_END
from siked_ray.errors import DataError
from siked_ray.evaluation.divergence import Parting, Solution, summed
from siked_ray.recipes.verbs import Reading
from siked_ray.training.feed.scores_by_id import ScoresById

#: Characters of a solution that are shown before and after the place where the models part.
_SHOWN = 240


def token_by_token(storage: Storage, reading: Reading, answers: str) -> dict[str, Any]:
    """{"by_strategy": figures, "partings": examples}, of the solutions in the folder `answers` that both have read."""
    by_strategy, partings = summed(_solutions(storage, reading, answers))
    return {"by_strategy": by_strategy, "partings": _shown(partings, reading.student.weights)}


def _solutions(storage: Storage, reading: Reading, answers: str) -> Iterator[Solution]:
    files = {
        reader: storage.files(scores.folder, ".parquet")
        for reader, scores in (("teacher", reading.by_teacher), ("student", reading.by_student))
    }
    if not all(files.values()):
        return
    rows = {one["request_id"]: one for one in storage.read_parquet(reading.rows.file).to_pylist()}
    verdicts = storage.read_parquet(storage.files(answers, ".parquet"), ["request_id", "verdict"])
    correct = {one["request_id"] for one in verdicts.to_pylist() if one["verdict"] == Verdict.CORRECT}
    problems = storage.read_parquet(names.problems(reading.rows.problem_set)).to_pylist()
    asked = {one["problem_id"]: one for one in problems}
    own = storage.read_parquet(files["student"])
    end = int(own.schema.metadata[TEACHER_END.encode()])
    by_teacher = ScoresById(storage, files["teacher"], student_end=end)
    for one in own.to_pylist():
        said = by_teacher.columns([one["request_id"]])
        teacher = _top_k(*(said[name][0].as_py() for name in TEACHER_COLUMNS))
        student = _top_k(*(one[name] for name in TEACHER_COLUMNS))
        if teacher is None or student is None or len(teacher) != len(student):
            continue
        both = np.flatnonzero(teacher.is_known_R & student.is_known_R)
        if len(both):
            row = rows[one["request_id"]]
            yield Solution(
                question=asked[row["problem_id"]]["question"],
                answer=asked[row["problem_id"]]["answer"],
                strategy=row["strategy"],
                correct=one["request_id"] in correct,
                token_ids_R=np.array(one[OWN_IDS])[both],
                teacher=teacher.take(both),
                student=student.take(both),
            )


def _top_k(ids: list[int] | None, log_probs: list[float] | None, log_tail: list[float] | None) -> TopK | None:
    if ids is None or log_probs is None or log_tail is None:
        return None
    return TopK.from_flat(
        np.array(ids, dtype=np.int32), np.array(log_probs, dtype=np.float16), np.array(log_tail, dtype=np.float16)
    )


def _shown(partings: list[Parting], student: str) -> list[dict[str, Any]]:
    """As texts; none where the student's tokenizer is no `tokenizer.json`."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(Storage(student).read_text("tokenizer.json"))
    except DataError:
        return []

    def text(ids: Any) -> str:
        return str(tokenizer.decode([int(one) for one in ids], skip_special_tokens=False))

    return [
        {
            "question": one.solution.question,
            "answer": one.solution.answer,
            "strategy": one.solution.strategy,
            "before": text(one.solution.token_ids_R[: one.place])[-_SHOWN:],
            "student": text(one.solution.token_ids_R[one.place : one.place + 1]),
            "after": text(one.solution.token_ids_R[one.place + 1 :])[:_SHOWN],
            "teacher": [{"token": text([token]), "probability": probability} for token, probability in one.likely],
            "divergence": one.divergence,
        }
        for one in partings
    ]
