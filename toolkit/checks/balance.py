"""What a file has much and little of: categories, keypoints, empty images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import INFO, WARNING, Check, Hits, Subject, everywhere
from toolkit.errors import counted
from toolkit.report import Finding

LOPSIDED = 20  # instances of the most frequent category for one of the rarest


def _counts(subject: Subject) -> NDArray[np.int64]:
    used, number = np.unique(subject.dataset.annotations.category_id, return_counts=True)
    by_id = dict(zip(used.tolist(), number.tolist(), strict=True))
    return np.array([by_id.get(c.id, 0) for c in subject.categories], dtype=np.int64)


def _same_keypoints(subject: Subject) -> NDArray[np.bool_]:
    """Categories whose instances are in the arrays: those with the schema's keypoints."""
    names = subject.dataset.schema.names
    return np.array([c.keypoints == names for c in subject.categories], dtype=bool)


def _unused(subject: Subject) -> Iterator[Hits]:
    if not len(subject.dataset.annotations):
        return

    def describe(row: int) -> str:
        return f"no annotation is of category '{subject.categories[row].name}'"

    rows = np.flatnonzero((_counts(subject) == 0) & _same_keypoints(subject))
    yield Hits("categories", rows, describe, "category without annotations")


def _rare(subject: Subject) -> Iterator[Hits]:
    counts, same = _counts(subject), _same_keypoints(subject)
    most = int(counts[same].max(initial=0))

    def describe(row: int) -> str:
        return (
            f"category '{subject.categories[row].name}' has {counts[row]:,} of the "
            f"annotations, another one has {most:,}"
        )

    rows = np.flatnonzero(same & (counts > 0) & (counts * LOPSIDED < most))
    yield Hits("categories", rows, describe, "category with few annotations")


def _never(subject: Subject) -> Iterator[Finding]:
    people = subject.dataset.annotations
    labelled = np.count_nonzero(people.visibility, axis=0)
    if not labelled.any():
        return
    unusable = {f.field for f in subject.found if f.section == "annotations"}
    never = [people.schema.names[k] for k in np.flatnonzero(labelled == 0)]
    if never and "keypoints" not in unusable:
        yield Finding(
            "keypoint-never-labelled",
            WARNING,
            f"{', '.join(never)}: labelled in none of {counted(len(people), 'annotation')}; "
            "nothing can be learnt or scored there",
            section="annotations",
            field="keypoints",
        )


def _empty_images(subject: Subject) -> Iterator[Hits]:
    used = np.zeros(len(subject.dataset.images) + 1, dtype=bool)
    used[subject.image_row] = True

    def describe(row: int) -> str:
        return "no annotation is of this image"

    rows = np.flatnonzero(~used[:-1])
    if len(subject.dataset.annotations):
        yield Hits("images", rows, describe, "image without annotations")


CATEGORY_UNUSED = Check(
    "category-unused",
    "A category that no annotation has is allowed, and often left over from another file.",
    everywhere(INFO),
    _unused,
    family="sets",
    repair="Remove the category if it was left over.",
)
CATEGORY_RARE = Check(
    "category-rare",
    f"A category has at least one instance for {LOPSIDED} of the most frequent one: scores "
    "of rarer ones are mostly chance.",
    everywhere(INFO),
    _rare,
    family="sets",
)
KEYPOINT_NEVER_LABELLED = Check(
    "keypoint-never-labelled",
    "Every keypoint of the schema is labelled in some instance.",
    everywhere(WARNING),
    _never,
    family="sets",
    repair="Label it, or remove it from the schema.",
)
IMAGE_UNUSED = Check(
    "image-unused",
    "An image without annotations is ordinary; detectors count whatever they find there.",
    everywhere(INFO),
    _empty_images,
    family="sets",
)
