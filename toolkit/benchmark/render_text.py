"""Tables for the terminal: aligned columns, intervals beneath the values.

Best is marked `**`, second `*`. A table that is wider than the terminal is printed in
blocks of columns, the model's label repeated. Only ASCII marks are used, so that the output
survives any locale.
"""

from __future__ import annotations

import textwrap

from toolkit.benchmark.tables import Column, Contrast, Row, Table

_MARKS = {1: "**", 2: "*"}
Cell = tuple[str, str]  # value, and the interval beneath it


def render_text(tables: list[Table], width: int = 100) -> str:
    """All tables as text, at most `width` columns wide where the labels allow it."""
    return "\n\n".join(render_table(table, width) for table in tables) + "\n"


def render_table(table: Table, width: int = 100) -> str:
    """One table: measured rows, improvements, seeds, published rows, rules."""
    lines = [table.title, "=" * len(table.title)]
    for columns in _blocks(table, width):
        lines += _block(table, columns)
    lines += [f"  {line}" for line in _below(table)]
    if table.published:
        lines += ["", "Published elsewhere, on other data: not comparable, not ranked"]
        lines += _published(table)
    return "\n".join(line.rstrip() for line in lines)


def _blocks(table: Table, width: int) -> list[tuple[Column, ...]]:
    """Columns split into groups that fit beside the labels."""
    label = max(len(row.label) for row in (*table.measured, *table.improvements))
    groups: list[list[Column]] = [[]]
    used = label
    for column in table.columns:
        wide = 2 + _width(table, column)
        if groups[-1] and used + wide > width:
            groups.append([])
            used = label
        groups[-1].append(column)
        used += wide
    return [tuple(group) for group in groups]


def _block(table: Table, columns: tuple[Column, ...]) -> list[str]:
    rows = (*table.measured, *table.improvements)
    widths = [_width(table, column) for column in columns]
    label = max([len(row.label) for row in rows] + [len("model")])
    headings = [_heading(column) for column in columns]
    height = max(len(heading) for heading in headings)
    padded = [[""] * (height - len(heading)) + heading for heading in headings]
    out = []
    for number in range(height):
        name = "model" if number == height - 1 else ""
        out.append(_line(name, [heading[number] for heading in padded], widths, label))
    ruler = "-" * (label + sum(widths) + 2 * len(widths))
    out.append(ruler)
    cells = [_cells(table, column) for column in columns]
    for index, row in enumerate(rows):
        values = [column[index][0] for column in cells]
        if row.kind == "improvement":
            if not any(values):
                continue
            out.append(ruler)
        out.append(_line(row.label, values, widths, label))
        intervals = [column[index][1] for column in cells]
        if any(intervals):
            out.append(_line("", intervals, widths, label))
    return [*out, ""]


def _heading(column: Column) -> list[str]:
    """A long heading in several lines, one or two words each."""
    return textwrap.wrap(column.key, 11, break_long_words=False) or [""]


def _width(table: Table, column: Column) -> int:
    lines = [*_heading(column), *(text for cell in _cells(table, column) for text in cell)]
    return max(len(text) for text in lines)


def _cells(table: Table, column: Column) -> list[Cell]:
    """One cell a measured row and improvement row."""
    marks = table.marks(column)
    cells: list[Cell] = []
    for row in table.measured:
        mark = _MARKS.get(marks.get(row.model, 0), "") if row.ranked else ""
        text = column.show(row.values.get(column.key)) or "-"
        cells.append((f"{mark}{text}", column.show_interval(row.intervals.get(column.key))))
    for row in table.improvements:
        change = column.show_change(row.values.get(column.key))
        between = column.show_change_interval(row.intervals.get(column.key))
        cells.append((change, between.strip("[]").replace(", ", "..")))
    return cells


def _published(table: Table) -> list[str]:
    columns = [
        c
        for c in table.columns
        if any(r.values.get(c.key) is not None for r in table.published)
    ]
    label = max(len(row.model) for row in table.published)
    widths = [max(len(column.key), 6) for column in columns]
    names = [column.key for column in columns]
    citations = list(dict.fromkeys(row.citation or "" for row in table.published))
    out = [_line("model", names, widths, label)] if columns else []
    for row in table.published:
        texts = [column.show(row.values.get(column.key)) for column in columns]
        source = f"  [{citations.index(row.citation or '') + 1}] {row.note}"
        out.append(_line(row.model, texts, widths, label) + source.rstrip())
    return out + [f"  [{n}] {text}" for n, text in enumerate(citations, start=1)]


def below(table: Table, *, tests: bool = True) -> list[str]:
    """The lines under a table: warnings, rivals, tests, notes, rules.

    Args:
        table: Of any renderer.
        tests: Whether the paired tests are among them; else they stand in a table of their own.
    """
    lines = list(table.warnings)
    for row in table.improvements:
        lines.append(f"{row.model}: {row.note or 'against the best rival'}: {_rivals(row)}")
    lines += (paired_lines(table) if tests else []) + stated_lines(table)
    notes: dict[str, list[str]] = {}
    for row in table.measured:
        if row.note:
            notes.setdefault(row.note, []).append(row.model)
    lines += [f"{', '.join(models)}: {note}" for note, models in notes.items()]
    return [*lines, *table.rules]


def paired_lines(table: Table) -> list[str]:
    """The paired tests of one row against the others, in one line a column."""
    lines: dict[str, list[str]] = {}
    for item in table.contrasts:
        if item.stated is None:
            lead = f"paired test, {item.column}, {item.model} minus"
            lines.setdefault(lead, []).append(f"{item.minus} {_in_line(table, item)}")
    return [f"{lead}: {'; '.join(parts)}" for lead, parts in lines.items()]


def stated_lines(table: Table) -> list[str]:
    """What a paper states, and the same of our rows."""
    return [
        f"the paper states {100 * (item.stated_difference or 0.0):+.2f} points for "
        f"{item.stated}; here, {item.column}, {item.model} minus {item.minus}: "
        f"{_in_line(table, item)}"
        for item in table.contrasts
        if item.stated is not None
    ]


def _in_line(table: Table, item: Contrast) -> str:
    column = next(c for c in table.columns if c.key == item.column)
    return ", ".join(item.parts(column))


def _rivals(row: Row) -> str:
    """The best rival of each column, columns with one rival together."""
    columns: dict[str, list[str]] = {}
    for key, rival in row.rivals.items():
        columns.setdefault(rival, []).append(key)
    if len(columns) == 1:
        return f"{next(iter(columns))} in every column"
    return "; ".join(f"{rival} in {', '.join(keys)}" for rival, keys in columns.items())


def _below(table: Table) -> list[str]:
    between = "; 95 % intervals beneath the values" if table.has_intervals else ""
    return [f"** best, * second; oracles are not ranked{between}", *below(table)]


def _line(label: str, texts: list[str], widths: list[int], label_width: int) -> str:
    cells = [text.rjust(width) for text, width in zip(texts, widths, strict=True)]
    return "  ".join([label.ljust(label_width), *cells])
