"""Tables for the terminal: aligned columns, intervals beneath the values.

Best is marked `**`, second `*`. A table that is wider than the terminal is printed in
blocks of columns, the model's label repeated. Only ASCII marks are used, so that the output
survives any locale.
"""

from __future__ import annotations

from toolkit.benchmark.tables import Column, Row, Table

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
    label = max((len(_label(row)) for row in table.rows), default=0)
    groups: list[list[Column]] = [[]]
    used = label
    for column in table.columns:
        wide = 2 + max(len(line) for cell in _cells(table, column) for line in cell)
        if groups[-1] and used + wide > width:
            groups.append([])
            used = label
        groups[-1].append(column)
        used += wide
    return [tuple(group) for group in groups]


def _block(table: Table, columns: tuple[Column, ...]) -> list[str]:
    rows = (*table.measured, *table.improvements)
    cells = {column.key: _cells(table, column) for column in columns}
    widths = {
        key: max(len(line) for cell in column for line in cell) for key, column in cells.items()
    }
    label = max([len(_label(row)) for row in rows] + [len("model")])
    out = [_line("model", [cells[c.key][0][0].rjust(widths[c.key]) for c in columns], label)]
    out.append("-" * len(out[0]))
    for index, row in enumerate(rows, start=1):
        if row.kind == "improvement":
            out.append("-" * len(out[0]))
        for part in (0, 1):
            texts = [cells[c.key][index][part].rjust(widths[c.key]) for c in columns]
            if part == 0 or any(text.strip() for text in texts):
                out.append(_line(_label(row) if part == 0 else "", texts, label))
    out.append("")
    return out


def _cells(table: Table, column: Column) -> list[Cell]:
    """The heading, then one cell a measured row and improvement row."""
    marks = table.marks(column)
    cells: list[Cell] = [(column.key, "")]
    for row in table.measured:
        mark = _MARKS.get(marks.get(row.model, 0), "") if row.ranked else ""
        text = column.show(row.values.get(column.key)) or "-"
        cells.append((f"{mark}{text}", column.show_interval(row.intervals.get(column.key))))
    for row in table.improvements:
        change = column.show_change(row.values.get(column.key))
        cells.append((change, column.show_change_interval(row.intervals.get(column.key))))
    return cells


def _published(table: Table) -> list[str]:
    columns = [
        c
        for c in table.columns
        if any(r.values.get(c.key) is not None for r in table.published)
    ]
    label = max(len(row.model) for row in table.published)
    widths = [max(len(column.key), 6) for column in columns]
    names = [column.key.rjust(wide) for column, wide in zip(columns, widths, strict=True)]
    citations = list(dict.fromkeys(row.citation or "" for row in table.published))
    out = [_line("model", names, label)] if columns else []
    for row in table.published:
        texts = [
            column.show(row.values.get(column.key)).rjust(wide)
            for column, wide in zip(columns, widths, strict=True)
        ]
        source = f"[{citations.index(row.citation or '') + 1}]"
        out.append(_line(row.model, [*texts, f"{source} {row.note}".rstrip()], label))
    return out + [f"  [{n}] {text}" for n, text in enumerate(citations, start=1)]


def below(table: Table) -> list[str]:
    """The lines under a table: rivals, tests, seeds, notes, rules; shared by renderers."""
    lines = []
    for row in table.improvements:
        named = ", ".join(f"{key}: {rival}" for key, rival in row.rivals.items())
        lines.append(f"{row.model} is against the best rival of each column ({named})")
    lines += table.tests
    for item in table.seeds:
        column = next(c for c in table.columns if c.key == item.column)
        values = ", ".join(
            f"seed {seed} {column.show(value)}" for seed, value in item.seeds.items()
        )
        shipped = column.show(item.shipped)
        lines.append(f"{item.model}, {item.column}: shipped {shipped}; training {values}")
    notes: dict[str, list[str]] = {}
    for row in table.measured:
        if row.note:
            notes.setdefault(row.note, []).append(row.model)
    lines += [f"{', '.join(models)}: {note}" for note, models in notes.items()]
    return [*lines, *table.rules]


def _below(table: Table) -> list[str]:
    marks = "** best, * second; oracles are not ranked; 95 % intervals beneath the values"
    return [marks, *below(table)]


def _label(row: Row) -> str:
    return f"{row.model} (oracle)" if row.kind == "oracle" else row.model


def _line(label: str, texts: list[str], width: int) -> str:
    return "  ".join([label.ljust(width), *texts])
