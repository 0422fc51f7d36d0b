"""What a check is: a rule code, a severity for each profile, a sentence, and a function.

A check looks at a whole data set at once, with arrays, and gives `Hits`: the rows that
break its rule. Messages are made only for the hits that are shown, so that a rule that
fires a hundred thousand times costs no more than one that fires once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from toolkit.dataset import Dataset
from toolkit.formats.categories import Category
from toolkit.geometry import inside_box, inside_image
from toolkit.report import Finding, Severity

Profile = Literal["coco", "crowdpose", "cropcoco", "extension"]
Purpose = Literal["validate", "evaluate"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
Severities = Mapping[Profile, Severity | None]
# What rules are about, in the order in which people read findings.
FAMILIES = (
    "file",
    "structure",
    "licence",
    "images",
    "sets",
    "boxes",
    "segmentation",
    "visibility",
    "keypoints",
    "sticks",
    "results",
)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def everywhere(severity: Severity | None, **exceptions: Severity | None) -> Severities:
    """One severity under every profile, with exceptions by profile; None is silence.

    >>> everywhere(ERROR, crowdpose=INFO)["crowdpose"].value
    'info'
    """
    unknown = set(exceptions) - set(PROFILES)
    if unknown:
        raise ValueError(f"no profile {sorted(unknown)}; known: {', '.join(PROFILES)}")
    return {profile: exceptions.get(profile, severity) for profile in PROFILES}


@dataclass(frozen=True)
class Hits:
    """The records of one section that break a rule.

    Attributes:
        section: `images`, `annotations` or `categories`.
        rows: (H,) int64 rows of the arrays (or of `Subject.categories`), ascending.
        describe: One line about one of these rows: what, got, wanted.
        summary: The fault in a few words, for "<summary>: 12 annotations".
        field: The field that is wrong, or None.
        weights: (H,) how many faults each row has (keypoints, say), or None for one each.
        unit: What `weights` counts, in the plural.
    """

    section: Literal["images", "annotations", "categories"]
    rows: NDArray[np.int64]
    describe: Callable[[int], str]
    summary: str
    field: str | None = None
    weights: NDArray[np.int64] | None = None
    unit: str = ""


@dataclass(frozen=True)
class Check:
    """A rule of the data.

    Attributes:
        code: Stable, kebab-case, named by the fault.
        sentence: What the rule says and why, for `--explain` and the docs.
        severity: For each profile; None where the rule does not apply.
        find: Gives what breaks the rule; whole-file findings have no rows.
        needed_to_evaluate: Whether `evaluate` refuses data that break it.
        family: What the rule is about, one of `FAMILIES`.
        repair: How to put it right, in one sentence.
    """

    code: str
    sentence: str
    severity: Severities
    find: Callable[[Subject], Iterable[Hits | Finding]]
    needed_to_evaluate: bool = False
    family: str = "structure"
    repair: str = ""


@dataclass(frozen=True)
class Subject:
    """A data set under examination, with what several checks need computed once.

    Attributes:
        dataset: The arrays.
        found: Findings of the reader, so that no fault is told twice.
        categories: The file's categories; empty where there is no file.
        image_index: (I,) index in the file of each image, or None where rows are indices.
        annotation_index: (N,) index in the file of each row of the arrays, or None where
            rows are indices.
        absent_with_coordinates: (N,) number of keypoints with visibility 0 and coordinates
            other than 0 in the file, or None where there is no file.
    """

    dataset: Dataset
    found: tuple[Finding, ...] = ()
    categories: tuple[Category, ...] = ()
    image_index: NDArray[np.int64] | None = None
    annotation_index: NDArray[np.int64] | None = None
    absent_with_coordinates: NDArray[np.int64] | None = None

    @cached_property
    def image_row(self) -> NDArray[np.int64]:
        """(N,) row in `images` of each annotation's image, -1 where there is none."""
        ids, wanted = self.dataset.images.ids, self.dataset.annotations.image_id
        if not len(ids):
            return np.full(len(wanted), -1, np.int64)
        order = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
        rows = order[at]
        return np.where(ids[rows] == wanted, rows, -1)

    @cached_property
    def size_wh(self) -> NDArray[np.int64]:
        """(N, 2) size of each annotation's image, 0 where it is unknown."""
        sizes = np.vstack([self.dataset.images.size_wh, np.zeros((1, 2), np.int64)])
        return sizes[self.image_row]

    @cached_property
    def outside_image(self) -> NDArray[np.bool_]:
        """(N, K) labelled keypoints outside their image, where its size is known."""
        people = self.dataset.annotations
        known = (self.size_wh > 0).all(axis=1, keepdims=True)
        return people.labelled & known & ~inside_image(people.keypoints, self.size_wh)

    @cached_property
    def outside_box(self) -> NDArray[np.bool_]:
        """(N, K) labelled keypoints outside their box, where that is usable."""
        people = self.dataset.annotations
        known = np.isfinite(people.bbox_xywh).all(axis=1, keepdims=True)
        return people.labelled & known & ~inside_box(people.keypoints, people.bbox_xywh)

    def unreported(
        self, section: str, rows: NDArray[np.bool_], *fields: str
    ) -> NDArray[np.int64]:
        """Rows of a mask on which the reader has not reported one of these fields."""
        told = {
            finding.index
            for finding in self.found
            if finding.section == section and finding.field in fields
        }
        picked = np.flatnonzero(rows)
        if not told:
            return picked
        kept = [row for row in picked.tolist() if self.index(section, row) not in told]
        return np.array(kept, dtype=np.int64)

    def place(self, hits: Hits, position: int) -> tuple[int, int | str | None]:
        """Index in the file and id of one of the records that break a rule."""
        row = int(hits.rows[position])
        if hits.section == "categories":
            return self.categories[row].index, self.categories[row].id
        images, people = self.dataset.images, self.dataset.annotations
        ids = images.ids if hits.section == "images" else people.instance_id
        return self.index(hits.section, row), int(ids[row])

    def index(self, section: str, row: int) -> int:
        """0-based index in the file's section of a row of the arrays."""
        rows = self.image_index if section == "images" else self.annotation_index
        return row if rows is None else int(rows[row])
