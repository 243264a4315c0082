"""SVAMP: `Body`, `Question`, `Answer`, in its original JSON and in the Hub's ChilleD/SVAMP."""

from siked_ray.data.loaders import body_and_question
from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, text

DATASET = "svamp"
TEXT_COLUMNS = ("Body", "Question")


def recognises(table: SourceTable) -> bool:
    """The authors' column names, capitals included."""
    return {"Body", "Question", "Answer", "Equation", "Type"} <= set(table.columns())


def read(row: Row) -> RawProblem:
    """The Hub's `question_concat` is left aside: it joins the parts without punctuation."""
    question = body_and_question.join(text(row.get("Body")), text(row.get("Question")))
    return RawProblem(question=question, answer=row.get("Answer"))
