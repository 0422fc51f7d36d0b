"""Small charts as SVG text: bars, curves, histograms, points, densities; no dependencies.

Colours come from the page's style (`toolkit.page`) through CSS variables, with a light
default, so that a chart fits a dark page and also stands alone: `standalone` makes a file
of it. All text is escaped here. Numbers are printed with one decimal, so the same data
give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.page import escape as _escape

INK, SOFT, EDGE = "var(--ink,#18202f)", "var(--soft,#5c667a)", "var(--edge,#dde2ea)"
# Told apart by people with colour-blindness too (Okabe and Ito), and on dark ground.
COLORS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#56b4e9",
    "#8a7a00",
    "#7f7f7f",
)
LABEL_CHARS = 20
CEILINGS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
# Of a chart's own units. Bars fit a telephone whole: a bar cut off would look full.
WIDTH, BARS_WIDTH = 640, 470


@dataclass(frozen=True)
class Series:
    """One part of stacked bars, or one curve.

    Attributes:
        name: For the legend.
        values: One a row (bars, None for nothing) or a point (curves).
        color: Any SVG colour.
        dashed: Whether a curve is dashed.
    """

    name: str
    values: Sequence[float | None]
    color: str
    dashed: bool = False


def stacked_bars(
    title: str, rows: Sequence[str], series: Sequence[Series], *, notes: Sequence[str] = ()
) -> str:
    """Horizontal bars from 0 to 1, one a row, with a part for each series.

    Args:
        title: Read out by screen readers, shown by the caller.
        rows: Labels.
        series: Shares of the whole; a row whose values are all None shows "no data".
        notes: A text to the right of each bar.
    """
    left, width, line = 150, 200, 22
    height = line * len(rows) + 34
    parts = [_legend(series, left)]
    for index, row in enumerate(rows):
        y = 30 + line * index
        parts.append(_text(left - 8, y + 12, _short(row), anchor="end", full=row))
        parts.append(_rect(left, y, width, 15, EDGE, opacity=0.45))
        at = float(left)
        drawn = False
        for part in series:
            value = part.values[index]
            if value is None:
                continue
            drawn = True
            hint = f"{row}: {part.name} {percent(value)}"
            parts.append(_rect(at, y, width * value, 15, part.color, hint=hint))
            at += width * value
        if notes:
            parts.append(_text(left + width + 8, y + 12, notes[index], soft=True))
        if not drawn:
            parts.append(_text(left + 6, y + 12, "no data", soft=True))
    return _svg(title, BARS_WIDTH, height, parts)


def histogram(
    title: str,
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    *,
    unit: str,
    show: Callable[[float], str] = lambda value: f"{value:,.0f}",
    whole: bool = False,
) -> str:
    """Counts between edges; the bars are equally wide, the ticks say where they lie.

    Args:
        title: Read out by screen readers.
        edges: (B + 1,) ascending.
        counts: (B,).
        unit: Under the axis.
        show: Spelling of an edge.
        whole: Whether a bar is one whole number, its lower edge, named beneath its middle.
    """
    left, width, top, height = 56, 570, 14, 180
    most = max(int(counts.max(initial=0)), 1)
    step = width / len(counts)
    parts = _y_grid([0, most / 2, most], most, left, width, top, height, lambda v: f"{v:,.0f}")
    for index, count in enumerate(counts):
        tall = height * int(count) / most
        upper = "" if whole else f" to {show(edges[index + 1])}"
        hint = f"{show(edges[index])}{upper}: {int(count):,}"
        parts.append(
            _rect(
                left + index * step + 1,
                top + height - tall,
                max(step - 2, 1),
                tall,
                COLORS[0],
                hint=hint,
            )
        )
    every = max(1, -(-len(edges) // 9))
    for index in range(0, len(counts) if whole else len(edges), every):
        parts.append(
            _text(
                left + (index + whole / 2) * step,
                top + height + 16,
                show(edges[index]),
                "middle",
                soft=True,
            )
        )
    parts.append(_text(left + width / 2, top + height + 34, unit, "middle", soft=True))
    return _svg(title, WIDTH, top + height + 44, parts)


def curves(
    title: str,
    x: Sequence[float],
    series: Sequence[Series],
    *,
    x_name: str,
    marks: Sequence[tuple[float, str]] = (),
    show: Callable[[float], str] | None = None,
) -> str:
    """Shares (0 to 1), or other numbers from 0, against x, a line for each series.

    Args:
        title: Read out by screen readers.
        x: (P,) ascending.
        series: P values each; one that is all None is named in the legend only.
        x_name: Under the axis.
        marks: Places on the x axis with a name, drawn as dotted lines.
        show: Spelling of a value; per cent where None.
    """
    left, width, top, height = 56, 400, 26, 280
    low, high = x[0], max(x[-1], x[0] + 1e-9)

    def across(value: float) -> float:
        return left + width * (value - low) / (high - low)

    most = max([v for part in series for v in part.values if v is not None], default=0.0)
    ceiling = next((c for c in CEILINGS if most <= c), most)
    ticks = [ceiling * n / 4 for n in range(5)]
    parts = _y_grid(ticks, ceiling, left, width, top, height, show or percent)
    for tick in _nice_ticks(low, high):
        parts.append(_text(across(tick), top + height + 17, f"{tick:g}", "middle", soft=True))
    parts.append(_text(left + width / 2, top + height + 36, x_name, "middle", soft=True))
    for number, (place, name) in enumerate(mark for mark in marks if low <= mark[0] <= high):
        spot = across(place)
        parts.append(
            f'<line x1="{spot:.1f}" x2="{spot:.1f}" y1="{top}" y2="{top + height}" '
            f'stroke="{SOFT}" stroke-dasharray="2 3"/>'
        )
        parts.append(_text(spot + 4, top - 14 + 12 * number, name, soft=True))
    for index, part in enumerate(series):
        points = [
            f"{across(at):.1f},{top + height * (1 - value / ceiling):.1f}"
            for at, value in zip(x, part.values, strict=True)
            if value is not None
        ]
        dash = ' stroke-dasharray="6 4"' if part.dashed else ""
        if points:
            parts.append(
                f'<polyline points="{" ".join(points)}" fill="none" stroke="{part.color}" '
                f'stroke-width="2.2" stroke-linejoin="round"{dash}>'
                f"<title>{_escape(part.name)}</title></polyline>"
            )
        y = top + 8 + 19 * index
        parts.append(
            f'<line x1="{left + width + 16}" x2="{left + width + 40}" y1="{y}" y2="{y}" '
            f'stroke="{part.color}" stroke-width="3"{dash}/>'
        )
        name = part.name if points else f"{part.name} (no data)"
        parts.append(_text(left + width + 46, y + 4, _short(name), full=name))
    bottom = max(top + height + 44, top + 19 * len(series) + 10)
    return _svg(title, WIDTH, bottom, parts)


@dataclass(frozen=True)
class Cloud:
    """Points of one kind in a scatter chart.

    Attributes:
        name: For the legend.
        x: (P,).
        y: (P,).
        color: Any SVG colour.
        labels: P names written beside the points; none where empty.
        ring: Drawn as rings in place of dots.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    labels: Sequence[str] = ()
    ring: bool = False


