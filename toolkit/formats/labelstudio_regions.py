"""People as Label Studio's regions: a rectangle and the keypoints that belong to it.

Coordinates are per cent of the canvas. The canvas is the picture, or the picture with a
margin, so that points outside the picture can be seen: then `data["padding"]` says how many
px were added on each side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from toolkit.formats.foreign import Record
from toolkit.formats.foreign_values import (
    Number,
    Point,
    all_numbers,
    box_of,
    keypoint_names,
    points_of,
)

IMAGE, BOX, POINTS, VISIBILITY = "image", "box", "keypoints", "visibility"
INSTANCE = "instance"  # the control that shows a person's id
VISIBLE, OCCLUDED, ABSENT = "visible", "occluded", "absent"
POINT_WIDTH = 0.3  # per cent of the canvas: how large a keypoint is drawn
_NOISE = 1e-7  # per cent: what a browser's arithmetic may change without a person's hand

Region = dict[str, object]


@dataclass(frozen=True)
class Canvas:
    """What per cent are of: width and height in px, and the margin left and above."""

    width: float
    height: float
    left: float = 0.0
    top: float = 0.0

    def to_percent(self, x: Number, y: Number) -> tuple[float, float]:
        """From px in the picture to per cent of the canvas."""
        return (
            (x + self.left) * 100.0 / self.width,
            (y + self.top) * 100.0 / self.height,
        )

    def to_pixels(self, x: Number, y: Number) -> tuple[float, float]:
        """From per cent of the canvas to px in the picture; nothing is rounded."""
        return x * self.width / 100.0 - self.left, y * self.height / 100.0 - self.top


class Drawn(NamedTuple):
    """One person as somebody drew it, in per cent.

    Attributes:
        key: The rectangle's id, or one made up where there is none.
        label: The rectangle's label, or None.
        box: x, y, width and height, or None.
        points: (x, y, visibility) by keypoint name.
    """

    key: str
    label: str | None
    box: tuple[float, ...] | None
    points: dict[str, Point]


@dataclass(frozen=True)
class Drawing:
    """A category as it is drawn: its name and its keypoints' names."""

    label: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, category: Record) -> Drawing:
        """What a category's record says."""
        return cls(str(category.get("name")), tuple(keypoint_names(category)))


def regions_of(record: Record, key: str, category: Drawing, canvas: Canvas) -> list[Region]:
    """The regions of an annotation: rectangle, keypoints, and a choice for each keypoint.

    A keypoint of visibility 0 has no region. Ids are `KEY` and `KEYkINDEX`; the rectangle's
    text is the annotation's id, for people to tell the players apart.
    """
    drawn = drawn_of(record, key, category, canvas)
    box, points = drawn.box, drawn.points
    regions: list[Region] = []
    if box is not None:
        value = {"x": box[0], "y": box[1], "width": box[2], "height": box[3], "rotation": 0}
        for kind, name, field, said in (
            ("rectanglelabels", BOX, "rectanglelabels", drawn.label),
            ("textarea", INSTANCE, "text", str(record.get("id"))),
        ):
            one = _region(kind, name, canvas)
            regions.append(one | {"id": key, "value": {**value, field: [said]}})
    # Each region is a copy of one of these two, the quickest way to make a dictionary.
    dot = _region("keypointlabels", POINTS, canvas)
    choice = _region("choices", VISIBILITY, canvas)
    if box is not None:
        dot["parentID"] = choice["parentID"] = key
    for k, name in enumerate(category.names):
        if name in points:
            x, y, visibility = points[name]
            said = OCCLUDED if visibility == 1 else VISIBLE
            one, other = dot.copy(), choice.copy()
            one["id"] = other["id"] = f"{key}k{k}"
            one["value"] = {"x": x, "y": y, "width": POINT_WIDTH, "keypointlabels": [name]}
            other["value"] = {"x": x, "y": y, "width": POINT_WIDTH, "choices": [said]}
            regions += (one, other)
    return regions


def _region(kind: str, control: str, canvas: Canvas) -> Region:
    """What every region says; id and value are still to come."""
    return {
        "id": "",
        "type": kind,
        "from_name": control,
        "to_name": IMAGE,
        "original_width": canvas.width,
        "original_height": canvas.height,
        "image_rotation": 0,
        "value": {},
    }


