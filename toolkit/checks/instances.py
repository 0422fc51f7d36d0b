"""The same person twice: in one image, or copied into another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import INFO, WARNING, Check, Hits, Subject, everywhere
from toolkit.checks.pairs import same_image_pairs

Floats = NDArray[np.float64]

ALIKE = 0.95  # OKS from which two instances of one image are one person
FEWEST = 3  # keypoints that both have
OVERLAP = 0.5  # of the boxes; people who are one have nearly one box
COPIED = 5  # labelled keypoints that agree to the last digit
_SIGMA = 0.05  # where the schema has none: tighter than COCO's for a body's joints
_AREA = 0.53  # of a box, as CrowdPose's evaluation has it


def _duplicates(subject: Subject) -> Iterator[Hits]:
    first, second = same_image_pairs(subject, touching=True)
    boxes = subject.dataset.annotations.bbox_xywh
    near = _overlap(boxes[first], boxes[second]) >= OVERLAP
    first, second = first[near], second[near]
    alike = _similarity(subject, first, second)
    same = alike >= ALIKE
    partner: dict[int, tuple[int, float]] = {}
    for row, other, oks in zip(second[same], first[same], alike[same], strict=True):
        partner.setdefault(int(row), (int(other), float(oks)))

    def describe(row: int) -> str:
        other, oks = partner[row]
        at = subject.index("annotations", other)
        return f"annotations[{at}] is the same person (OKS {oks:.2f}); one of the two is enough"

    rows = np.array(sorted(partner), dtype=np.int64)
    yield Hits("annotations", rows, describe, "person labelled twice", "keypoints")


def _overlap(a: Floats, b: Floats) -> Floats:
    """(P,) intersection over union of pairs of boxes."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    side = np.clip(high - low, 0, None)
    inner = side[:, 0] * side[:, 1]
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - inner
    return np.asarray(np.divide(inner, union, out=np.zeros_like(inner), where=union > 0))


def _similarity(
    subject: Subject, first: NDArray[np.int64], second: NDArray[np.int64]
) -> Floats:
    """(P,) OKS over the keypoints that both have; 0 where these are too few.

    All labelled keypoints of the one with fewer must be among them, but for one.
    """
    schema, people = subject.dataset.schema, subject.dataset.annotations
    sigmas = schema.sigmas if schema.has_sigmas else np.full(schema.num_keypoints, _SIGMA)
    gap = people.keypoints[first] - people.keypoints[second]
    square = gap[..., 0] ** 2 + gap[..., 1] ** 2
    area = _AREA * people.bbox_xywh[first, 2] * people.bbox_xywh[first, 3]
    scale = 2 * (2 * sigmas) ** 2 * np.maximum(area, 1)[:, None]
    shared = np.isfinite(square)
    count = np.count_nonzero(shared, axis=1)
    total = np.where(shared, np.exp(-np.where(shared, square, 0) / scale), 0).sum(axis=1)
    labelled = subject.labelled_count
    enough = (count >= FEWEST) & (count >= np.minimum(labelled[first], labelled[second]) - 1)
    return np.asarray(np.where(enough, total / np.maximum(count, 1), 0))


def _copies(subject: Subject) -> Iterator[Hits]:
    labelled = subject.labelled_count
    rows = np.flatnonzero(labelled >= COPIED)
    codes = _fingerprints(subject.xy)[rows]
    order = np.argsort(codes, kind="stable")
    rows, codes = rows[order], codes[order]
    same = np.flatnonzero(codes[1:] == codes[:-1]) + 1
    images = subject.dataset.annotations.image_id
    earlier = {
        int(rows[at]): int(rows[at - 1])
        for at in same.tolist()
        if images[rows[at]] != images[rows[at - 1]]
    }

    def describe(row: int) -> str:
        other = subject.index("annotations", earlier[row])
        return (
            f"all {labelled[row]} labelled keypoints are those of annotations[{other}] in "
            f"image_id {images[earlier[row]]}, to the last digit"
        )

    found = np.array(sorted(earlier), dtype=np.int64)
    summary = "keypoints copied from another image"
    yield Hits("annotations", found, describe, summary, "keypoints")


def _fingerprints(xy: Floats) -> NDArray[np.uint64]:
    """(N,) a number for all coordinates of an instance; equal ones have equal numbers."""
    total: NDArray[np.uint64] = np.zeros(xy.shape[2], np.uint64)
    for x, y in zip(xy[0], xy[1], strict=True):
        # Equal places give equal bits; adding 0 makes -0.0 and 0.0 one number.
        total *= np.uint64(0x9E3779B97F4A7C15)
        total += (x + 1234.56789 * y + 0.0).view(np.uint64)
    return total


def _unlabelled(subject: Subject) -> Iterator[Hits]:
    people = subject.dataset.annotations

    def describe(row: int) -> str:
        return "no keypoint is labelled"

    rows = np.flatnonzero(subject.labelled_count == 0)
    kept = subject.unreported("annotations", _mask(rows, len(people)), "keypoints")
    yield Hits("annotations", kept, describe, "no labelled keypoint", "keypoints")


def _mask(rows: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return mask


def _crowds(subject: Subject) -> Iterator[Hits]:
    people = subject.dataset.annotations

    def describe(row: int) -> str:
        return "iscrowd is 1 and keypoints are labelled; evaluators ignore them"

    rows = np.flatnonzero(people.is_crowd & (subject.labelled_count > 0))
    yield Hits("annotations", rows, describe, "crowd with labelled keypoints", "iscrowd")


INSTANCE_DUPLICATE = Check(
    "instance-duplicate",
    "Nobody is labelled twice in an image: two instances with an OKS of 0.95 or more on the "
    "keypoints that both have, and overlapping boxes, are one person.",
    everywhere(WARNING),
    _duplicates,
    family="sets",
    repair="Remove the instance with fewer labelled keypoints.",
)
INSTANCE_COPIED = Check(
    "instance-copied",
    "Two images do not have the same person with the same coordinates to the last digit: "
    "labels that were carried over were not looked at.",
    everywhere(WARNING),
    _copies,
    family="sets",
    repair="Label the person in the later image, or remove the image if it is a copy.",
)
INSTANCE_UNLABELLED = Check(
    "instance-unlabelled",
    "An instance without any labelled keypoint is ordinary in COCO (four in ten); it trains "
    "and scores nothing.",
    everywhere(INFO),
    _unlabelled,
    family="visibility",
)
CROWD_LABELLED = Check(
    "crowd-labelled",
    "A crowd (iscrowd 1) stands for many people, so that keypoints of it are ignored.",
    everywhere(INFO),
    _crowds,
    family="visibility",
)
