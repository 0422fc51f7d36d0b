r"""Tables for papers: LaTeX with booktabs, best in bold, second underlined.

Needs only `\usepackage{booktabs}`. Intervals stand in small print beside the values.
"""

from __future__ import annotations

from toolkit.benchmark.render_text import below
from toolkit.benchmark.tables import Column, Row, Table

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
    }
)


def render_latex(tables: list[Table]) -> str:
    """All tables, each a `table*` environment, ready to be input."""
    head = "% Made by `toolkit benchmark`; needs \\usepackage{booktabs}.\n"
    return head + "\n".join(_environment(table) for table in tables)


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return " ".join(text.split()).translate(_SPECIAL)


def _environment(table: Table) -> str:
    columns = "l" + "r" * len(table.columns)
    headings = ["Model", *(column.key for column in table.columns)]
    between = "; 95 % intervals in small print" if table.has_intervals else ""
    key = f"Best in bold, second underlined; oracles are not ranked{between}"
    rules = " ".join(_sentence(escape(line)) for line in (key, *below(table)))
    lines = [
        r"\begin{table*}[t]",
        r"\centering\small",
        rf"\caption{{{escape(table.title)}. {rules}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row([escape(text) for text in headings]),
        r"\midrule",
    ]
    lines += [_measured(table, row) for row in table.measured]
    if table.improvements:
        lines.append(r"\midrule")
        lines += [_improvement(table, row) for row in table.improvements]
    if table.published:
        span = len(table.columns) + 1
        text = r"\emph{Published elsewhere, on other data: not comparable}"
        lines += [r"\midrule", rf"\multicolumn{{{span}}}{{l}}{{{text}}} \\"]
        for row in table.published:
            cells = [escape(c.show(row.values.get(c.key))) for c in table.columns]
            lines.append(f"{_row([escape(row.model), *cells])} % {_comment(row)}")
    lines += [r"\bottomrule", r"\end{tabular}"]
    sources = dict.fromkeys(row.citation for row in table.published if row.citation)
    if sources:
        text = "; ".join(escape(source) for source in sources)
        lines.append(rf"\par\smallskip\footnotesize Sources of published rows: {text}.")
    return "\n".join([*lines, r"\end{table*}", ""])


def _measured(table: Table, row: Row) -> str:
    return _row([escape(row.label), *(_cell(table, row, column) for column in table.columns)])


def _cell(table: Table, row: Row, column: Column) -> str:
    text = escape(column.show(row.values.get(column.key))) or "--"
    place = table.marks(column).get(row.model) if row.ranked else None
    if place is not None:
        text = rf"\textbf{{{text}}}" if place == 1 else rf"\underline{{{text}}}"
    interval = column.show_interval(row.intervals.get(column.key)).replace("-", "--")
    return rf"{text} {{\scriptsize {escape(interval)}}}" if interval else text


def _improvement(table: Table, row: Row) -> str:
    cells = []
    for column in table.columns:
        change = column.show_change(row.values.get(column.key))
        interval = column.show_change_interval(row.intervals.get(column.key))
        cells.append(rf"${change}$ {{\scriptsize ${interval}$}}" if interval else _math(change))
    return _row([escape(row.model), *cells])


def _math(text: str) -> str:
    return f"${text}$" if text else ""


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


def _comment(row: Row) -> str:
    return " ".join(f"{row.citation or ''} {row.note}".split())


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
