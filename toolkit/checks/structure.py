"""Ids and sections: what must be there, and once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import ERROR, WARNING, Check, Hits, Subject, everywhere
from toolkit.report import Finding


def repeated(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[int, int]]:
    """Rows whose value an earlier row has, and the first row of each such value.

    >>> rows, first = repeated(np.array([5, 6, 5, 5]))
    >>> rows.tolist(), first
    ([2, 3], {2: 0, 3: 0})
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    same = np.zeros(len(values), dtype=bool)
    same[1:] = ordered[1:] == ordered[:-1]
    start = np.maximum.accumulate(np.where(same, 0, np.arange(len(values))))
    first = dict(zip(order[same].tolist(), order[start[same]].tolist(), strict=True))
    return np.sort(order[same]), first


def _annotation_ids(subject: Subject) -> Iterator[Hits | Finding]:
    ids = subject.dataset.annotations.instance_id
    rows, first = repeated(ids)

    def describe(row: int) -> str:
        earlier = subject.index("annotations", first[row])
        return f"annotations[{earlier}] has the same id; ids are unique in a file"

    kept = np.intersect1d(rows, subject.unreported("annotations", ids == ids, "id"))
    yield Hits("annotations", kept, describe, "repeated id", "id")
    if subject.purpose == "validate":
        yield from _ids_of_other_categories(subject)


def _ids_of_other_categories(subject: Subject) -> Iterator[Finding]:
    """One finding for the annotations outside the arrays whose id another one has."""
    if subject.facts is None or subject.annotation_index is None:
        return
    taken = set(subject.dataset.annotations.instance_id.tolist()) - {-1}  # unusable ones
    twice = []
    for index, i in subject.facts.annotation_ids(without=subject.annotation_index):
        if i in taken:
            twice.append((index, i))
        taken.add(i)
    if twice:
        index, i = twice[0]
        yield Finding(
            "annotation-id-duplicate",
            ERROR,
            f"{len(twice):,} annotations of other categories have an id that is taken, the "
            f"first annotations[{index}] id={i}; ids are unique in a file",
            section="annotations",
            field="id",
            count=len(twice),
        )


def _image_ids(subject: Subject) -> Iterator[Hits]:
    ids = subject.dataset.images.ids
    rows, first = repeated(ids)

    def describe(row: int) -> str:
        earlier = subject.index("images", first[row])
        return f"images[{earlier}] has the same id; ids are unique in a file"

    kept = np.intersect1d(rows, subject.unreported("images", ids == ids, "id"))
    yield Hits("images", kept, describe, "repeated id", "id")


def _id_zero(subject: Subject) -> Iterator[Hits]:
    def describe(row: int) -> str:
        return "id is 0; pycocotools reads 0 as 'no match' and counts the instance missed"

    rows = subject.unreported("annotations", subject.dataset.annotations.instance_id == 0, "id")
    yield Hits("annotations", rows, describe, "id 0", "id")


def _empty(subject: Subject) -> Iterator[Finding]:
    told = {f.section for f in subject.found if f.rule.startswith("section-")}
    if not len(subject.dataset.annotations) and "annotations" not in told:
        yield Finding(
            "annotations-empty",
            WARNING,
            "there are no annotations; nothing can be trained or scored on this file",
            section="annotations",
        )


def _repeated_text(values: Sequence[object]) -> tuple[NDArray[np.int64], dict[int, int]]:
    seen: dict[object, int] = {}
    first = {}
    for row, value in enumerate(values):
        if value is not None and seen.setdefault(value, row) != row:
            first[row] = seen[value]
    return np.array(sorted(first), dtype=np.int64), first


def _category_field(subject: Subject, values: Sequence[object], field: str) -> Iterator[Hits]:
    rows, first = _repeated_text(values)

    def describe(row: int) -> str:
        return (
            f"{values[row]!r} is also the {field} of "
            f"categories[{subject.categories[first[row]].index}]; each has its own"
        )

    yield Hits("categories", rows, describe, f"repeated {field}", field)


def _category_ids(subject: Subject) -> Iterator[Hits]:
    ids = [None if category.id == -1 else category.id for category in subject.categories]
    return _category_field(subject, ids, "id")


def _category_names(subject: Subject) -> Iterator[Hits]:
    return _category_field(subject, [c.name or None for c in subject.categories], "name")


def _flip_pairs(subject: Subject) -> Iterator[Hits]:
    alone: dict[int, list[str]] = {}
    for row, category in enumerate(subject.categories):
        names = category.keypoints
        lost = [n for n in names if (other := _mirrored(n)) and other not in names]
        if lost:
            alone[row] = lost

    def describe(row: int) -> str:
        pairs = ", ".join(f"'{n}' without '{_mirrored(n)}'" for n in alone[row])
        return f"{pairs}; a mirrored image needs both sides of a pair"

    rows = np.array(sorted(alone), dtype=np.int64)
    yield Hits("categories", rows, describe, "one side of a pair only", "keypoints")


def _mirrored(name: str) -> str | None:
    for side, other in (("left", "right"), ("right", "left")):
        if name.startswith(f"{side}_"):
            return f"{other}{name[len(side) :]}"
    return None


ANNOTATION_ID_DUPLICATE = Check(
    "annotation-id-duplicate",
    "Every annotation has an id of its own: evaluators keep one of the instances that share "
    "an id and give wrong scores without a word.",
    everywhere(ERROR),
    _annotation_ids,
    needed_to_evaluate=True,
    family="structure",
)
ANNOTATION_ID_ZERO = Check(
    "annotation-id-zero",
    "Annotation ids start at 1: several evaluators use 0 for 'not matched' and count an "
    "instance with id 0 as missed.",
    everywhere(WARNING),
    _id_zero,
    family="structure",
)
ANNOTATIONS_EMPTY = Check(
    "annotations-empty",
    "A file without annotations is allowed, and of no use for training or scoring.",
    everywhere(WARNING),
    _empty,
    family="structure",
)
IMAGE_ID_DUPLICATE = Check(
    "image-id-duplicate",
    "Every image has an id of its own, or annotations cannot say which image they mean.",
    everywhere(ERROR),
    _image_ids,
    needed_to_evaluate=True,
    family="structure",
)
CATEGORY_ID_DUPLICATE = Check(
    "category-id-duplicate",
    "Every category has an id of its own, or annotations cannot say which they mean.",
    everywhere(ERROR),
    _category_ids,
    needed_to_evaluate=True,
    family="structure",
)
CATEGORY_NAME_DUPLICATE = Check(
    "category-name-duplicate",
    "Every category has a name of its own: tables and exports go by name.",
    everywhere(ERROR),
    _category_names,
    family="structure",
)
KEYPOINT_PAIR_MISSING = Check(
    "keypoint-pair-missing",
    "A keypoint left_X has a partner right_X: mirroring an image moves one to the other.",
    everywhere(ERROR),
    _flip_pairs,
    family="structure",
)
