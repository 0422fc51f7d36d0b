"""From the regions of one Label Studio annotation to people.

A keypoint belongs to the rectangle that its `parentID` names; else to the one that a
relation ties it to, in either direction; else, by geometry, to the smallest rectangle that
holds it and has no such keypoint yet; else to the nearest such rectangle. Without any
rectangle, keypoints make one person, and a label that comes again begins another one. Every
keypoint placed by geometry is a finding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, repeat
from typing import Any, NamedTuple

from toolkit.formats.foreign import (
    ASSUMED,
    UNUSABLE,
    Record,
    foreign_finding,
)
from toolkit.formats.foreign_values import Point, all_numbers, flat_of, is_number
from toolkit.formats.labelstudio_regions import (
    ABSENT,
    INSTANCE,
    OCCLUDED,
    VISIBLE,
    Canvas,
    Drawn,
    hull,
    percent,
)
from toolkit.report import Finding

_VISIBILITY = {VISIBLE: 2, OCCLUDED: 1, ABSENT: 0}


@dataclass(slots=True)
class _Box:
    key: str
    label: str | None
    box: tuple[float, ...] | None
    points: dict[str, Point] = field(default_factory=dict)

    def distance(self, point: Point, canvas: Canvas) -> float:
        """From a point to the rectangle, in px; 0 inside."""
        if self.box is None:
            return math.inf
        x, y, w, h = self.box
        across = max(x - point[0], 0.0, point[0] - x - w) * canvas.width
        down = max(y - point[1], 0.0, point[1] - y - h) * canvas.height
        return math.hypot(across, down) / 100.0

    def area(self) -> float:
        return math.inf if self.box is None else self.box[2] * self.box[3]


Region = dict[str, object]


class Regions(NamedTuple):
    """The regions of one annotation by what they are to us.

    Attributes:
        spots: Keypoints.
        marks: Choices of a visibility.
        boxes: Rectangles.
        ties: Relations.
        others: What has no place, a person's id aside.
        all: In their order.
    """

    spots: list[Region]
    marks: list[Region]
    boxes: list[Region]
    ties: list[Region]
    others: list[Region]
    all: list[object]


_LISTS, _FLOATS = frozenset([list]), frozenset([float])
# A keypoint: its key, label, point and parent. Very many are made, hence no class.
_Dot = tuple[str, str, Point, str | None]


def regions_by_kind(result: object) -> Regions:
    """Sort the regions of an annotation's `result`."""
    regions = result if isinstance(result, list) else []
    spots: list[Region] = []
    marks: list[Region] = []
    boxes: list[Region] = []
    others: list[Region] = []
    ties: list[Region] = []
    for region in regions:
        if not isinstance(region, dict):
            continue
        kind = region.get("type")
        if kind == "keypointlabels" or kind == "keypoint":  # most regions are
            spots.append(region)
        elif kind == "choices":
            marks.append(region)
        elif kind == "rectanglelabels" or kind == "rectangle":
            boxes.append(region)
        elif kind == "relation":
            ties.append(region)
        elif region.get("from_name") != INSTANCE:
            others.append(region)
    return Regions(spots, marks, boxes, ties, others, regions)


def people_of(
    regions: Regions,
    canvas: Canvas,
    place: str,
    findings: list[Finding],
    sent: Sequence[tuple[int, Record]] = (),
) -> tuple[list[Drawn], list[Region]]:
    """People in the order of their first region, and the regions that are none of theirs.

    Args:
        regions: Those of the annotation.
        canvas: What per cent are of.
        place: For findings: task and annotation.
        findings: Is added to.
        sent: The records that the task carries, with their indices: what nobody says of a
            keypoint's visibility is as it was sent.
    """
    boxes: dict[str, _Box] = {}
    spots, marks, rectangles, ties, others, whole = regions
    nameless = _nameless(whole) if any("id" not in one for one in rectangles) else {}
    for region in rectangles:
        box = _box(region, nameless, canvas, place, findings)
        if box is not None:
            boxes.setdefault(box.key, box)
    choices = _visibilities(marks)
    if sent and len(choices) < len(spots):  # the choice's key pressed again takes it away
        choices = _flags_sent(sent) | choices
    columns = _whole_dots(spots, choices)
    if columns is None:
        nameless = _nameless(whole)
        found = [_dot(one, nameless, choices, place, findings) for one in spots]
        dots = [dot for dot in found if dot is not None]
    else:
        dots = _given_to_parents(boxes, *columns)
    _assign(boxes, dots, _relations(ties), canvas, place, findings)
    return [Drawn(b.key, b.label, b.box, b.points) for b in boxes.values()], others


