"""Statistics as one self-contained page, and its charts as files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.charts import COLORS, Series, curves, density, histogram, percent, stacked_bars
from toolkit.crop_curve import MARKED, CropCurve, outside_share
from toolkit.page import escape, html_page
from toolkit.stats.density import EXTENT, Density
from toolkit.stats.keypoints import share
from toolkit.stats.measure import Statistics
from toolkit.stats.text import (
    KEYPOINT_COLUMNS,
    crop_cells,
    crop_groups,
    facts,
    group_rows,
    keypoint_cells,
    label,
)

VISIBLE, OCCLUDED, BEYOND, OUTSIDE = COLORS[2], COLORS[1], COLORS[3], COLORS[4]
CURVES = 8  # more lines in one chart cannot be told apart
SHOWN_DENSITIES = 24
_STEPS = 61


def statistics_page(stats: Statistics) -> str:
    """The whole page."""
    body = (
        f"<header><h1>{escape(stats.file)}</h1>"
        f'<p class="lead">Statistics under schema {escape(stats.schema)}</p></header><main>'
        f"{_facts(stats)}{_keypoints(stats)}{_densities(stats.densities)}{_people(stats)}"
        f"{crop_section(stats.crop)}{_unread(stats)}</main>"
    )
    return html_page(f"Statistics of {stats.file}", body)


def crop_page(curve: CropCurve, file: str) -> str:
    """A page with the crop curve alone."""
    body = f"<header><h1>{escape(file)}</h1></header><main>{crop_section(curve)}</main>"
    return html_page(f"Crop curve of {file}", body)


def charts(stats: Statistics) -> dict[str, str]:
    """Every chart of the page by file stem, without the page."""
    drawn = {
        "visibility": visibility_chart(stats),
        "outside-box": outside_chart(stats),
        "crop-curve": crop_chart(stats.crop),
    }
    if len(stats.sizes.heights):
        drawn["box-height"] = height_chart(stats)
    if len(stats.crowding.people):
        drawn["people-per-image"] = people_chart(stats)
    for number, item in enumerate(stats.densities, start=1):
        drawn[f"density-{number:02d}"] = density(item.name, item.counts, EXTENT, color=OUTSIDE)
    return drawn


def visibility_chart(stats: Statistics) -> str:
    """Visible, occluded and absent of each keypoint, stacked."""
    rows = stats.keypoints
    parts = [
        Series("visible", [share(r.visible, r.instances) for r in rows], VISIBLE),
        Series("occluded", [share(r.occluded, r.instances) for r in rows], OCCLUDED),
    ]
    if any(r.beyond for r in rows):
        beyond = [share(r.beyond, r.instances) for r in rows]
        parts.append(Series("beyond the window", beyond, BEYOND))
    notes = [f"of {r.instances:,}" for r in rows]
    return stacked_bars("Visibility by keypoint", [r.name for r in rows], parts, notes=notes)


def outside_chart(stats: Statistics) -> str:
    """Shares outside the box."""
    rows = stats.keypoints
    parts = [
        Series("outside the box", [r.out_of_box_share for r in rows], OUTSIDE),
    ]
    notes = [f"{percent(r.out_of_box_share)} ({r.out_of_box:,})" for r in rows]
    return stacked_bars("Outside the box", [r.name for r in rows], parts, notes=notes)


def height_chart(stats: Statistics) -> str:
    """Heights of the boxes on a logarithmic scale."""
    heights = stats.sizes.heights
    low, high = np.log2(max(heights[0], 1.0)), np.log2(max(heights[-1], 2.0))
    edges = 2.0 ** (np.arange(np.floor(low * 4), np.ceil(high * 4 + 1e-9) + 1) / 4)
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0] * 2])
    counts, _ = np.histogram(np.clip(heights, edges[0], edges[-1]), edges)
    return histogram(
        "Box height", edges, counts.astype(np.int64), unit="box height in px (log scale)"
    )


def people_chart(stats: Statistics) -> str:
    """Images by number of people; the last bar holds the rest."""
    people = stats.crowding.people
    most = int(min(people[-1], 30))
    counts = np.bincount(np.minimum(people, most), minlength=most + 1)[1:]
    edges = np.arange(1, most + 2, dtype=np.float64)
    unit = "people in an image" + (f" ({most} or more in the last)" if people[-1] > 30 else "")
    return histogram("People per image", edges, counts.astype(np.int64), unit=unit, whole=True)


def crop_chart(curve: CropCurve) -> str:
    """Share outside the network's input against padding."""
    last = max(curve.paddings[-1], curve.paddings[0] + 0.5)
    x = np.linspace(curve.paddings[0], last, _STEPS).tolist()
    series = []
    for index, (name, needed) in enumerate(_worst(curve)):
        values = [outside_share(needed, padding) for padding in x]
        series.append(Series(name, values, COLORS[index % len(COLORS)]))
    pooled = curve.groups["Mean"]
    values = [outside_share(pooled, padding) for padding in x]
    series.append(Series("all keypoints", values, "var(--ink,#18202f)", dashed=True))
    return curves(
        "Keypoints outside the network's input",
        x,
        series,
        x_name="padding of the box",
        marks=[(padding, f"{padding:g}: {why}") for padding, why in MARKED.items()],
    )


