"""Statistics as tables for the terminal; shares in per cent, `-` where there is nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.charts import percent
from toolkit.crop_curve import HELD, MARKED, CropCurve, outside_share, padding_to_hold
from toolkit.errors import counted
from toolkit.printed import plain
from toolkit.stats.keypoints import KeypointCounts
from toolkit.stats.measure import Statistics

if TYPE_CHECKING:
    from rich.table import Table

    from toolkit.stats.people import Sizes


def statistics_tables(stats: Statistics) -> list[Table]:
    """Facts, keypoints and groups, and what could not be read."""
    tables = [_pairs(f"{stats.file}, schema {stats.schema}", facts(stats)), _keypoints(stats)]
    if stats.unread:
        table = _table("What the reader could not use", "rule", "", "records", "first")
        for rule, severity, count, first in stats.unread:
            table.add_row(rule, severity, f"{count:,}", plain(first))
        tables.append(table)
    return tables


def crop_table(curve: CropCurve, title: str) -> Table:
    """Shares outside the crop by padding, and the paddings that hold 50 to 99 %."""
    marked = [f"{p:g}" + (" *" if p in MARKED else "") for p in curve.paddings]
    held = [f"{share:.0%}" for share in HELD]
    table = _table(title, "", "n", *marked, *held)
    for name, needed in curve.keypoints.items():
        table.add_row(plain(name), *_bare(crop_cells(curve, needed)))
    table.add_section()
    for name, needed in crop_groups(curve):
        table.add_row(plain(name), *_bare(crop_cells(curve, needed)))
    return table


def crop_groups(curve: CropCurve) -> list[tuple[str, NDArray[np.float64]]]:
    """Groups of the curve that say more than a keypoint's row."""
    names = distinct_groups(
        {name: needed.tobytes() for name, needed in curve.groups.items()},
        {needed.tobytes() for needed in curve.keypoints.values()},
    )
    return [(label(name), curve.groups[name]) for name in names if len(curve.groups[name])]


def label(group: str) -> str:
    """A group's name for people."""
    return "all keypoints" if group == "Mean" else group


def crop_cells(curve: CropCurve, needed: NDArray[np.float64]) -> list[str]:
    """Number, shares by padding, paddings by share."""
    paddings = [padding_to_hold(needed, share) for share in HELD]
    return [
        f"{len(needed):,}",
        *(percent(outside_share(needed, padding)) for padding in curve.paddings),
        *("-" if value is None else f"{value:.2f}" for value in paddings),
    ]


def facts(stats: Statistics) -> list[tuple[str, str]]:
    """Everything that is one number or one line, by name."""
    return [
        *_file_facts(stats),
        *_size_facts(stats.sizes),
        *_crowding_facts(stats),
    ]


def keypoint_cells(row: KeypointCounts) -> list[str]:
    """Labelled, visible, occluded, absent; outside the box; outside the image."""
    seen = row.labelled or None
    return [
        f"{row.labelled:,}",
        percent(seen and row.visible / row.labelled),
        percent(seen and row.occluded / row.labelled),
        f"{row.absent:,}",
        f"{row.out_of_box:,}" if row.boxed else "-",
        percent(row.out_of_box_share),
        f"{row.out_of_image:,}" if row.sized else "-",
        percent(row.out_of_image_share),
    ]


KEYPOINT_COLUMNS = (
    "labelled", "visible", "occluded", "absent",
    "out of box", "share", "out of image", "share",
)  # fmt: skip


_PERCENT_COLUMNS = (
    "labelled", "visible %", "occluded %", "absent", "out of box", "%", "out of image", "%",
)  # fmt: skip


def group_rows(stats: Statistics) -> list[KeypointCounts]:
    """Groups that say more than a keypoint's row."""
    by_name = {row.name: row for row in stats.groups}
    names = distinct_groups(
        {name: _content(row) for name, row in by_name.items()},
        {_content(row) for row in stats.keypoints},
    )
    return [by_name[name] for name in names if by_name[name].instances or name == "Mean"]


def distinct_groups(content: Mapping[str, bytes], known: set[bytes]) -> list[str]:
    """Names whose content is new; `Mean`, which comes after them, always stays."""
    seen = known | {content["Mean"]}
    names = []
    for name, value in content.items():
        if name == "Mean" or value not in seen:
            seen.add(value)
            names.append(name)
    return names


def _content(row: KeypointCounts) -> bytes:
    return repr(row.to_json()).encode()


