"""MathQA: `Problem`, `options` and the letter of the right one, `linear_formula` with the operators that lead there."""

import re

from siked_ray.data.loaders.rows import RawProblem, Row, SourceTable, text

DATASET = "mathqa"
TEXT_COLUMNS = ("Problem", "options")
FORMULA = "linear_formula"
_OPTION = re.compile(r"([a-e])\s*\)\s*(.*?)\s*(?=,\s*[a-e]\s*\)|$)")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+")
_OPERAND = re.compile(r"\bn(\d+)\b|\bconst_(\d+)(?:_(\d+))?\b")


def recognises(table: SourceTable) -> bool:
    """The authors' column names, capitals included."""
    return {"Problem", "options", "correct", FORMULA} <= set(table.columns())


def read(row: Row) -> RawProblem:
    """The right option's text as it is; one that is no number is no gold."""
    options = dict(_OPTION.findall(text(row.get("options")).strip("[]'\"")))
    return RawProblem(question=text(row.get("Problem")), answer=options.get(text(row.get("correct"))))


def operators(question: str, formula: str) -> str:
    """`divide(n0,n1)|add(#0,const_100)|` with the numbers that it means: `divide(6, 3) | add(#0, 100)`. A number that
    the question does not have stays a name."""
    numbers = _NUMBER.findall(question)

    def number(match: re.Match[str]) -> str:
        place, whole, decimals = match.groups()
        if place is None:
            return f"{whole}.{decimals}" if decimals else whole
        return numbers[int(place)].replace(",", "") if int(place) < len(numbers) else match.group()

    steps = [step.strip() for step in formula.strip().strip("|").split("|")]
    return " | ".join(re.sub(r"\s*,\s*", ", ", _OPERAND.sub(number, step)) for step in steps)