def crop_section(curve: CropCurve) -> str:
    """Chart and table of the crop curve."""
    head = [f"{p:g}" for p in curve.paddings] + ["50 % in", "90 % in", "95 % in", "99 % in"]
    rows = [*curve.keypoints.items(), *crop_groups(curve)]
    cells = [[name, *crop_cells(curve, needed)] for name, needed in rows]
    left_out = (
        f" {curve.left_out:,} labelled keypoints without a usable box are left out."
        if curve.left_out
        else ""
    )
    more = len(curve.keypoints) - len(_worst(curve))
    some = (
        " The chart draws those that lie outside most often; the table has all."
        if more > 0
        else ""
    )
    return (
        '<section id="crop"><h2>Outside the network\'s input</h2>'
        '<p class="lead">A top-down model sees the box, grown to '
        f"{curve.aspect:.3g} (width over height) and multiplied with a padding. A heatmap "
        "cannot point outside it. The last columns: the padding that holds that share of "
        f"the keypoint.{some}{left_out}</p>"
        f"{_chart(crop_chart(curve))}{_table(['', 'n', *head], cells)}</section>"
    )


def _worst(curve: CropCurve) -> list[tuple[str, NDArray[np.float64]]]:
    """The keypoints with the largest share outside, in the schema's order."""
    outside = [outside_share(n, curve.paddings[0]) or 0.0 for n in curve.keypoints.values()]
    ranked = sorted(range(len(outside)), key=lambda k: (-outside[k], k))
    kept = {k for k in ranked[:CURVES] if outside[k] > 0}
    return [item for k, item in enumerate(curve.keypoints.items()) if k in kept]


def _facts(stats: Statistics) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td class='text'>{escape(value)}</td></tr>"
        for name, value in facts(stats)
    )
    return f'<section id="counts"><h2>Counts</h2><table>{rows}</table></section>'


def _keypoints(stats: Statistics) -> str:
    rows = [
        [row.name + (" (extension)" if row.extension else ""), *keypoint_cells(row)]
        for row in stats.keypoints
    ]
    rows += [[label(row.name), *keypoint_cells(row)] for row in group_rows(stats)]
    return (
        '<section id="keypoints"><h2>Keypoints</h2>'
        f"<h3>Visibility</h3>{_chart(visibility_chart(stats), 'bars')}"
        "<h3>Share outside the box, of what is labelled</h3>"
        f"{_chart(outside_chart(stats), 'bars')}"
        f"<h3>Numbers</h3>{_table(['', *KEYPOINT_COLUMNS], rows)}</section>"
    )


def _densities(items: Sequence[Density]) -> str:
    if not items:
        return ""
    panels = "".join(
        f"<figure>{density(item.name, item.counts, EXTENT, color=OUTSIDE)}<figcaption>"
        f"<b>{escape(item.name)}</b><br>{_density_note(item)}</figcaption></figure>"
        for item in items[:SHOWN_DENSITIES]
    )
    return (
        '<section id="density"><h2>Where extension keypoints lie</h2>'
        '<p class="lead">In units of the human box, which is drawn in; the stronger the '
        f'colour, the more often.</p><div class="panels">{panels}</div></section>'
    )


def _density_note(item: Density) -> str:
    if item.median_xy is None:
        return "no data"
    x, y = item.median_xy
    beyond = f"; {item.beyond:,} beyond the drawing" if item.beyond else ""
    return f"{item.total:,} labelled, median at ({x:.2f}, {y:.2f}){beyond}"


def _people(stats: Statistics) -> str:
    if not stats.instances:
        return ""
    heights = _chart(height_chart(stats)) if len(stats.sizes.heights) else "<p>no boxes</p>"
    return (
        '<section id="people"><h2>People</h2><h3>Box height</h3>'
        f"{heights}<h3>People per image</h3>{_chart(people_chart(stats))}</section>"
    )


def _unread(stats: Statistics) -> str:
    if not stats.unread:
        return ""
    rows = "".join(
        f'<tr><td class="{escape(severity)}">{escape(rule)}</td><td>{count:,}</td>'
        f'<td class="text">{escape(first)}</td></tr>'
        for rule, severity, count, first in stats.unread
    )
    return (
        '<section id="unread"><h2>What the reader could not use</h2>'
        '<p class="lead">These records, or fields of them, are in no number above.</p>'
        f'<div class="wide"><table><thead><tr><th>rule</th><th>records</th>'
        f'<th class="text">first</th></tr></thead>{rows}</table></div></section>'
    )


def _chart(svg: str, kind: str = "") -> str:
    return f'<div class="wide chart {kind}">{svg}</div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )
