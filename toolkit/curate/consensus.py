"""One label out of several, by a stated rule, with how sure it is.

A person stays if at least half of the annotators who were given its image labelled it. A
keypoint stays if at least half of those who labelled the person labelled it; it lies at the
median of their labels, x and y apart (of two labels: half way). Its visibility is the most
frequent flag, of equally frequent ones the more hidden. The box is the median of the boxes'
corners. Everything else is the first annotator's, byte for byte. Each record gets a field
`consensus` that says how many people looked and how far their labels lie apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.curate.annotators import Panel, unnamed_records
from toolkit.curate.records import last_id
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats.coco_write import CocoSource, edits_of
from toolkit.formats.document import Edit, patch_record

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Consensus:
    """What the annotators agree on.

    Attributes:
        dataset: The first annotator's file with the agreed labels; people that only others
            labelled come last, under new ids, with the area and category of the first of
            these.
        annotators: (N,) how many labelled each person.
        labelled_by: (N, K) how many labelled each keypoint.
        spread_px: (N, K) root mean squared 2-D distance of a label from the true place, as
            far as the labels tell (n / (n - 1)); NaN below two labels.
        dropped: People that fewer than half of the annotators labelled.
        unnamed: Index of each record of a file of several annotators that names none of them.
    """

    dataset: Dataset
    annotators: NDArray[np.int64]
    labelled_by: NDArray[np.int64]
    spread_px: Floats
    dropped: int
    unnamed: tuple[int, ...] = ()

    def write(self, path: Path, *, force: bool = False) -> None:
        """Write the file, whole or not at all.

        Of a file of several annotators, records that name none of them stay as they are.

        Raises:
            OutputExistsError: It exists and `force` was not given.
            WriteError: It cannot be written.
        """
        source = self.dataset.source
        if not isinstance(source, CocoSource):
            raise UsageError("a consensus is written into the first annotator's COCO file")
        edits = edits_of(self.dataset, source)
        edit = edits.get("annotations", Edit())
        known = {i: row for row, i in enumerate(source.annotations.instance_id.tolist())}
        replaced, appended, new = dict(edit.replaced), list(edit.appended), 0
        for row, instance in enumerate(self.dataset.annotations.instance_id.tolist()):
            note = {"consensus": json.dumps(self._note(row))}
            if instance in known:
                index = int(source.annotation_records[known[instance]])
                record = replaced.get(index) or source.document.record("annotations", index)
                replaced[index] = patch_record(record, note)
            else:
                appended[new] = patch_record(appended[new], note)
                new += 1
        order = edit.order
        if order is not None:
            order = sorted({*order, *self.unnamed})
        edits["annotations"] = Edit(replaced, order, tuple(appended))
        source.document.write(path, edits, force=force)

    def _note(self, row: int) -> Mapping[str, object]:
        spread = [None if np.isnan(v) else round(float(v), 3) for v in self.spread_px[row]]
        return {
            "annotators": int(self.annotators[row]),
            "labelled_by": self.labelled_by[row].tolist(),
            "spread_px": spread,
        }


def consensus_of(panel: Panel) -> Consensus:
    """The labels that the annotators agree on."""
    present = panel.present
    kept = np.flatnonzero(2 * present.sum(axis=0) >= panel.looked.sum(axis=0))
    count = present.sum(axis=0)[kept]
    labelled = panel.labelled[:, kept]
    numbers = labelled.sum(axis=0)  # (N, K)
    stays = 2 * numbers >= count[:, None]
    stays &= numbers > 0
    points = np.where(labelled[..., None], panel.keypoints[:, kept], np.nan)
    flags = np.where(stays, _most_frequent(panel.visibility[:, kept]), 0).astype(np.uint8)
    places = np.where(stays[..., None], _median(points), np.nan)
    people = _people(panel, kept, places, flags)
    return Consensus(
        replace(panel.reference, annotations=people),
        count.astype(np.int64),
        numbers.astype(np.int64),
        _spread(points, numbers),
        int(present.shape[1] - len(kept)),
        tuple(unnamed_records(panel.reference)),
    )


def _people(
    panel: Panel, kept: NDArray[np.int64], places: Floats, flags: NDArray[np.uint8]
) -> Annotations:
    first = panel.reference.annotations
    corners = panel.bbox_xywh[:, kept].copy()
    corners[..., 2:] += corners[..., :2]
    boxes = _median(corners)
    boxes[:, 2:] -= boxes[:, :2]
    base = panel.people[kept]
    # Where all agree with the first annotator, their numbers stay as they are spelled.
    same = np.isclose(boxes, base.bbox_xywh, rtol=0, atol=1e-9) | np.isnan(boxes)
    labelled_count = (flags > 0).sum(axis=1)
    stated = base.num_keypoints
    truthful = stated == base.labelled.sum(axis=1)
    agreed = replace(
        base,
        keypoints=places,
        visibility=flags,
        bbox_xywh=np.where(same, base.bbox_xywh, boxes),
        num_keypoints=np.where(truthful | (kept >= len(first)), labelled_count, stated),
    )
    new = np.flatnonzero(kept >= len(first))
    if not len(new):
        return agreed
    ids, categories = agreed.instance_id.copy(), agreed.category_id.copy()
    ids[new] = last_id(panel.reference) + 1 + np.arange(len(new))
    known, counts = _categories(panel.reference)
    strange = new[~np.isin(categories[new], known)]
    categories[strange] = known[counts.argmax()] if len(known) else panel.schema.category_id
    return replace(agreed, instance_id=ids, category_id=categories)


def _categories(reference: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The categories of the first annotator's file, and how many people each has."""
    source, people = reference.source, reference.annotations
    stated = [c.id for c in source.categories] if isinstance(source, CocoSource) else []
    known = np.unique(np.concatenate([people.category_id, np.array(stated, np.int64)]))
    return known, (people.category_id[:, None] == known).sum(axis=0)


def _median(values: Floats) -> Floats:
    """Median over annotators, NaN where nobody has a value (without numpy's warning)."""
    order = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    low = np.maximum((count - 1) // 2, 0)[None]
    high = np.maximum(count // 2, 0)[None]
    picked = [np.take_along_axis(order, np.minimum(at, len(order) - 1), axis=0)[0]
              for at in (low, high)]  # fmt: skip
    return np.where(count > 0, (picked[0] + picked[1]) / 2, np.nan)


def _most_frequent(flags: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Of the flags of those who labelled the keypoint; the lower of equally frequent ones."""
    counts = np.stack([(flags == value).sum(axis=0) for value in (1, 2, 3)])
    return np.asarray(1 + counts.argmax(axis=0), dtype=np.int64)


def _spread(points: Floats, numbers: NDArray[np.int64]) -> Floats:
    total = np.where(np.isfinite(points), points, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / numbers[..., None]
        squares = np.where(np.isfinite(points), (points - mean) ** 2, 0.0).sum(axis=(0, 3))
        return np.where(numbers > 1, np.sqrt(squares / (numbers - 1)), np.nan)
