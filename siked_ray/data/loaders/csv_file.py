"""CSV and TSV files with a header line. Cells stay text, so that no answer changes by a guess at its type."""

import csv
import io

from siked_ray.data.loaders.rows import Row
from siked_ray.errors import DataError


def read_csv(content: str, shown: str) -> list[Row]:
    """Rows below the header; tabs separate the columns where the header has tabs, blank lines are skipped.

    Raises `DataError`.
    """
    header_line = next(line for line in io.StringIO(content) if line.strip())
    reader = csv.reader(io.StringIO(content, newline=""), delimiter="\t" if "\t" in header_line else ",", strict=True)
    try:
        header = [name.strip() for name in next((cells for cells in reader if not _is_blank(cells)), [])]
        return [_row(header, cells, shown, reader.line_num) for cells in reader if not _is_blank(cells)]
    except csv.Error as error:
        raise DataError(f"{shown}, line {reader.line_num}: not valid CSV ({error}). Repair the file.") from error


def _is_blank(cells: list[str]) -> bool:
    """True for a line of white space; a line with separators is a row of empty cells."""
    return not cells or (len(cells) == 1 and not cells[0].strip())


def _row(header: list[str], cells: list[str], shown: str, line: int) -> Row:
    if len(cells) != len(header):
        raise DataError(
            f"{shown}, line {line}: {len(cells)} cells where the header names {len(header)} columns. "
            "Repair the line; a cell with a comma or a line break needs quotes."
        )
    return dict(zip(header, cells, strict=True))
