"""Tags: what is special about each instance, so that a person can ask for it.

For every instance the rules of `toolkit validate` that it breaks, and for every keypoint
the strata that it lies in (`toolkit.metrics.strata`). Overlays are chosen by them, and the
gallery filters by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.checks import Profile, validate
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats.coco_write import CocoSource
from toolkit.metrics.strata import STRATA, strata_masks
from toolkit.report import Finding, Severity

_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.ERROR: 2}


@dataclass(frozen=True)
class Wish:
    """Which instances a person wants to see; None is no wish.

    Attributes:
        rule: Code of a rule that they break.
        keypoint: Name of a keypoint that is labelled (in the stratum, if that is given).
        stratum: One of `STRATA`, of the keypoint or of any.
        clip: Clip of their image.
    """

    rule: str | None = None
    keypoint: str | None = None
    stratum: str | None = None
    clip: str | None = None


@dataclass(frozen=True)
class Tags:
    """Tags of the N instances and I images of a data set.

    Attributes:
        rules: For each instance the codes of the rules it breaks, sorted.
        image_rules: For each image the codes of the rules that its own record breaks.
        worst: (I,) severity of the worst finding in each image: 2 error, 1 warning, 0 none.
        worst_of_person: (N,) the same of each instance's own findings.
        strata: (N, K) uint8, bit `i` for `STRATA[i]`; 0 where not labelled.
    """

    rules: tuple[tuple[str, ...], ...]
    image_rules: tuple[tuple[str, ...], ...]
    worst: NDArray[np.int64]
    worst_of_person: NDArray[np.int64]
    strata: NDArray[np.uint8]


def tag(
    dataset: Dataset, findings: Iterable[Finding] = (), *, profile: Profile | None = None
) -> Tags:
    """Run the validator and sort its findings by instance and image.

    Args:
        dataset: What was read, whole.
        findings: What the reader could not use.
        profile: What counts as an error; None takes the one that fits the data.
    """
    people, images = dataset.annotations, dataset.images
    report = validate(dataset, profile=profile, findings=findings)
    person_row, image_row = _rows(dataset)
    row_of_image = {int(key): row for row, key in enumerate(images.ids)}
    rules: list[set[str]] = [set() for _ in range(len(people))]
    image_rules: list[set[str]] = [set() for _ in range(len(images))]
    worst, own = np.zeros(len(images), np.int64), np.zeros(len(people), np.int64)
    for finding in report.findings:
        if finding.index is None or finding.severity is Severity.INFO:
            continue
        image = None
        if finding.section == "annotations" and finding.index in person_row:
            row = person_row[finding.index]
            rules[row].add(finding.rule)
            own[row] = max(own[row], _RANK[finding.severity])
            image = row_of_image.get(int(people.image_id[row]))
        elif finding.section == "images" and finding.index in image_row:
            image = image_row[finding.index]
            image_rules[image].add(finding.rule)
        if image is not None:
            worst[image] = max(worst[image], _RANK[finding.severity])
    return Tags(
        rules=tuple(tuple(sorted(codes)) for codes in rules),
        image_rules=tuple(tuple(sorted(codes)) for codes in image_rules),
        worst=worst,
        worst_of_person=own,
        strata=_strata_bits(dataset, row_of_image),
    )


def wanted(dataset: Dataset, tags: Tags, wish: Wish) -> NDArray[np.bool_]:
    """(N,) which instances a wish asks for.

    Raises:
        UsageError: The keypoint, stratum or clip does not exist.
    """
    people = dataset.annotations
    chosen = np.ones(len(people), bool)
    _check_wish(dataset, wish)
    row_of_image = {int(key): row for row, key in enumerate(dataset.images.ids)}
    rows = [row_of_image.get(int(key), -1) for key in people.image_id]
    if wish.rule is not None:
        chosen &= np.array(
            [
                wish.rule in codes or (row >= 0 and wish.rule in tags.image_rules[row])
                for codes, row in zip(tags.rules, rows, strict=True)
            ],
            dtype=bool,
        )
    if wish.clip is not None:
        clips = dataset.images.clips
        chosen &= np.array([row >= 0 and clips[row] == wish.clip for row in rows], dtype=bool)
    bits = np.uint8(255) if wish.stratum is None else np.uint8(1 << STRATA.index(wish.stratum))
    if wish.keypoint is not None:
        column = dataset.schema.names.index(wish.keypoint)
        chosen &= (tags.strata[:, column] & bits) > 0
    elif wish.stratum is not None:
        chosen &= ((tags.strata & bits) > 0).any(axis=1)
    return chosen


def _check_wish(dataset: Dataset, wish: Wish) -> None:
    known = (
        ("keypoint", wish.keypoint, dataset.schema.names),
        ("stratum", wish.stratum, STRATA),
        ("clip", wish.clip, [clip for clip in dataset.images.clips if clip is not None]),
    )
    for what, value, names in known:
        if value is not None and value not in names:
            listed = sorted(set(names))
            shown = ", ".join(listed[:20]) + (", ..." if len(listed) > 20 else "")
            raise UsageError(f"no {what} '{value}'; known: {shown or 'none'}")


def _rows(dataset: Dataset) -> tuple[dict[int, int], dict[int, int]]:
    """Rows of the arrays by index in the file: of annotations, of images."""
    source = dataset.source
    people, images = range(len(dataset.annotations)), range(len(dataset.images))
    if not isinstance(source, CocoSource):
        return dict(zip(people, people, strict=True)), dict(zip(images, images, strict=True))
    return (
        {index: row for row, index in enumerate(source.annotation_records.tolist())},
        {index: row for row, index in enumerate(source.image_records.tolist())},
    )


def _strata_bits(dataset: Dataset, row_of_image: dict[int, int]) -> NDArray[np.uint8]:
    people = dataset.annotations
    sizes = np.vstack([dataset.images.size_wh, np.zeros((1, 2), np.int64)])
    rows = [row_of_image.get(int(key), -1) for key in people.image_id]
    masks = strata_masks(people, sizes[np.array(rows, np.int64)])
    bits = np.zeros(people.visibility.shape, np.uint8)
    for position, name in enumerate(STRATA):
        bits |= (masks[name] << position).astype(np.uint8)
    return bits