def _file_facts(stats: Statistics) -> Iterator[tuple[str, str]]:
    empty = stats.images_without_annotations
    yield "images", f"{stats.images:,} ({empty:,} without annotations)"
    extra = [
        f"{number:,} {what}"
        for number, what in (
            (stats.without_box, "without a box"),
            (stats.without_image, "naming an image that is not there"),
            (stats.crowds, "crowd regions"),
        )
        if number
    ]
    yield "instances", f"{stats.instances:,}" + (f" ({', '.join(extra)})" if extra else "")
    for category in stats.categories:
        number = category.instances
        name = "(not in the file)" if category.name is None else category.name
        said = (
            "not counted, its keypoints are not the schema's"
            if number is None
            else counted(number, "instance")
        )
        yield f"category {category.id}", f"{name}: {said}"
    frames = stats.clips.frames
    if not frames:
        yield "clips", "none named"
        return
    counts = sorted(frames.values())
    without = f"; {stats.clips.without:,} images without" if stats.clips.without else ""
    yield (
        "clips",
        f"{len(frames):,}, {counts[0]:,} to {counts[-1]:,} frames (median "
        f"{counts[(len(counts) - 1) // 2]:,}){without}",
    )


def _size_facts(sizes: Sizes) -> Iterator[tuple[str, str]]:
    unknown = f", {sizes.unknown:,} unknown" if sizes.unknown else ""
    if not sizes.small + sizes.medium + sizes.large + sizes.unknown:
        return
    yield (
        "size (COCO)",
        f"{sizes.small:,} small, {sizes.medium:,} medium, {sizes.large:,} large{unknown}; "
        f"by {sizes.rule}",
    )
    yield "box height, px", _spread(sizes.heights, "{:.0f}")


def _crowding_facts(stats: Statistics) -> Iterator[tuple[str, str]]:
    crowding = stats.crowding
    yield "people per image", _spread(crowding.people, "{:,.0f}")
    if len(crowding.overlap):
        shares = [(limit, (crowding.overlap > limit).mean()) for limit in (0.1, 0.5)]
        said = ", ".join(f"{percent(float(s))} above {limit:g}" for limit, s in shares)
        yield "IoU with a neighbour", f"{said}; {_spread(crowding.overlap, '{:.2f}')}"
    if crowding.not_compared:
        yield "not compared", f"{crowding.not_compared:,} people of very crowded images"
    bands = stats.crowd_index
    if bands is not None:
        yield (
            "images by crowdIndex",
            f"{bands['easy']:,} easy, {bands['medium']:,} medium, {bands['hard']:,} hard",
        )


def _spread(values: NDArray[np.generic], form: str) -> str:
    """Median and the range that holds most: `median 224 (5 % 28, 95 % 754)`."""
    if not len(values):
        return "-"
    low, middle, high = (values[int(q * (len(values) - 1))].item() for q in (0.05, 0.5, 0.95))
    return (
        f"median {form.format(middle)} (5 % {form.format(low)}, 95 % {form.format(high)}, "
        f"largest {form.format(values[-1].item())})"
    )


def _keypoints(stats: Statistics) -> Table:
    table = _table("Keypoints (+ extension)", "", *_PERCENT_COLUMNS)
    for row in stats.keypoints:
        name = plain(row.name) + (" +" if row.extension else "")
        table.add_row(name, *_bare(keypoint_cells(row)))
    table.add_section()
    for row in group_rows(stats):
        table.add_row(plain(label(row.name)), *_bare(keypoint_cells(row)))
    return table


def _bare(cells: list[str]) -> list[str]:
    """Cells without the sign that the column's head has: 80 columns are few."""
    return [cell.removesuffix(" %") for cell in cells]


def _pairs(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    from rich.table import Table  # lazy: rich costs 0.1 s

    table = Table(title=plain(title), title_justify="left", show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(plain(name), plain(value))
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    """A table that fits 80 columns where the names are short."""
    from rich import box  # lazy: rich costs 0.1 s
    from rich.table import Table  # lazy: rich costs 0.1 s

    table = Table(
        title=plain(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    table.add_column(first, no_wrap=True)
    for column in columns:
        # Else rich shortens numbers before it wraps heads.
        least = 6 if column == "n" else max(4, *map(len, column.split()), 0)
        side: Literal["left", "right"] = "left" if column == "first" else "right"
        table.add_column(column, justify=side, min_width=least)
    return table