def scatter(title: str, clouds: Sequence[Cloud]) -> str:
    """Points in a plane whose axes mean nothing, such as a t-SNE map.

    Args:
        title: Read out by screen readers.
        clouds: At least one point in all; drawn in order.
    """
    width, most, edge = WIDTH - 170, 440, 24
    xs = [x for cloud in clouds for x in cloud.x]
    ys = [y for cloud in clouds for y in cloud.y]
    scale = min(
        (width - 2 * edge) / max(max(xs) - min(xs), 1e-9),
        (most - 2 * edge) / max(max(ys) - min(ys), 1e-9),
    )
    height = max(2 * edge + (max(ys) - min(ys)) * scale, 20.0 * len(clouds) + 10)
    parts = [_rect(0, 0, width, height, EDGE, opacity=0.25)]
    written: list[tuple[float, float]] = []
    for number, cloud in enumerate(clouds):
        look = (
            f'style="fill:none;stroke:{cloud.color};stroke-width:2.4"'
            if cloud.ring
            else f'style="fill:{cloud.color};fill-opacity:0.6"'
        )
        radius = 6.5 if cloud.ring else 3.5
        for place, (x, y) in enumerate(zip(cloud.x, cloud.y, strict=True)):
            across, down = edge + (x - min(xs)) * scale, edge + (y - min(ys)) * scale
            name = cloud.labels[place] if cloud.labels else cloud.name
            parts.append(
                f'<circle cx="{across:.1f}" cy="{down:.1f}" r="{radius}" {look}>'
                f"<title>{_escape(name)}</title></circle>"
            )
            if cloud.labels:
                side, anchor = (-9, "end") if across > width * 0.8 else (9, "start")
                level = _free(written, across, down + 4)
                parts.append(_text(across + side, level, name, anchor, soft=True))
        top = 14 + 20 * number
        parts.append(f'<circle cx="{width + 18}" cy="{top}" r="{radius}" {look}/>')
        parts.append(_text(width + 30, top + 4, _short(cloud.name), full=cloud.name))
    return _svg(title, WIDTH, height, parts)


