"""The report as one self-contained HTML page: tables, a chart, and instances side by side.

No script, nothing fetched, every text from outside escaped; pictures are base64 inside the
page. The chart shows the headline column with its intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.benchmark.page_style import STYLE
from toolkit.benchmark.render_text import below
from toolkit.benchmark.tables import Column, Contrast, Row, Table
from toolkit.page import data_uri, escape, html_page


@dataclass(frozen=True)
class Panel:
    """One picture of an instance.

    Attributes:
        label: Whose pose it shows.
        caption: What to know about it, such as its error.
        jpeg: The picture.
    """

    label: str
    caption: str
    jpeg: bytes


@dataclass(frozen=True)
class Exhibit:
    """One instance: ground truth first, then each model's prediction.

    Attributes:
        title: Which instance it is.
        panels: At least the ground truth.
    """

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Gallery:
    """The instances that belong to one table."""

    title: str
    legend: bytes
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True)
class Figure:
    """A chart with what it shows.

    Attributes:
        name: Of its file.
        title: Above it.
        note: What a reader must know: data, rules, how many.
        svg: See `toolkit.charts`.
    """

    name: str
    title: str
    note: str
    svg: str


def render_html(
    tables: list[Table],
    galleries: list[Gallery],
    environment: Mapping[str, object],
    title: str,
    figures: Sequence[Figure] = (),
) -> str:
    """The whole page."""
    links = "".join(
        f'<a href="#{escape(table.name)}">{escape(table.title.split(":")[0])}</a>'
        for table in tables
    )
    if figures:
        links += '<a href="#figures">Figures</a>'
    if galleries:
        links += '<a href="#instances">Instances</a>'
    body = "\n".join(_section(table) for table in tables)
    shown = "\n".join(_gallery(gallery) for gallery in galleries)
    if shown:
        shown = f'<div id="instances">{shown}</div>'
    if figures:
        drawn = "".join(_figure(figure) for figure in figures)
        shown = f'<section id="figures"><h2>Figures</h2>{drawn}</section>{shown}'
    facts = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in environment.items()
    )
    content = (
        f"<header><h1>{escape(title)}</h1><nav>{links}</nav></header><main>{body}\n{shown}"
        f'<section class="environment"><h2>Environment</h2><dl>{facts}</dl></section></main>'
    )
    return html_page(title, content, style=STYLE)


def _figure(figure: Figure) -> str:
    return (
        f'<h3>{escape(figure.title)}</h3><figure class="chart">{figure.svg}'
        f"<figcaption>{escape(figure.note)}</figcaption></figure>"
    )


def _section(table: Table) -> str:
    heading, _, rest = table.title.partition(":")
    lead = f'<p class="lead">{escape(rest.strip())}</p>' if rest else ""
    rules = "".join(f"<li>{escape(line)}</li>" for line in below(table, tests=False))
    between = "95 % intervals beneath the values; " if table.has_intervals else ""
    return (
        f'<section id="{escape(table.name)}"><h2>{escape(heading)}</h2>{lead}'
        f"{_chart(table)}{_measured(table)}"
        '<p class="key"><b class="best">best</b> <b class="second">second</b> '
        f"{between}oracles see the answer and are not ranked</p>"
        f"{_differences(table)}"
        f'<details open class="rules"><summary>Rules</summary><ul>{rules}</ul>'
        f"</details>{_published(table)}</section>"
    )


def _measured(table: Table) -> str:
    head = "".join(
        f'<th title="{escape(column.note)}">{escape(column.key)}</th>'
        for column in table.columns
    )
    rows = "".join(_row(table, row) for row in table.measured)
    gains = "".join(_improvement(table, row) for row in table.improvements)
    return (
        f'<div class="wide"><table><thead><tr><th>model</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody><tfoot>{gains}</tfoot></table></div>"
    )


def _differences(table: Table) -> str:
    """The paired tests: a row for each rival; marked where neither interval holds 0."""
    found = table.differences
    if found is None:
        return ""
    head = "".join(f"<th>{escape(column.key)}</th>" for column in found.columns)
    rows = "".join(
        f"<tr><th>{escape(rival)}</th>"
        + "".join(_difference(tests.get(column.key), column) for column in found.columns)
        + "</tr>"
        for rival, tests in found.rows.items()
    )
    return (
        '<details open class="tests"><summary>Paired tests, in points; bold where neither the '
        "interval over people nor the one over training seeds holds 0</summary>"
        '<div class="wide"><table><thead><tr>'
        f"<th>{escape(found.model)} minus</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _difference(item: Contrast | None, column: Column) -> str:
    if item is None:
        return "<td></td>"
    first, *beneath = item.parts(column)
    value, _, between = first.partition(" ")
    small = "".join(f"<small>{escape(part)}</small>" for part in (between, *beneath) if part)
    shown = f"<b>{escape(value)}</b>" if item.is_shown else escape(value)
    return f"<td>{shown}{small}</td>"


def _row(table: Table, row: Row) -> str:
    cells = []
    for column in table.columns:
        place = table.marks(column).get(row.model) if row.ranked else None
        style = {1: ' class="best"', 2: ' class="second"'}.get(place or 0, "")
        text = column.show(row.values.get(column.key)) or "\N{EN DASH}"
        interval = column.show_interval(row.intervals.get(column.key))
        small = f"<small>{escape(_dash(interval))}</small>" if interval else ""
        cells.append(f"<td{style}>{escape(text)}{small}</td>")
    why = "given the truth" if row.given_truth else row.kind
    tag = f"<em>{escape(why)}</em>" if row.kind in ("oracle", "control") else ""
    return (
        f'<tr class="{escape(row.kind)}"><th title="{escape(row.note)}">'
        f"{escape(row.model)}{tag}</th>{''.join(cells)}</tr>"
    )


def _dash(interval: str) -> str:
    return interval.replace("-", "\N{EN DASH}")


def _improvement(table: Table, row: Row) -> str:
    cells = []
    for column in table.columns:
        change = column.show_change(row.values.get(column.key))
        interval = column.show_change_interval(row.intervals.get(column.key))
        small = f"<small>{escape(interval)}</small>" if interval else ""
        rival = row.rivals.get(column.key, "")
        hint = f' title="against {escape(rival)}"' if rival else ""
        cells.append(f"<td{hint}>{escape(change)}{small}</td>")
    return f"<tr><th>{escape(row.model)}</th>{''.join(cells)}</tr>"


def _published(table: Table) -> str:
    if not table.published:
        return ""
    columns = [
        c
        for c in table.columns
        if any(r.values.get(c.key) is not None for r in table.published)
    ]
    head = "".join(f"<th>{escape(column.key)}</th>" for column in columns)
    rows = "".join(
        f"<tr><th>{escape(row.model)}</th>"
        + "".join(f"<td>{escape(c.show(row.values.get(c.key)))}</td>" for c in columns)
        + f'<td class="text">{escape(row.note)}</td>'
        f'<td class="text">{escape(row.citation or "")}</td></tr>'
        for row in table.published
    )
    return (
        "<details><summary>Published elsewhere, on other data: not comparable, not ranked"
        f'</summary><div class="wide"><table><thead><tr><th>model</th>{head}'
        '<th class="text">note</th><th class="text">source</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _chart(table: Table) -> str:
    """A dot and its interval for each measured row, in the headline column."""
    column = next((c for c in table.columns if c.note.startswith("headline")), None)
    if column is None:
        return ""
    rows = [row for row in table.measured if _number(row, column) is not None]
    if not rows:
        return ""
    highs = [(row.intervals.get(column.key) or (0.0, 0.0))[1] for row in rows]
    top = max([*highs, *(_number(row, column) or 0.0 for row in rows), 0.01])
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if s * 6 >= top or s == 0.25)
    ticks = [step * n for n in range(int(top / step + 0.999) + 1)]
    left, plot, line = 230, 560, 26
    height = line * len(rows) + 30

    def at(value: float) -> float:
        return left + plot * value / ticks[-1]

    parts = [
        f'<line x1="{at(t):.1f}" x2="{at(t):.1f}" y1="4" y2="{height - 24}" class="grid"/>'
        f'<text x="{at(t):.1f}" y="{height - 8}" class="tick">{column.show(t)}</text>'
        for t in ticks
    ]
    parts += [_dot(row, column, line * n + 18, at) for n, row in enumerate(rows)]
    return (
        f'<figure class="chart"><figcaption>{escape(column.key)}, per cent</figcaption>'
        f'<svg viewBox="0 0 {left + plot + 30} {height}" role="img" '
        f'aria-label="{escape(column.key)}">{"".join(parts)}</svg></figure>'
    )


def _dot(row: Row, column: Column, y: int, at: object) -> str:
    assert callable(at)
    value = _number(row, column) or 0.0
    label = (
        f'<text x="220" y="{y + 4}" class="name {escape(row.kind)}">{escape(row.model)}</text>'
    )
    interval = row.intervals.get(column.key)
    whisker = ""
    if interval is not None:
        whisker = (
            f'<line x1="{at(interval[0]):.1f}" x2="{at(interval[1]):.1f}" y1="{y}" '
            f'y2="{y}" class="whisker {escape(row.kind)}"/>'
        )
    dot = f'<circle cx="{at(value):.1f}" cy="{y}" r="5" class="{escape(row.kind)}"/>'
    return label + whisker + dot


def _number(row: Row, column: Column) -> float | None:
    value = row.values.get(column.key)
    return None if value is None or isinstance(value, str) else float(value)


def _gallery(gallery: Gallery) -> str:
    exhibits = "".join(_exhibit(exhibit) for exhibit in gallery.exhibits)
    return (
        f"<section><h2>{escape(gallery.title)}</h2>"
        '<div class="wide"><img class="legend" alt="legend" '
        f'src="{data_uri(gallery.legend)}"></div>{exhibits}</section>'
    )


def _exhibit(exhibit: Exhibit) -> str:
    panels = "".join(
        f'<figure><img loading="lazy" alt="{escape(panel.label)}" src="{data_uri(panel.jpeg)}">'
        f"<figcaption><b>{escape(panel.label)}</b><span>{escape(panel.caption)}</span>"
        "</figcaption></figure>"
        for panel in exhibit.panels
    )
    return f'<h3>{escape(exhibit.title)}</h3><div class="panels">{panels}</div>'
