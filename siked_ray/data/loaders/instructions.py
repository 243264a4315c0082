"""Instruction data: Alpaca (`instruction`, `input`, `output`), MetaMathQA (`query`, `response`), NuminaMath and MATH
(`problem`, `solution`, and `answer` where there is one)."""

from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, text

DATASET = None
TEXT_COLUMNS = ("instruction", "input", "query", "problem")
_PAIRS = (("instruction", "output"), ("query", "response"), ("problem", "solution"))


def recognises(table: SourceTable) -> bool:
    """One of the pairs of columns and no `question`; Alpaca's `input` alone is no question."""
    names = set(table.columns())
    return "question" not in names and any(names >= set(pair) for pair in _PAIRS)


def read(row: Row) -> RawProblem:
    """The instruction with its input; the answer column before the solution that ends in it."""
    question, solution = next(pair for pair in _PAIRS if set(pair) <= row.keys() or pair[0] in row)
    parts = [text(row.get(question)), text(row.get("input")) if question == "instruction" else ""]
    answer = row.get(solution) if question != "problem" or _is_empty(row.get("answer")) else row["answer"]
    return RawProblem(question="\n\n".join(filter(None, parts)), answer=answer)


def _is_empty(value: object) -> bool:
    return value is None or value == ""
