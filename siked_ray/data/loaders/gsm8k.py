"""GSM8K, plain and socratic: `question`, and `answer` = a solution that ends in the line `#### 72`."""

from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, text

DATASET = "gsm8k"
TEXT_COLUMNS = ("question",)
MARKER = "####"


def recognises(table: SourceTable) -> bool:
    """Exactly these two columns, and the marker in most answers."""
    marked = sum(MARKER in text(row.get("answer")) for row in table.rows)
    return set(table.columns()) == {"question", "answer"} and 2 * marked > len(table.rows)


def read(row: Row) -> RawProblem:
    """The whole solution stands for its final answer: golds are read after the marker."""
    return RawProblem(question=text(row.get("question")), answer=row.get("answer"))
