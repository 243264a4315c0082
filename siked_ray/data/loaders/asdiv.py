"""ASDiv: the original XML, and the Hub's EleutherAI/asdiv."""

import xml.etree.ElementTree as ElementTree

from siked_ray.data.loaders import body_and_question
from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, text
from siked_ray.errors import DataError

DATASET = "asdiv"
TEXT_COLUMNS = ("body", "question")
_COLUMNS = ("body", "question", "answer", "formula")


def read_xml(content: bytes, shown: str) -> list[Row]:
    """Rows with the Hub's column names from `<Problem>` elements. Raises `DataError` for any other XML."""
    try:
        problems = list(ElementTree.fromstring(content).iter("Problem"))
    except ElementTree.ParseError as error:
        raise DataError(f"{shown}: not valid XML ({error}). Repair the file or fetch it again.") from error
    if not problems:
        raise DataError(f"{shown}: XML without <Problem> elements; only ASDiv.xml is read as XML.")
    return [
        {
            **{name: problem.findtext(name.capitalize()) for name in _COLUMNS},
            "solution_type": problem.findtext("Solution-Type"),
            "grade": problem.get("Grade"),
        }
        for problem in problems
    ]


def recognises(table: SourceTable) -> bool:
    """The Hub's column names; the formula tells it from other data with a body."""
    return set(_COLUMNS) <= set(table.columns())


def read(row: Row) -> RawProblem:
    """The formula is never used: it is no substitute for an answer that is not a number."""
    question = body_and_question.join(text(row.get("body")), text(row.get("question")))
    return RawProblem(question=question, answer=row.get("answer"))
