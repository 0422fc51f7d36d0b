"""What differs between two annotation files, keypoint by keypoint.

Compared is what the files say, not how they spell it: `10` and `10.0`, white space and the
order of keys are no differences. The order of the records is told, and is no difference
either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.curate.fields import FieldChange, Records, changed_fields
from toolkit.curate.match import (
    THRESHOLD,
    MatchBy,
    Pairs,
    Shared,
    match_images,
    match_people,
)
from toolkit.curate.records import document_of
from toolkit.dataset import Dataset
from toolkit.formats.coco_write import CocoSource

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Diff:
    """The differences between two files; P paired people, S keypoints in common.

    Attributes:
        old: The first data set.
        new: The second.
        tolerance: Moves of at most this many px are not counted.
        threshold: OKS from which people without a common id are taken for one.
        images: Which image is which.
        people: Which person is which.
        shared: The keypoints in common, by name.
        moved_px: (P, S) how far each keypoint moved, NaN where a file does not label it.
        old_visibility: (P, S) before.
        new_visibility: (P, S) after.
        box_px: (P,) the largest move of a box's edge; infinite where a file has no box.
        fields: Everything else that differs, by record.
        reordered: The lists whose records stand in another order.
        same_bytes: Whether the files are equal byte for byte.
    """

    old: Dataset
    new: Dataset
    tolerance: float
    threshold: float
    images: Pairs
    people: Pairs
    shared: Shared
    moved_px: Floats
    old_visibility: NDArray[np.uint8]
    new_visibility: NDArray[np.uint8]
    box_px: Floats
    fields: tuple[FieldChange, ...]
    reordered: tuple[str, ...]
    same_bytes: bool

    @property
    def moved(self) -> Bools:
        """(P, S) keypoints that moved by more than the tolerance."""
        return np.asarray(self.moved_px > self.tolerance)

    @property
    def relabelled(self) -> Bools:
        """(P, S) keypoints whose visibility changed."""
        return np.asarray(self.old_visibility != self.new_visibility)

    @property
    def boxes(self) -> Bools:
        """(P,) people whose box changed by more than the tolerance."""
        return np.asarray(self.box_px > self.tolerance)

    @property
    def removed(self) -> Indices:
        """Rows of the old people that the new file does not have."""
        return np.setdiff1d(np.arange(len(self.old.annotations)), self.people.old)

    @property
    def added(self) -> Indices:
        """Rows of the new people that the old file does not have."""
        return np.setdiff1d(np.arange(len(self.new.annotations)), self.people.new)

    @property
    def removed_images(self) -> Indices:
        """Rows of the old images that the new file does not have."""
        return np.setdiff1d(np.arange(len(self.old.images)), self.images.old)

    @property
    def added_images(self) -> Indices:
        """Rows of the new images that the old file does not have."""
        return np.setdiff1d(np.arange(len(self.new.images)), self.images.new)

    @property
    def renumbered(self) -> int:
        """How many paired people have another id."""
        ids = self.old.annotations.instance_id, self.new.annotations.instance_id
        return int((ids[0][self.people.old] != ids[1][self.people.new]).sum())

    @property
    def keypoints_changed(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the keypoints that only the old, and only the new file has."""
        before, after = self.old.schema.names, self.new.schema.names
        return (
            tuple(name for name in before if name not in after),
            tuple(name for name in after if name not in before),
        )

    @property
    def equal(self) -> bool:
        """Whether the files say the same, but for the order of records and the tolerance."""
        return not (
            self.fields
            or self.moved.any()
            or self.relabelled.any()
            or self.boxes.any()
            or self.renumbered
            or any(self.keypoints_changed)
            or len(self.removed) + len(self.added)
            or len(self.removed_images) + len(self.added_images)
        )

    def largest_moves(self, count: int | None = None) -> list[tuple[int, int]]:
        """The pair and the keypoint of the largest moves, largest first."""
        rows, columns = np.nonzero(self.moved)
        order = np.argsort(-self.moved_px[rows, columns], kind="stable")[:count]
        return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def diff(
    old: Dataset,
    new: Dataset,
    *,
    tolerance: float = 0.0,
    threshold: float = THRESHOLD,
    match: MatchBy = "auto",
) -> Diff:
    """Compare two annotation files.

    Args:
        old: The first, as `toolkit.formats.scan` or `read` gives it.
        new: The second.
        tolerance: Keypoints and box edges that moved by at most this many px count as
            unmoved.
        threshold: OKS from which people without a common id are taken for one.
        match: How people are paired, see `toolkit.curate.match.match_people`.

    Returns:
        Everything that differs.
    """
    images = match_images(old.images, new.images)
    image_of = {
        int(old.images.ids[a]): int(new.images.ids[b])
        for a, b in zip(images.old.tolist(), images.new.tolist(), strict=True)
    }
    before, after = old.annotations, new.annotations
    people = match_people(before, after, image_of, threshold=threshold, by=match)
    shared = Shared.of(old.schema, new.schema)
    a, b = people.old, people.new
    flags = before.visibility[a][:, shared.old], after.visibility[b][:, shared.new]
    offset = after.keypoints[b][:, shared.new] - before.keypoints[a][:, shared.old]
    moved = np.hypot(offset[..., 0], offset[..., 1])
    box = _box_px(before.bbox_xywh[a], after.bbox_xywh[b])
    touched = ((moved > 0) | (flags[0] != flags[1])).any(axis=1)
    records = _records(old), _records(new)
    fields = changed_fields(records, images, people, shared, image_of, touched)
    same = old.sha256 is not None and old.sha256 == new.sha256
    return Diff(
        old, new, tolerance, threshold, images, people, shared, moved, *flags, box,
        tuple(fields), tuple(_reordered(images, people)), same,
    )  # fmt: skip


def _records(dataset: Dataset) -> Records:
    source = dataset.source
    if isinstance(source, CocoSource):
        rows = source.image_records, source.annotation_records
    else:
        rows = np.arange(len(dataset.images)), np.arange(len(dataset.annotations))
    return Records(document_of(dataset), dataset.images, dataset.annotations, *rows)


def _box_px(old: Floats, new: Floats) -> Floats:
    """(P,) the largest move of an edge; 0 without boxes, infinite with one of two.

    Another width whose edge is the same after rounding is a difference too, of that width.
    """
    edges = [
        np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1) for box in (old, new)
    ]
    move = np.abs(edges[1] - edges[0]).max(axis=1, initial=0.0)
    move = np.where(move == 0, np.abs(new - old).max(axis=1, initial=0.0), move)
    missing = [np.isnan(box).any(axis=1) for box in (old, new)]
    return np.asarray(
        np.where(missing[0] & missing[1], 0.0, np.where(np.isnan(move), np.inf, move))
    )


def _reordered(images: Pairs, people: Pairs) -> Iterator[str]:
    """The lists whose paired records do not stand in one order."""
    for name, pairs in (("images", images), ("annotations", people)):
        if (np.diff(pairs.new) < 0).any():
            yield name