def _given_to_parents(
    boxes: dict[str, _Box],
    keys: list[str],
    labels: list[str],
    points: list[Point],
    parents: list[str],
) -> list[_Dot]:
    """Give each rectangle the keypoints that name it, a run at once; those that are left.

    What `_assign` does of each, in a third of the time: nearly all keypoints come in runs.
    After the first run that needs a closer look all are left, so that their order stays.
    """
    start = 0
    for parent, run in groupby(parents):
        stop = start + len(list(run))
        own = dict(zip(labels[start:stop], points[start:stop], strict=True))
        box = boxes.get(parent)
        if box is None or len(own) < stop - start or box.points:
            break
        box.points = own
        start = stop
    rest = keys[start:], labels[start:], points[start:], parents[start:]
    return list(zip(*rest, strict=True))


def _assign(
    boxes: dict[str, _Box],
    dots: list[_Dot],
    related: dict[str, list[str]],
    canvas: Canvas,
    place: str,
    findings: list[Finding],
) -> None:
    """Give each keypoint to a rectangle: those that say whose they are first."""
    orphans = []
    for dot in dots:
        key, label, point, parent = dot
        box = boxes.get(parent) if parent is not None else None
        if box is None:
            box = next((boxes[end] for end in related.get(key, ()) if end in boxes), None)
        if box is None:  # perhaps of a person whose box is gone, or never was
            own = _own_key(key)
            box = None if own is None else boxes.setdefault(own, _Box(own, None, None))
        if box is None:
            orphans.append(dot)
        elif label in box.points:
            text = f"keypoint '{label}' a second time for the person '{box.key}'; left out"
            findings.append(foreign_finding(UNUSABLE, f"{place} region '{key}'", text))
        else:
            box.points[label] = point
    rectangles = list(boxes.values())
    for key, label, point, _ in orphans:
        free = [(box.distance(point, canvas), box) for box in rectangles]
        free = [(away, box) for away, box in free if label not in box.points]
        inside = [box for away, box in free if away == 0]
        if inside:
            box, how = min(inside, key=_Box.area), "the smallest box that holds it"
        elif free:
            away, box = min(free, key=lambda pair: pair[0])
            how = f"the nearest box, {away:.1f} px away"
        else:
            box, how = _without_box(boxes, label), "a person without a box"
        box.points[label] = point
        text = f"keypoint '{label}' has no parent and no relation; given to {how}"
        findings.append(foreign_finding(ASSUMED, f"{place} region '{key}'", text))


def _without_box(boxes: dict[str, _Box], label: str) -> _Box:
    """The person without a box that has no such keypoint yet; a new one where none has."""
    for number in range(len(boxes) + 1):
        key = f"loose{number}"
        box = boxes.setdefault(key, _Box(key, None, None))
        if box.box is None and label not in box.points:
            break
    return box


def _own_key(key: str) -> str | None:
    """Of an id that we gave (`p12k3`) the person's (`p12`)."""
    person, separator, number = key.partition("k")
    ours = separator and person[:1] == "p" and person[1:].isdigit() and number.isdigit()
    return person if ours else None


def _relations(ties: list[Region]) -> dict[str, list[str]]:
    """Which regions a region is tied to, in either direction."""
    found: dict[str, list[str]] = {}
    for tie in ties:
        start, end = str(tie.get("from_id")), str(tie.get("to_id"))
        found.setdefault(start, []).append(end)
        found.setdefault(end, []).append(start)
    return found


def _label(region: dict[str, object], field: str) -> str | None:
    value = region.get("value")
    labels = value.get(field) if isinstance(value, dict) else None
    first = labels[0] if isinstance(labels, list) and labels else None
    return first if isinstance(first, str) else None


