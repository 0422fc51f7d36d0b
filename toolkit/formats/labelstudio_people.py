"""From the regions of one Label Studio annotation to people.

A keypoint belongs to the rectangle that its `parentID` names; else to the one that a
relation ties it to, in either direction; else, by geometry, to the smallest rectangle that
holds it and has no such keypoint yet; else to the nearest such rectangle. Without any
rectangle, keypoints make one person, and a label that comes again begins another one. Every
keypoint placed by geometry is a finding.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from toolkit.formats.foreign import (
    ASSUMED,
    LEFT_OUT,
    UNUSABLE,
    foreign_finding,
)
from toolkit.formats.foreign_values import Point
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
_KNOWN = {"rectanglelabels", "keypointlabels", "choices", "relation", "rectangle", "keypoint"}


@dataclass
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


@dataclass(frozen=True)
class _Dot:
    key: str
    label: str
    point: Point
    parent: str | None


def people_of(
    result: object, canvas: Canvas, place: str, findings: list[Finding]
) -> tuple[list[Drawn], list[dict[str, object]]]:
    """People in the order of their first region, and the regions that are none of theirs.

    Args:
        result: The annotation's `result`.
        canvas: What per cent are of.
        place: For findings: task and annotation.
        findings: Is added to.
    """
    regions = [r for r in result if isinstance(r, dict)] if isinstance(result, list) else []
    choices = _choices(regions)
    boxes: dict[str, _Box] = {}
    dots: list[_Dot] = []
    others: list[dict[str, object]] = []
    for number, region in enumerate(regions):
        kind = str(region.get("type"))
        if kind in ("rectanglelabels", "rectangle"):
            box = _box(region, number, canvas, place, findings)
            if box is not None:
                boxes.setdefault(box.key, box)
        elif kind in ("keypointlabels", "keypoint"):
            dot = _dot(region, number, choices, place, findings)
            if dot is not None:
                dots.append(dot)
        elif kind not in _KNOWN and region.get("from_name") != INSTANCE:
            others.append(region)
    for kind, count in Counter(str(region.get("type"))[:40] for region in others).items():
        text = f"{count} regions of type '{kind}'; only rectangles and keypoints have a place"
        findings.append(foreign_finding(LEFT_OUT, place, text, count))
    _assign(boxes, dots, _relations(regions), canvas, place, findings)
    return [Drawn(b.key, b.label, b.box, b.points) for b in boxes.values()], others


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
        said = [dot.parent, *related.get(dot.key, [])]
        box = next((boxes[key] for key in said if key in boxes), None)
        own = _own_key(dot.key)
        if box is None and own is not None:  # a person whose box is gone, or never was
            box = boxes.setdefault(own, _Box(own, None, None))
        if box is None:
            orphans.append(dot)
        elif dot.label in box.points:
            text = f"keypoint '{dot.label}' a second time for the person '{box.key}'; left out"
            findings.append(foreign_finding(UNUSABLE, f"{place} region '{dot.key}'", text))
        else:
            box.points[dot.label] = dot.point
    rectangles = list(boxes.values())
    for dot in orphans:
        free = [box for box in rectangles if dot.label not in box.points]
        inside = [box for box in free if box.distance(dot.point, canvas) == 0]
        if inside:
            box, how = min(inside, key=_Box.area), "the smallest box that holds it"
        elif free:
            box = min(free, key=lambda one: one.distance(dot.point, canvas))
            how = f"the nearest box, {box.distance(dot.point, canvas):.1f} px away"
        else:
            box, how = _without_box(boxes, dot), "a person without a box"
        box.points[dot.label] = dot.point
        text = f"keypoint '{dot.label}' has no parent and no relation; given to {how}"
        findings.append(foreign_finding(ASSUMED, f"{place} region '{dot.key}'", text))


def _without_box(boxes: dict[str, _Box], dot: _Dot) -> _Box:
    """The person without a box that has no such keypoint yet; a new one where none has."""
    for number in range(len(boxes) + 1):
        key = f"loose{number}"
        box = boxes.setdefault(key, _Box(key, None, None))
        if box.box is None and dot.label not in box.points:
            break
    return box


def _own_key(key: str) -> str | None:
    """Of an id that we gave (`p12k3`) the person's (`p12`)."""
    person, separator, number = key.partition("k")
    ours = separator and person[:1] == "p" and person[1:].isdigit() and number.isdigit()
    return person if ours else None


def _choices(regions: list[dict[str, object]]) -> dict[str, int]:
    """Visibility by region id, where a person chose one for the region."""
    found = {}
    for region in regions:
        value = region.get("value")
        chosen = value.get("choices") if isinstance(value, dict) else None
        if region.get("type") == "choices" and isinstance(chosen, list):
            for choice in chosen:
                if isinstance(choice, str) and choice in _VISIBILITY:
                    found[str(region.get("id"))] = _VISIBILITY[choice]
    return found


def _relations(regions: list[dict[str, object]]) -> dict[str, list[str]]:
    """Which regions a region is tied to, in either direction."""
    found: dict[str, list[str]] = {}
    for region in regions:
        if region.get("type") == "relation":
            start, end = str(region.get("from_id")), str(region.get("to_id"))
            found.setdefault(start, []).append(end)
            found.setdefault(end, []).append(start)
    return found


def _label(region: dict[str, object], field: str) -> str | None:
    value = region.get("value")
    labels = value.get(field) if isinstance(value, dict) else None
    first = labels[0] if isinstance(labels, list) and labels else None
    return first if isinstance(first, str) else None


def _box(
    region: dict[str, object],
    number: int,
    canvas: Canvas,
    place: str,
    findings: list[Finding],
) -> _Box | None:
    key = str(region.get("id", f"region{number}"))
    where = f"{place} region '{key[:40]}'"
    value = region.get("value")
    box = percent(value, "x", "y", "width", "height") if isinstance(value, dict) else None
    if box is None:
        text = "a rectangle without four numbers x, y, width, height; left out"
        findings.append(foreign_finding(UNUSABLE, where, text))
        return None
    turned = percent(value, "rotation") if isinstance(value, dict) else None
    if turned is not None and turned[0] % 360 != 0:
        text = f"a rectangle turned by {turned[0]:g} degrees; the upright box round it is taken"
        findings.append(foreign_finding(ASSUMED, where, text))
        box = hull(box, turned[0], canvas)
    return _Box(key, _label(region, "rectanglelabels"), box)


def _dot(
    region: dict[str, object],
    number: int,
    choices: dict[str, int],
    place: str,
    findings: list[Finding],
) -> _Dot | None:
    key = str(region.get("id", f"region{number}"))
    value, label = region.get("value"), _label(region, "keypointlabels")
    at = percent(value, "x", "y") if isinstance(value, dict) else None
    if at is None or label is None:
        text = "a keypoint without a label or without two numbers x, y; left out"
        findings.append(foreign_finding(UNUSABLE, f"{place} region '{key[:40]}'", text))
        return None
    parent = region.get("parentID")
    parent = parent if isinstance(parent, str) else None
    return _Dot(key, label, (at[0], at[1], choices.get(key, 2)), parent)
