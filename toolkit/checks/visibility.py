"""Visibility flags, and the count that is derived from them."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.checks.base import ERROR, INFO, WARNING, Check, Hits, Subject, everywhere


def _missing(subject: Subject) -> Iterator[Hits]:
    stored = subject.dataset.annotations.num_keypoints
    labelled = subject.labelled_count

    def describe(row: int) -> str:
        return f"missing; {labelled[row]} keypoints are labelled"

    rows = subject.unreported("annotations", stored == -1, "num_keypoints")
    yield Hits("annotations", rows, describe, "no num_keypoints", "num_keypoints")


def _mismatch(subject: Subject) -> Iterator[Hits]:
    stored = subject.dataset.annotations.num_keypoints
    labelled = subject.labelled_count

    def describe(row: int) -> str:
        return f"{stored[row]}, but {labelled[row]} keypoints are labelled (visibility above 0)"

    wrong = (stored != labelled) & (stored != -1) & (stored != 0)
    rows = subject.unreported("annotations", wrong, "num_keypoints", "keypoints")
    yield Hits(
        "annotations",
        rows,
        describe,
        "num_keypoints unlike the labelled keypoints",
        "num_keypoints",
    )


def _zero(subject: Subject) -> Iterator[Hits]:
    stored = subject.dataset.annotations.num_keypoints
    labelled = subject.labelled_count

    def describe(row: int) -> str:
        return (
            f"0, but {labelled[row]} keypoints are labelled; "
            "evaluators ignore an instance whose num_keypoints is 0"
        )

    wrong = (stored == 0) & (labelled > 0)
    rows = subject.unreported("annotations", wrong, "num_keypoints", "keypoints")
    yield Hits(
        "annotations",
        rows,
        describe,
        "labelled keypoints, but num_keypoints 0",
        "num_keypoints",
    )


def _coordinates(subject: Subject) -> Iterator[Hits]:
    counts = subject.absent_with_coordinates
    if counts is None:
        return

    def describe(row: int) -> str:
        return (
            f"{_keypoints(counts[row])} with visibility 0 but coordinates other than 0; "
            "tools that look at coordinates alone take them for labels"
        )

    rows = subject.unreported("annotations", counts > 0, "keypoints")
    yield Hits(
        "annotations",
        rows,
        describe,
        "coordinates under visibility 0",
        "keypoints",
        weights=counts[rows],
        unit="keypoint",
    )


def _keypoints(count: int) -> str:
    return "1 keypoint" if count == 1 else f"{count} keypoints"


NUM_KEYPOINTS_MISSING = Check(
    "num-keypoints-missing",
    "COCO states num_keypoints for every annotation; pycocotools stops without it.",
    everywhere(ERROR, crowdpose=INFO, extension=WARNING),
    _missing,
    family="visibility",
)
NUM_KEYPOINTS_MISMATCH = Check(
    "num-keypoints-mismatch",
    "num_keypoints is the number of labelled keypoints (visibility above 0). CrowdPose's "
    "own numbers agree with nothing and are left alone: its scores depend on them.",
    everywhere(ERROR, crowdpose=INFO),
    _mismatch,
    family="visibility",
)
NUM_KEYPOINTS_ZERO = Check(
    "num-keypoints-zero",
    "An instance with labelled keypoints has num_keypoints above 0: evaluators ignore it "
    "otherwise, and training often drops it.",
    everywhere(ERROR, crowdpose=INFO),
    _zero,
    family="visibility",
)
VISIBILITY_ZERO_COORDINATES = Check(
    "visibility-zero-coordinates",
    "A keypoint with visibility 0 is not labelled, so COCO writes its coordinates as 0. "
    "Other values are kept as they are and never used.",
    everywhere(WARNING),
    _coordinates,
    family="visibility",
)
