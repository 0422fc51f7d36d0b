"""Tables for README files and reports: Markdown, best in bold, second in italics."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.benchmark.render_text import below
from toolkit.benchmark.tables import Column, Contrast, Differences, Row, Table

_SPECIAL = str.maketrans(
    {c: f"\\{c}" for c in "\\`*_{}[]#!|~"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
)


def render_markdown(tables: list[Table], title: str) -> str:
    """A report with one section a table."""
    return "\n".join([f"# {escape(title)}", "", *(_section(table) for table in tables)])


def escape(text: str) -> str:
    """Text that Markdown shows as it is, tags and emphasis included."""
    return " ".join(text.split()).translate(_SPECIAL)


def _section(table: Table) -> str:
    headings = ["model", *(column.key for column in table.columns)]
    lines = [f"## {escape(table.title)}", "", _row([escape(text) for text in headings])]
    lines.append(_row([":--", *(["--:"] * len(table.columns))]))
    for row in (*table.measured, *table.improvements):
        cells = [_cell(table, row, column) for column in table.columns]
        lines.append(_row([escape(row.label), *cells]))
    between = "; 95 % intervals in brackets" if table.has_intervals else ""
    lines += ["", f"Best in bold, second in italics; oracles are not ranked{between}.", ""]
    lines += difference_lines(table.differences)
    lines += [f"* {escape(line)}" for line in below(table, tests=False)]
    if table.published:
        lines += ["", *_published(table)]
    return "\n".join(lines) + "\n"


def difference_lines(
    differences: Differences | None, spell: Callable[[str], str] = escape
) -> list[str]:
    """The paired tests: a row for each rival; in bold where neither interval holds 0.

    Args:
        differences: None gives no lines.
        spell: Makes text safe in a cell.
    """
    if differences is None:
        return []
    columns = differences.columns
    first = [f"{differences.model} minus", *(column.key for column in columns)]
    lines = [_row([spell(text) for text in first]), _row([":--", *(["--:"] * len(columns))])]
    for rival, tests in differences.rows.items():
        cells = [_difference(tests.get(column.key), column, spell) for column in columns]
        lines.append(_row([spell(rival), *cells]))
    return [*lines, ""]


def _difference(item: Contrast | None, column: Column, spell: Callable[[str], str]) -> str:
    if item is None:
        return ""
    first, *beneath = (spell(part) for part in item.parts(column))
    return "<br>".join([f"**{first}**" if item.is_shown else first, *beneath])


def _published(table: Table) -> list[str]:
    headings = [
        "published elsewhere",
        *(c.key for c in table.columns),
        "note",
        "source",
    ]
    lines = [_row([escape(text) for text in headings])]
    lines.append(_row([":--", *(["--:"] * len(table.columns)), ":--", ":--"]))
    for row in table.published:
        cells = [escape(column.show(row.values.get(column.key))) for column in table.columns]
        lines.append(
            _row(
                [
                    escape(row.model),
                    *cells,
                    escape(row.note),
                    escape(row.citation or ""),
                ]
            )
        )
    return [*lines, "", "Measured on other data by others: not comparable, not ranked."]


def _cell(table: Table, row: Row, column: Column) -> str:
    value, interval = row.values.get(column.key), row.intervals.get(column.key)
    if row.kind == "improvement":
        text = f"{column.show_change(value)} {column.show_change_interval(interval)}"
        return escape(text.strip())
    text = escape(column.show(value)) or "-"
    place = table.marks(column).get(row.model) if row.ranked else None
    if place is not None:
        text = f"**{text}**" if place == 1 else f"*{text}*"
    shown = column.show_interval(interval)
    return f"{text} {escape(f'[{shown}]')}" if shown else text


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
