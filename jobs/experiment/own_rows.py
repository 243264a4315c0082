"""What the student's own rows are made of, in the last mixtures of finished runs: the evidence for the page's "why".

The world is procedural, so that every (problem, strategy) has one rationale that is known to be sound. A correct answer
with another text may be luck.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from siked_ray.core.ids import problem_id
from siked_ray.world.word_problems import DATASET, world_problems

_COLUMNS = ["problem_id", "strategy", "source", "response"]

#: (problem_id, strategy) → text
Texts = Mapping[tuple[str, str], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnRows:
    """Shares of the student's rows in a mixture: the teacher solved it too, in the same words; the words are the
    world's sound rationale. The last one is the share of sound ones among all that was kept of the teacher."""

    solved_by_teacher: float
    teachers_words: float
    sound: float
    teachers_sound: float


def own_rows(run: Path, teacher: Path, iteration: int) -> OwnRows | None:
    """Of one iteration's mixture; None where it has no rows of the student, or nothing was kept of the teacher."""
    mixture = _rows(run / "mixtures" / f"iteration_{iteration:02d}", _COLUMNS)
    own = {_key(row): _text(row) for row in mixture if row["source"] == "student"}
    teachers = _kept(teacher)
    if not own or not teachers:
        return None
    return OwnRows(
        solved_by_teacher=sum(key in teachers for key in own) / len(own),
        teachers_words=sum(teachers.get(key) == text for key, text in own.items()) / len(own),
        sound=_sound(own),
        teachers_sound=_sound(teachers),
    )


def _kept(teacher: Path) -> Texts:
    """The teacher's first correct rationales."""
    columns = ["problem_id", "requested", "sample_index", "completion", "verdict"]
    rows = [row for row in _rows(teacher / "rollouts" / "teacher", columns) if row["verdict"] == "correct"]
    rows.sort(key=lambda row: row["sample_index"], reverse=True)
    return {(row["problem_id"], row["requested"]): _words(row["completion"]) for row in rows}


def _sound(texts: Texts) -> float:
    sound = _sound_texts()
    return sum(sound.get(key) == text for key, text in texts.items()) / len(texts)


@cache
def _sound_texts() -> Texts:
    return {
        (problem_id(DATASET, problem.question), strategy): _words(text)
        for problem in world_problems("world:train")
        for strategy, text in problem.rationales.items()
    }


def _rows(folder: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for part in sorted(folder.glob("*.parquet")):
        table: pa.Table = pq.read_table(part, columns=list(columns))
        yield from table.to_pylist()


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["problem_id"], row["strategy"]


def _text(row: Mapping[str, Any]) -> str:
    return _words(row["response"].partition("]:")[2])


def _words(text: str) -> str:
    return " ".join(text.split())