def _free(written: list[tuple[float, float]], across: float, down: float) -> float:
    """A height for a label at which no other stands; it is noted."""
    while any(abs(x - across) < 95 and abs(y - down) < 12 for x, y in written):
        down += 4
    written.append((across, down))
    return down


def density(
    title: str,
    counts: NDArray[np.int64],
    extent: tuple[float, float, float, float],
    *,
    color: str = COLORS[0],
) -> str:
    """A 2-D density in box units, with the unit box drawn in.

    Opacity grows with the square root of the count, so that rare places show.

    Args:
        title: Read out by screen readers.
        counts: (rows, columns), rows downwards.
        extent: Left, top, right, bottom in box units.
        color: Of the cells.
    """
    left, top, right, bottom = extent
    side = 300.0
    scale = side / max(right - left, bottom - top)
    rows, columns = counts.shape
    cell_w, cell_h = (right - left) * scale / columns, (bottom - top) * scale / rows
    most = max(int(counts.max(initial=0)), 1)
    parts = [_rect(0, 0, side, side, EDGE, opacity=0.35)]
    for row, column in np.argwhere(counts > 0).tolist():
        count = int(counts[row, column])
        opacity = 0.12 + 0.88 * (count / most) ** 0.5
        parts.append(
            f'<rect x="{column * cell_w:.1f}" y="{row * cell_h:.1f}" '
            f'width="{cell_w + 0.1:.1f}" height="{cell_h + 0.1:.1f}" fill="{color}" '
            f'fill-opacity="{opacity:.2f}"/>'
        )
    parts.append(
        f'<rect x="{-left * scale:.1f}" y="{-top * scale:.1f}" width="{scale:.1f}" '
        f'height="{scale:.1f}" fill="none" stroke="{INK}" stroke-width="1.6"/>'
    )
    parts.append(_text(-left * scale + scale / 2, -top * scale - 5, "box", "middle"))
    return _svg(title, side, side, parts)


def standalone(svg: str) -> str:
    """A chart as a file of its own, on white ground."""
    head, _, rest = svg.partition(">")
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    return (
        f'{head} xmlns="http://www.w3.org/2000/svg" '
        f'style="font-family:system-ui,sans-serif">{ground}{rest}\n'
    )


def percent(value: float | None) -> str:
    """A share as per cent, `-` for none: `12.3 %`, and never `0.0 %` for a few."""
    if value is None:
        return "-"
    if 0 < value < 0.0005:
        return "<0.1 %"
    return f"{100 * value:.1f} %"


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{_escape(title)}" font-size="12.5">{"".join(parts)}</svg>'
    )


def _legend(series: Sequence[Series], left: float) -> str:
    parts, x = [], left
    for part in series:
        parts.append(_rect(x, 6, 12, 12, part.color))
        parts.append(_text(x + 18, 16, part.name))
        x += 34 + 7 * len(part.name)
    return "".join(parts)


def _y_grid(
    ticks: Sequence[float],
    most: float,
    left: float,
    width: float,
    top: float,
    height: float,
    show: Callable[[float], str],
) -> list[str]:
    parts = []
    for tick in ticks:
        y = top + height * (1 - tick / most)
        parts.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{EDGE}"/>'
        )
        parts.append(_text(left - 6, y + 4, show(tick), "end", soft=True))
    return parts


def _nice_ticks(low: float, high: float) -> list[float]:
    step = next((s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10) if (high - low) / s <= 9), 100)
    first = int(np.ceil(low / step - 1e-9))
    return [n * step for n in range(first, int(high / step + 1e-9) + 1)]


def _rect(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    opacity: float = 1.0,
    hint: str = "",
) -> str:
    inner = f"><title>{_escape(hint)}</title></rect>" if hint else "/>"
    faint = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{fill}"{faint}{inner}'
    )


def _text(
    x: float, y: float, text: str, anchor: str = "start", *, soft: bool = False, full: str = ""
) -> str:
    hint = f"<title>{_escape(full)}</title>" if full and full != text else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'fill="{SOFT if soft else INK}">{hint}{_escape(text)}</text>'
    )


def _short(text: str) -> str:
    return (
        text
        if len(text) <= LABEL_CHARS
        else text[: LABEL_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )
