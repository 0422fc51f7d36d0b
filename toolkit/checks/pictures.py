"""Pictures of the worst instances: those with the most and the most severe findings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.dataset import Dataset
from toolkit.draw import Canvas, draw_image, instance_view
from toolkit.errors import ToolkitError
from toolkit.formats.coco_write import CocoSource
from toolkit.images import load_image, resolve_image
from toolkit.ink import DARK, encode_jpeg
from toolkit.report import Finding, Severity

PICTURES = 12
SAME = 2  # pictures of instances that break the same rules, while there are others
LONG_SIDE = 560  # px
OFFENDING = (235, 45, 45)
_FARTHEST = 8.0  # of the image's size: a view beyond it would show a dot


@dataclass(frozen=True)
class Picture:
    """One instance and what is wrong with it.

    Attributes:
        findings: About this instance, worst first.
        file_name: Of its image.
        jpeg: The drawing, or None where there is none to show.
        reason: Why there is none, or nothing.
    """

    findings: tuple[Finding, ...]
    file_name: str
    jpeg: bytes | None
    reason: str = ""


def worst_pictures(
    findings: Iterable[Finding], dataset: Dataset, images_dir: Path, limit: int = PICTURES
) -> list[Picture]:
    """Draw the instances with the most, and the most severe, findings.

    Errors count before warnings, facts not at all. Of instances that break the same rules
    few are shown while there are others. An image that cannot be read or must not be is
    replaced by the reason.
    """
    chosen = _chosen(_by_row(findings, dataset), limit)
    return [_picture(dataset, row, found, images_dir) for row, found in chosen]


def _by_row(findings: Iterable[Finding], dataset: Dataset) -> dict[int, list[Finding]]:
    source = dataset.source
    count = len(dataset.annotations)
    records = source.annotation_records if isinstance(source, CocoSource) else np.arange(count)
    row_of = {int(record): row for row, record in enumerate(records)}
    found: dict[int, list[Finding]] = defaultdict(list)
    for finding in findings:
        about_one = finding.section == "annotations" and finding.index is not None
        row = row_of.get(finding.index or 0) if about_one else None
        if row is not None and finding.severity is not Severity.INFO:
            found[row].append(finding)
    return found


def _chosen(
    found: dict[int, list[Finding]], limit: int
) -> list[tuple[int, tuple[Finding, ...]]]:
    def badness(row: int) -> tuple[int, int, int]:
        errors = sum(f.severity is Severity.ERROR for f in found[row])
        return -errors, errors - len(found[row]), row

    first: list[int] = []
    later: list[int] = []
    seen: Counter[frozenset[str]] = Counter()
    for row in sorted(found, key=badness):
        rules = frozenset(f.rule for f in found[row])
        seen[rules] += 1
        (first if seen[rules] <= SAME else later).append(row)
    rows = sorted((first + later)[:limit], key=badness)
    return [
        (row, tuple(sorted(found[row], key=lambda f: f.severity is not Severity.ERROR)))
        for row in rows
    ]


def _picture(
    dataset: Dataset, row: int, findings: tuple[Finding, ...], images_dir: Path
) -> Picture:
    images, people = dataset.images, dataset.annotations
    at = np.flatnonzero(images.ids == people.image_id[row])
    if not len(at):
        return Picture(findings, "", None, "its image is not in the file")
    name = images.file_names[int(at[0])]
    try:
        path = resolve_image(images_dir, name, int(people.image_id[row]))
        pixels = load_image(path)
    except ToolkitError as error:
        reason = str(error)
        for folder in (images_dir, images_dir.resolve()):
            reason = reason.replace(f"{folder}/", "")  # a report is no map of this machine
        return Picture(findings, name, None, reason)
    person = people[np.array([row])]
    canvas = draw_image(
        pixels,
        person,
        view_xywh=_view(dataset, row, pixels.shape),
        long_side=LONG_SIDE,
        crops=False,
    )
    for index in _offending(findings, dataset.schema.names):
        _circle(canvas, person.keypoints[0, index])
    return Picture(findings, name, encode_jpeg(canvas.pixels, 84))


def _view(dataset: Dataset, row: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """What to show: the person, else the whole image."""
    height, width = shape[:2]
    whole = np.array([0.0, 0.0, width, height])
    box = dataset.annotations.bbox_xywh[row]
    points = dataset.annotations.keypoints[row]
    known = points[np.isfinite(points).all(axis=1)]
    if not np.isfinite(box).all():
        if not len(known):
            return whole
        low, high = known.min(axis=0), known.max(axis=0)
        box = np.concatenate([low, high - low])
    near = _FARTHEST * max(width, height)
    if max(np.abs(box).max(initial=0), np.abs(known).max(initial=0)) > near:
        return whole
    # A box may have a negative extent: both corners are shown all the same.
    corners = np.stack([box[:2], box[:2] + box[2:]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    view = instance_view(np.concatenate([low, high - low]), points, aspect=4 / 3, margin=0.15)
    if view[2] < 24:  # a single point: show what is round it
        view = np.array([*(view[:2] + view[2:] / 2 - [32, 24]), 64.0, 48.0])
    return view


def _offending(findings: Iterable[Finding], names: tuple[str, ...]) -> list[int]:
    """The keypoints that the messages name."""
    text = "\n".join(f.message for f in findings if f.field == "keypoints")
    return [
        index
        for index, name in enumerate(names)
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    ]


def _circle(canvas: Canvas, point: NDArray[np.float64]) -> None:
    import cv2  # lazy: opencv

    at = canvas.locate(point)
    if not np.isfinite(at).all() or np.abs(at).max() > 8 * LONG_SIDE:
        return
    centre = (round(float(at[0])), round(float(at[1])))
    cv2.circle(canvas.pixels, centre, 17, DARK, 5, cv2.LINE_AA)
    cv2.circle(canvas.pixels, centre, 17, OFFENDING, 3, cv2.LINE_AA)