def _box(
    region: Region,
    nameless: dict[int, str],
    canvas: Canvas,
    place: str,
    findings: list[Finding],
) -> _Box | None:
    key = str(region.get("id", nameless.get(id(region))))
    value = region.get("value")
    box = percent(value, "x", "y", "width", "height") if isinstance(value, dict) else None
    if not isinstance(value, dict) or box is None:
        text = "a rectangle without four numbers x, y, width, height; left out"
        where = f"{place} region '{key[:40]}'"
        findings.append(foreign_finding(UNUSABLE, where, text))
        return None
    turned = percent(value, "rotation") if value.get("rotation") != 0 else None
    if turned is not None and turned[0] % 360 != 0:
        text = f"a rectangle turned by {turned[0]:g} degrees; the upright box round it is taken"
        where = f"{place} region '{key[:40]}'"
        findings.append(foreign_finding(ASSUMED, where, text))
        box = hull(box, turned[0], canvas)
    return _Box(key, _label(region, "rectanglelabels"), box)


def _nameless(regions: list[object]) -> dict[int, str]:
    """Keys, by `id()`, for regions without an id: their place among all."""
    return {
        id(region): f"region{row}"
        for row, region in enumerate(regions)
        if isinstance(region, dict) and "id" not in region
    }


def _visibilities(marks: list[Any]) -> dict[str, int]:
    """What was chosen, by the region's id; of several choices the last."""
    try:  # all at once, where each says one thing that we know
        said = {
            region["id"]: _VISIBILITY[choice]
            for region in marks
            for chosen in (region["value"]["choices"],)
            if type(chosen) is list
            for (choice,) in (chosen,)
        }
        "".join(said)  # a TypeError where an id is no text
        return said
    except (KeyError, TypeError, ValueError):
        pass
    found: dict[str, int] = {}
    for region in marks:
        value = region.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, str) and choice in _VISIBILITY:
                found[str(region.get("id"))] = _VISIBILITY[choice]
    return found


def _flags_sent(sent: Sequence[tuple[int, Record]]) -> dict[str, int]:
    """The visibility of every occluded keypoint that was sent, by the region's id."""
    return {
        f"p{index}k{k}": 1
        for index, record in sent
        for k, flag in enumerate((flat_of(record) or [])[2::3])
        if flag == 1
    }


def _whole_dots(
    regions: list[Region], choices: dict[str, int]
) -> tuple[list[str], list[str], list[Point], list[str]] | None:
    """Keys, labels, points and parents of all keypoints, where nothing is missing or odd.

    What `_dot` gives for each, in a third of the time: nearly all tasks are such.
    """
    try:
        keys: list[Any] = [region["id"] for region in regions]
        parents: list[Any] = [region["parentID"] for region in regions]
        values: list[Any] = [region["value"] for region in regions]
        said = [value["keypointlabels"] for value in values]
        labels = [names[0] for names in said]
        xs = [value["x"] for value in values]
        ys = [value["y"] for value in values]
        "".join(keys), "".join(parents), "".join(labels)  # a TypeError where one is no text
    except (KeyError, TypeError, IndexError):
        return None
    if not (_LISTS.issuperset(map(type, said)) and all_numbers([*xs, *ys])):
        return None
    if not _FLOATS.issuperset(map(type, chain(xs, ys))):
        xs, ys = list(map(float, xs)), list(map(float, ys))
    visibilities = map(choices.get, keys, repeat(2))
    return keys, labels, list(zip(xs, ys, visibilities, strict=False)), parents


def _dot(
    region: Region,
    nameless: dict[int, str],
    choices: dict[str, int],
    place: str,
    findings: list[Finding],
) -> _Dot | None:
    key = str(region.get("id", nameless.get(id(region))))
    parent, value = region.get("parentID"), region.get("value")
    x = y = labels = None
    if isinstance(value, dict):
        x, y, labels = value.get("x"), value.get("y"), value.get("keypointlabels")
    label = labels[0] if isinstance(labels, list) and labels else None
    if not (is_number(x) and is_number(y) and isinstance(label, str)):
        text = "a keypoint without a label or without two numbers x, y; left out"
        findings.append(foreign_finding(UNUSABLE, f"{place} region '{key[:40]}'", text))
        return None
    point = (float(x), float(y), choices.get(key, 2))
    return key, label, point, parent if isinstance(parent, str) else None