def drawn_of(record: Record, key: str, category: Drawing, canvas: Canvas) -> Drawn:
    """An annotation as it is drawn: what `regions_of` writes and `updated` compares with."""
    names, flat = category.names, record.get("keypoints")
    box, label = box_of(record), category.label
    width, height, left, top = canvas.width, canvas.height, canvas.left, canvas.top
    corner: tuple[float, ...] | None = None
    tiny = width < 1 or height < 1  # else no quotient overflows
    if box is not None:
        x, y, w, h = box
        corner = (
            (x + left) * 100.0 / width,
            (y + top) * 100.0 / height,
            w * 100.0 / width,
            h * 100.0 / height,
        )
        if tiny and not all(map(math.isfinite, corner)):
            corner = None
    drawn: dict[str, Point] = {}
    whole = isinstance(flat, list) and len(flat) == 3 * len(names)
    if flat is not None and whole and any(flat[2::3]) and all_numbers(flat):
        # As `to_percent`, without a call for each of very many.
        drawn = {
            name: (
                (x + left) * 100.0 / width,
                (y + top) * 100.0 / height,
                1 if visibility == 1 else 2,
            )
            for name, x, y, visibility in zip(
                names, flat[::3], flat[1::3], flat[2::3], strict=True
            )
            if visibility
        }
        if tiny:
            drawn = {k: p for k, p in drawn.items() if all(map(math.isfinite, p))}
    return Drawn(key, label, corner, drawn)


def updated(
    record: Record, sent: Drawn, found: Drawn, category: Drawing, canvas: Canvas
) -> Record:
    """A carried annotation with what a person changed; all else stays as it was."""
    changed = dict(record)
    if found.points == sent.points and found.box == sent.box:
        return changed
    if found.box is None and sent.box is not None:
        changed.pop("bbox", None)
    elif found.box is not None and not _same(sent.box, found.box):
        changed["bbox"] = box_in_pixels(found.box, canvas)
    names = category.names
    before = points_of(record)
    if before is None or len(before) != len(names):
        before = [(0, 0, 0)] * len(names)
    after = [
        _point(sent.points.get(name), found.points.get(name), old, canvas)
        for name, old in zip(names, before, strict=True)
    ]
    if after != before:
        changed["keypoints"] = [value for point in after for value in point]
        was, now = (sum(point[2] > 0 for point in points) for points in (before, after))
        if "num_keypoints" in record and was != now:
            changed["num_keypoints"] = now
    return changed


def box_in_pixels(box: tuple[float, ...], canvas: Canvas) -> list[Number]:
    """A box from per cent to px: [x, y, width, height]."""
    x, y = canvas.to_pixels(box[0], box[1])
    return [x, y, box[2] * canvas.width / 100.0, box[3] * canvas.height / 100.0]


def _point(sent: Point | None, found: Point | None, old: Point, canvas: Canvas) -> Point:
    if found is None:
        return old if sent is None else (0, 0, 0)
    if found[2] == 0:
        # A person said `absent`: there is no such point, wherever the region lies.
        return old if old[2] == 0 else (0, 0, 0)
    x, y = old[:2]
    if sent is None or not _same(sent[:2], found[:2]):
        x, y = canvas.to_pixels(found[0], found[1])
    return x, y, old[2] if sent is not None and sent[2] == found[2] else found[2]


def _same(one: tuple[float, ...] | None, other: tuple[float, ...]) -> bool:
    if one is None:
        return False
    return all(abs(a - b) <= _NOISE * max(1.0, abs(a)) for a, b in zip(one, other, strict=True))


def percent(value: dict[str, object], *fields: str) -> tuple[float, ...] | None:
    """Numbers of a region's value; None where one is missing or is no number."""
    found: list[Any] = list(map(value.get, fields))
    return tuple(map(float, found)) if all_numbers(found) else None


def hull(box: tuple[float, ...], degrees: float, canvas: Canvas) -> tuple[float, ...]:
    """The upright box round a rectangle that is turned about its top left corner."""
    angle = math.radians(degrees)
    x, y = box[0] * canvas.width, box[1] * canvas.height
    w, h = box[2] * canvas.width, box[3] * canvas.height
    corners = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)]
    xs = [x + a * math.cos(angle) - b * math.sin(angle) for a, b in corners]
    ys = [y + a * math.sin(angle) + b * math.cos(angle) for a, b in corners]
    left, top = min(xs) / canvas.width, min(ys) / canvas.height
    return left, top, max(xs) / canvas.width - left, max(ys) / canvas.height - top
