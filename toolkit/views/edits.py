"""What a person changed in FiftyOne, found by comparing with what was put there.

The labels are compared with the ones that the kept file gives, number by number. A point
counts as moved from a millionth of a pixel: no person moves less, and no rounding of shares
of a picture moves more. Labels are known by their ids: one without an id of ours is new, one
of ours that is not there was deleted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Visibility
from toolkit.dataset import Dataset
from toolkit.views.documents import (
    BOXES,
    POINTS,
    Json,
    LabelIds,
    category_names,
    kind_of,
    scaled_boxes,
    scaled_points,
)
from toolkit.views.keep import Kept

if TYPE_CHECKING:
    from fiftyone import Dataset as FiftyOneDataset

Floats = NDArray[np.float64]
MOVED_PX = 1e-6
# FiftyOne's own; everything else that the toolkit did not write is a person's.
_LABEL_KEYS = {
    "_id", "_cls", "tags", "label", "bounding_box", "points", "confidence", "index",
    "attributes", "mask", "mask_path", "instance", "created_at", "last_modified_at", "rendered",
}  # fmt: skip
_FRAME_KEYS = {
    "_id", "filepath", "tags", "metadata", "_media_type", "_rand", "_dataset_id", "created_at",
    "last_modified_at",
}  # fmt: skip
_PLAIN = (str, int, float, bool)


@dataclass
class NewPerson:
    """Labels that a person drew; either may be missing.

    Attributes:
        image: Row of the image.
        box: (4,) shares of the picture, or None.
        points: (K, 2) shares of the picture, or None.
        visibility: K flags, or None.
        label: Name of the category.
        tags: The person's tags.
        extra: Attributes that the person added.
    """

    image: int
    box: list[float] | None = None
    points: Floats | None = None
    visibility: list[object] | None = None
    label: str | None = None
    tags: list[str] = field(default_factory=list)
    extra: Json = field(default_factory=dict)


@dataclass
class Edits:
    """Everything that differs; N instances and I images as they were put there.

    Attributes:
        box: (N, 4) shares of the picture as they are now, NaN where there is no box.
        points: (N, K, 2) the same of the keypoints.
        visibility: (N, K) flags as they are now.
        size_wh: (I, 2) px.
        removed: Rows of instances of which no label is left.
        removed_images: Rows of frames that are gone.
        added: New people.
        tags: (row → tags) of instances whose own tags changed.
        image_tags: The same of images.
        fields: (row → name → value) of attributes that were added or changed.
        image_fields: The same of images.
        categories: (row → id) of instances that got another category.
        crowds: (row → flag) of instances whose crowd flag changed.
        notes: What cannot come home, in words.
    """

    box: Floats
    points: Floats
    visibility: NDArray[np.uint8]
    size_wh: NDArray[np.int64]
    removed: set[int] = field(default_factory=set)
    removed_images: set[int] = field(default_factory=set)
    added: list[NewPerson] = field(default_factory=list)
    tags: dict[int, list[str]] = field(default_factory=dict)
    image_tags: dict[int, list[str]] = field(default_factory=dict)
    fields: dict[int, Json] = field(default_factory=dict)
    image_fields: dict[int, Json] = field(default_factory=dict)
    categories: dict[int, int] = field(default_factory=dict)
    crowds: dict[int, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_edits(view: FiftyOneDataset, kept: Kept, dataset: Dataset) -> Edits:
    """Compare every label with what was put there.

    Args:
        view: The data set in FiftyOne.
        kept: Its origin.
        dataset: The kept file as arrays.
    """
    from fiftyone.core.odm import get_db_conn  # lazy: 2 to 7 s

    predictions = kept.recipe.get("models", "").split(",")
    without = {name: False for name in predictions if name}
    collection = get_db_conn()[view._sample_collection_name]
    return edits_in(collection.find({}, without or None), kept, dataset)


def edits_in(documents: Iterable[Json], kept: Kept, dataset: Dataset) -> Edits:
    """The same of the frames as FiftyOne stores them, see `toolkit.views.documents`."""
    finder = _Finder(kept, dataset)
    for document in documents:
        finder.frame(document)
    return finder.finish()


class _Finder:
    """Goes through the frames once, and then compares the arrays."""

    def __init__(self, kept: Kept, dataset: Dataset) -> None:
        from toolkit.views.gather import own_tags

        self.dataset = dataset
        self.ids = LabelIds(kept.prefix)
        self.ours = set(kept.fields)
        people, images = dataset.annotations, dataset.images
        places = zip(dataset.image_row.tolist(), people.instance_id.tolist(), strict=True)
        self.row_of = {place: row for row, place in enumerate(places)}
        self.category_ids = {name: key for key, name in category_names(dataset).items()}
        self.labels = category_names(dataset)
        self.rules = rules_of()
        self.own_tags = own_tags(dataset, "annotations")
        self.own_image_tags = own_tags(dataset, "images")
        self.size = images.size_wh.copy()
        self.edits = Edits(
            box=np.full((len(people), 4), np.nan),
            points=np.full(people.keypoints.shape, np.nan),
            visibility=people.visibility.copy(),
            size_wh=self.size,
        )
        self.seen_images: set[int] = set()
        self.drawn: dict[tuple[int, object], NewPerson] = {}
        self.found = {BOXES: np.zeros(len(people), bool), POINTS: np.zeros(len(people), bool)}
        self.tags_now: dict[int, list[list[str]]] = {}

    def frame(self, document: Json) -> None:
        """Take in one frame."""
        row = self.ids.row_of(str(document["_id"]), kind_of("sample"))
        if row is None or row >= len(self.dataset.images):
            self._note(f"frame '{document.get('filepath')}' was added in FiftyOne")
            return
        self.seen_images.add(row)
        size = document.get("metadata")
        if (self.size[row] <= 0).any() and isinstance(size, dict):
            self.size[row] = size["width"], size["height"]
        self._frame_fields(row, document)
        new: list[tuple[str, Json]] = []
        for name, inner in ((BOXES, "detections"), (POINTS, "keypoints")):
            holder = document.get(name)
            labels = holder.get(inner) if isinstance(holder, dict) else None
            for label in labels or ():
                if not self._label(row, name, label):
                    new.append((name, label))
        for name, label in new:
            person = self._lacking(row, name, label)
            if person is None:
                self._drawn(row, name, label)
            else:  # drawn again: tags of the one that is gone were not taken off
                now = {*_own(self.own_tags[person]), *_own(label.get("tags"))}
                self.tags_now.setdefault(person, []).append(sorted(now))
                self._of_person(person, name, label)

    def _frame_fields(self, row: int, document: Json) -> None:
        images = self.dataset.images
        now, own = _own(document.get("tags")), self.own_image_tags[row]
        if set(now) != set(_own(own)):
            self.edits.image_tags[row] = [*(t for t in own if t in self.rules), *now]
        changed: Json = {}
        if document.get("clip") != images.clips[row]:
            changed["clip"] = document.get("clip")
        frame = int(images.frames[row])
        if document.get("frame") != (None if frame < 0 else frame):
            changed["frame"] = document.get("frame")
        for key, value in document.items():
            if key in _FRAME_KEYS or key in self.ours or value is None:
                continue
            if _is_plain(value):
                changed[key] = value
            else:
                self._note(f"field '{key}' of frames holds what COCO has no place for")
        if changed:
            self.edits.image_fields[row] = changed

    def _label(self, image: int, name: str, label: Json) -> bool:
        """Take in a label of ours; False for one that a person drew."""
        row = self.ids.row_of(str(label["_id"]), kind_of(name))
        if row is None or row >= len(self.dataset.annotations):
            return False
        if int(self.dataset.image_row[row]) == image:
            self.tags_now.setdefault(row, []).append(_own(label.get("tags")))
            self._of_person(row, name, label)
            return True
        self._note("labels that were moved to another frame stay where they were")
        if not self.found[name][row]:
            self.found[name][row] = True
            self._as_before(row, name)
        return True

    def _lacking(self, image: int, name: str, label: Json) -> int | None:
        """Whose drawn label it is: somebody of its annotation_id who has no such label."""
        key = label.get("annotation_id")
        row = self.row_of.get((image, key)) if isinstance(key, int) else None
        return None if row is None or self.found[name][row] else row

    def _of_person(self, row: int, name: str, label: Json) -> None:
        people = self.dataset.annotations
        self.found[name][row] = True
        said = label.get("label")
        if said is not None and said != self.labels.get(int(people.category_id[row]), "person"):
            category = self.category_ids.get(str(said))
            if category is None:
                self._note(f"label '{said}' is no category of the file")
            else:
                self.edits.categories[row] = category
        crowd = label.get("iscrowd")
        if crowd is not None and bool(crowd) != bool(people.is_crowd[row]):
            self.edits.crowds[row] = bool(crowd)
        if label.get("annotation_id") != int(people.instance_id[row]):
            self._note("an annotation_id that was changed in FiftyOne stays what it was")
        self._extra(label, self.edits.fields.setdefault(row, {}))
        if name == BOXES:
            self.edits.box[row] = _numbers(label.get("bounding_box"), 4)
        else:
            self._points(row, label)

    def _points(self, row: int, label: Json) -> None:
        width = self.edits.points.shape[1]
        points = _points_of(label, width)
        if points is None:
            got = (
                len(points_list) if isinstance(points_list := label.get("points"), list) else 0
            )
            self._note(
                f"annotation {int(self.dataset.annotations.instance_id[row])} has {got} "
                f"points in FiftyOne; wanted {width}: left as it was"
            )
            self._as_before(row, POINTS)
            return
        self.edits.points[row] = points
        flags = _flags(label.get("visibility"), width)
        if label.get("visibility") is None:
            pass  # drawn anew: the flags of those that are labelled stay
        elif flags is None:
            self._note("visibilities other than 0, 1, 2 (or a list of another length)")
        else:
            self.edits.visibility[row] = flags

    def _as_before(self, row: int, name: str) -> None:
        """Leave a label where it was put."""
        people, size = self.dataset.annotations, self.size[self.dataset.image_row[row]][None]
        if name == BOXES:
            self.edits.box[row] = scaled_boxes(people.bbox_xywh[row][None], size)[0]
        else:
            self.edits.points[row] = scaled_points(people.keypoints[row][None], size)[0]

    def _drawn(self, image: int, name: str, label: Json) -> None:
        """A new label; box and keypoints of one new annotation_id are one person."""
        width = self.edits.points.shape[1]
        key = label.get("annotation_id")
        person = self.drawn.setdefault(
            (image, key if key is not None else str(label["_id"])), NewPerson(image)
        )
        if name == BOXES:
            person.box = _numbers(label.get("bounding_box"), 4).tolist()
        else:
            person.points = _points_of(label, width)
            if person.points is None:
                self._note(f"new keypoints that are not {width} points")
            flags = label.get("visibility")
            person.visibility = list(flags) if isinstance(flags, list) else None
        person.label = str(label.get("label") or "") or person.label
        person.tags = sorted({*person.tags, *_own(label.get("tags"))})
        self._extra(label, person.extra)

    def _extra(self, label: Json, into: Json) -> None:
        for key, value in label.items():
            if key in _LABEL_KEYS or key in self.ours or value is None or key.startswith("_"):
                continue
            if _is_plain(value):
                into[key] = value
            else:
                self._note(f"attribute '{key}' holds what COCO has no place for")

    def finish(self) -> Edits:
        """Compare what was found with what was put there."""
        edits, people = self.edits, self.dataset.annotations
        boxed = np.isfinite(people.bbox_xywh).all(axis=1)
        seen = people.labelled.any(axis=1)
        put = boxed | seen
        gone = put & ~self.found[BOXES] & ~self.found[POINTS]
        edits.removed = set(np.flatnonzero(gone).tolist())
        everyone = range(len(self.dataset.images))
        edits.removed_images = set(everyone) - self.seen_images
        edits.added = [p for p in self.drawn.values() if p.box or p.points is not None]
        for row, lists in self.tags_now.items():
            before = set(_own(self.own_tags[row]))
            # On either label: added on one is added, taken off one is taken off.
            added = set().union(*lists) - before
            kept = before.intersection(*map(set, lists))
            if added or kept != before:
                stay = kept | self.rules  # the file's own stay, whatever they are called
                own = self.own_tags[row]
                edits.tags[row] = [t for t in own if t in stay] + sorted(added)
        edits.fields = {row: fields for row, fields in edits.fields.items() if fields}
        return edits

    def _note(self, what: str) -> None:
        if what not in self.edits.notes:
            self.edits.notes.append(what)


def moved(now: Floats, before: Floats, size_wh: Floats) -> NDArray[np.bool_]:
    """Which shares of a picture differ by a millionth of a pixel, or in being there."""
    with np.errstate(invalid="ignore"):
        far = np.abs(now - before) * size_wh > MOVED_PX
    return np.asarray(far | (np.isnan(now) != np.isnan(before)))


def shortest(share: float, size: float) -> float:
    """The number of px with the fewest digits that gives exactly this share of a side."""
    value = share * size
    for digits in range(17):
        candidate = round(value, digits)
        if candidate / size == share:
            return candidate
    return value


def rules_of() -> frozenset[str]:
    """Codes of the validator: as tags they are ours, whoever set them."""
    from toolkit.checks import CHECKS
    from toolkit.formats import RULES

    return frozenset({check.code for check in CHECKS} | {rule.code for rule in RULES})


def _own(tags: object) -> list[str]:
    """The tags of a label without the validator's."""
    rules = rules_of()
    given = tags if isinstance(tags, list) else []
    return [str(each) for each in given if each not in rules]


def _numbers(value: object, count: int) -> Floats:
    if not isinstance(value, list) or len(value) != count:
        return np.full(count, np.nan)
    return np.array([math.nan if each is None else float(each) for each in value])


def _points_of(label: Mapping[str, object], count: int) -> Floats | None:
    """(K, 2) points, NaN where absent; None where the list has another length."""
    value = label.get("points")
    if not isinstance(value, list) or len(value) != count:
        return None
    points = np.array([_numbers(each, 2) for each in value])
    points[np.isnan(points).any(axis=1)] = np.nan
    return points


def _flags(value: object, count: int) -> list[int] | None:
    allowed = {int(flag) for flag in Visibility}
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(isinstance(each, int | float) and each in allowed for each in value):
        return None
    return [int(each) for each in value]


def _is_plain(value: object) -> bool:
    """Whether JSON has it, and it is no label of FiftyOne."""
    if isinstance(value, dict):
        return "_cls" not in value and _all_plain(value.values())
    return _all_plain(value) if isinstance(value, list) else isinstance(value, _PLAIN)


def _all_plain(values: Iterable[object]) -> bool:
    return all(each is None or _is_plain(each) for each in values)
