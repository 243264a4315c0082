"""MultiArith: the original JSON (`sQuestion`, `lSolutions`), and ChilleD/MultiArith (`question`, `final_ans`)."""

from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, text

DATASET = "multiarith"
TEXT_COLUMNS = ("sQuestion", "question")


def recognises(table: SourceTable) -> bool:
    """Either pair of column names."""
    columns = set(table.columns())
    return {"sQuestion", "lSolutions"} <= columns or columns == {"question", "final_ans"}


def read(row: Row) -> RawProblem:
    """The one solution of the problem."""
    if "sQuestion" in row:
        return RawProblem(question=text(row["sQuestion"]), answer=row.get("lSolutions"))
    return RawProblem(question=text(row.get("question")), answer=row.get("final_ans"))
