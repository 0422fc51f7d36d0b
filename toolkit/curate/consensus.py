"""One label out of several, by a stated rule, with how sure it is.

A person stays if at least half of the annotators labelled it. A keypoint stays if at least
half of those who labelled the person labelled it; it lies at the median of their labels, x
and y apart (of two labels: half way). Its visibility is the most frequent flag, of equally
frequent ones the more hidden. The box is the median of the boxes' corners. Everything else
is the first annotator's, byte for byte. Each record gets a field `consensus` that says how
many people looked and how far their labels lie apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.curate.annotators import Panel, joined
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
            labelled come last, under new ids.
        annotators: (N,) how many labelled each person.
        labelled_by: (N, K) how many labelled each keypoint.
        spread_px: (N, K) root mean squared 2-D distance of a label from the true place, as
            far as the labels tell (n / (n - 1)); NaN below two labels.
        dropped: People that fewer than half of the annotators labelled.
    """

    dataset: Dataset
    annotators: NDArray[np.int64]
    labelled_by: NDArray[np.int64]
    spread_px: Floats
    dropped: int

    def write(self, path: Path, *, force: bool = False) -> None:
        """Write the file, whole or not at all.

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
        edits["annotations"] = replace(edit, replaced=replaced, appended=tuple(appended))
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
    kept = np.flatnonzero(2 * present.sum(axis=0) >= len(panel.names))
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
    )


def _people(
    panel: Panel, kept: NDArray[np.int64], places: Floats, flags: NDArray[np.uint8]
) -> Annotations:
    first = panel.reference.annotations
    own = kept[kept < len(first)]
    corners = panel.bbox_xywh[:, kept].copy()
    corners[..., 2:] += corners[..., :2]
    boxes = _median(corners)
    boxes[:, 2:] -= boxes[:, :2]
    base = first[own]
    mine = slice(0, len(own))
    # Where all agree with the first annotator, their numbers stay as they are spelled.
    same = np.isclose(boxes[mine], base.bbox_xywh, rtol=0, atol=1e-9) | np.isnan(boxes[mine])
    labelled_count = (flags > 0).sum(axis=1)
    stated = base.num_keypoints
    truthful = stated == base.labelled.sum(axis=1)
    agreed = replace(
        base,
        keypoints=places[mine],
        visibility=flags[mine],
        bbox_xywh=np.where(same, base.bbox_xywh, boxes[mine]),
        num_keypoints=np.where(truthful, labelled_count[mine], stated),
    )
    if len(own) == len(kept):
        return agreed
    rest = slice(len(own), None)

    new = Annotations.from_arrays(
        first.schema,
        image_id=panel.image_id[kept[rest]],
        keypoints=places[rest],
        visibility=flags[rest],
        bbox_xywh=boxes[rest],
        instance_id=int(first.instance_id.max(initial=0)) + 1 + np.arange(len(kept) - len(own)),
        category_id=np.full(len(kept) - len(own), _category(first)),
    )
    return joined(agreed, new)


def _category(people: Annotations) -> int:
    values, counts = np.unique(people.category_id, return_counts=True)
    return int(values[counts.argmax()]) if len(values) else 1


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
