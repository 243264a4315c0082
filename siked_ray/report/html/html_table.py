"""Tables as HTML."""

from siked_ray.report.html.markup import Markup, element
from siked_ray.report.summary_tables import Cells, SummaryTable


def rendered(table: SummaryTable) -> Markup:
    """The table, figures to the right; wide ones scroll on their own. Nothing without rows."""
    if not table.rows:
        return Markup()
    best = str(table.best)
    body = [
        element("tr", *_cells("td", row, table.num_text_columns), class_="best" if row[0] == best else None)
        for row in table.rows
    ]
    head = element("tr", *_cells("th", table.headings, table.num_text_columns))
    return element(
        "div",
        element("table", element("caption", table.title), element("thead", head), element("tbody", *body)),
        class_="scroll",
        tabindex="0",
    )


def _cells(tag: str, texts: Cells, num_text_columns: int) -> list[Markup]:
    return [element(tag, text, class_="text" if index < num_text_columns else None) for index, text in enumerate(texts)]
