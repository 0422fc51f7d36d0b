"""What a check is: a rule code, a severity for each profile, a sentence, and a function.

A check looks at a whole data set at once, with arrays, and gives `Hits`: the rows that
break its rule. Messages are made only for the hits that are shown, so that a rule that
fires a hundred thousand times costs no more than one that fires once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.facts import FileFacts
from toolkit.checks.outline_faults import outline_faults
from toolkit.dataset import Dataset
from toolkit.formats.categories import Category
from toolkit.report import Finding, Severity

if TYPE_CHECKING:
    from toolkit.formats.coco_write import CocoSource

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

_BLOCK = 1024  # instances at a time
_DENSE = 8  # possible ids for each that is used

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


def rows_of(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first place of each wanted id among the ids, -1 where it is not among them.

    >>> rows_of(np.array([7, 5, 7]), np.array([5, 6, 7])).tolist()
    [1, -1, 0]
    """
    if not len(ids) or not len(wanted):
        return np.full(len(wanted), -1, np.int64)
    low, high = int(ids.min()), int(ids.max())
    if high - low > _DENSE * len(ids):
        order = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
        rows = order[at]
        return np.where(ids[rows] == wanted, rows, -1)
    # Ids lie close together nearly always: a table is several times quicker than a search.
    table = np.full(high - low + 2, -1, np.int64)
    table[ids[::-1] - low] = np.arange(len(ids))[::-1]
    known = (wanted >= low) & (wanted <= high)
    return np.asarray(table[np.where(known, wanted - low, len(table) - 1)])


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
        unit: What `weights` counts, in the singular.
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
class ListedRule:
    """A rule that is found elsewhere (by looking at image files, say), for the rulebook.

    Attributes:
        code: Stable, kebab-case, named by the fault.
        sentence: What the rule says and why.
        severity: For each profile; None where the rule does not apply.
        family: What the rule is about, one of `FAMILIES`.
        repair: How to put it right, in one sentence.
    """

    code: str
    sentence: str
    severity: Severities
    family: str = "images"
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
        source: The document of the file, or None where there is none.
        purpose: `evaluate` where only what is in the arrays counts.
    """

    dataset: Dataset
    found: tuple[Finding, ...] = ()
    categories: tuple[Category, ...] = ()
    image_index: NDArray[np.int64] | None = None
    annotation_index: NDArray[np.int64] | None = None
    absent_with_coordinates: NDArray[np.int64] | None = None
    source: CocoSource | None = None
    purpose: Purpose = "validate"

    @cached_property
    def image_row(self) -> NDArray[np.int64]:
        """(N,) row in `images` of each annotation's image, -1 where there is none."""
        return rows_of(self.dataset.images.ids, self.dataset.annotations.image_id)

    @cached_property
    def size_wh(self) -> NDArray[np.int64]:
        """(N, 2) size of each annotation's image, 0 where it is unknown."""
        sizes = np.vstack([self.dataset.images.size_wh, np.zeros((1, 2), np.int64)])
        return sizes[self.image_row]

    @cached_property
    def facts(self) -> FileFacts | None:
        """What only the file's text says, or None where there is no file."""
        return None if self.source is None else FileFacts(self.source.document)

    @cached_property
    def outline_faults(self) -> dict[int, tuple[str, str]]:
        """What is wrong with outlines by row, for all rules about them at once."""
        if self.source is None or self.annotation_index is None:
            return {}
        return outline_faults(self.source.document, self.annotation_index, self.size_wh)

    @cached_property
    def xy(self) -> NDArray[np.float64]:
        """(2, K, N) keypoints, one contiguous row for each coordinate of each keypoint.

        A pass over one keypoint of all instances reads one row instead of the whole table.
        """
        points = self.dataset.annotations.keypoints
        rows = np.empty((2, points.shape[1], len(points)))
        for begin in range(0, len(points), _BLOCK):  # in one go, this is four times slower
            block = slice(begin, begin + _BLOCK)
            rows[:, :, block] = points[block].transpose(2, 1, 0)
        return rows

    @cached_property
    def outside_image(self) -> NDArray[np.bool_]:
        """(N, K) labelled keypoints outside their image, where its size is known."""
        width, height = self.size_wh.T.astype(np.float64)
        low, high = self.extent
        known = (width > 0) & (height > 0)
        rows = np.flatnonzero(
            known & ((low < 0).any(axis=0) | (high[0] >= width) | (high[1] >= height))
        )
        x, y = self.xy[:, :, rows]
        past = (x < 0) | (x >= width[rows]) | (y < 0) | (y >= height[rows])
        return self._spread(rows, past)

    @cached_property
    def outside_box(self) -> NDArray[np.bool_]:
        """(N, K) labelled keypoints outside their box, where that is usable."""
        boxes = self.dataset.annotations.bbox_xywh
        left, top, right, bottom = *boxes[:, :2].T, *(boxes[:, :2] + boxes[:, 2:]).T
        low, high = self.extent
        past_any = (low[0] < left) | (low[1] < top) | (high[0] > right) | (high[1] > bottom)
        rows = np.flatnonzero(self.finite_box & past_any)
        x, y = self.xy[:, :, rows]
        past = (x < left[rows]) | (x > right[rows]) | (y < top[rows]) | (y > bottom[rows])
        return self._spread(rows, past)

    def _spread(self, rows: NDArray[np.int64], past: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N, K) from (K, R) of the few rows that are not all False."""
        spread = np.zeros(self.dataset.annotations.visibility.shape, dtype=bool)
        spread[rows] = past.T
        return spread

    @cached_property
    def finite_box(self) -> NDArray[np.bool_]:
        """(N,) boxes of four finite numbers."""
        finite = np.isfinite(self.dataset.annotations.bbox_xywh)
        return np.asarray(finite[:, 0] & finite[:, 1] & finite[:, 2] & finite[:, 3])

    @cached_property
    def labelled_count(self) -> NDArray[np.int64]:
        """(N,) number of labelled keypoints."""
        return np.asarray(np.count_nonzero(self.dataset.annotations.visibility, axis=1))

    @cached_property
    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(2, N) smallest and largest x and y of all labelled keypoints; NaN without any."""
        return self._extent(range(self.dataset.schema.num_keypoints))

    def _extent(
        self, keypoints: Iterable[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = np.full((2, len(self.dataset.annotations)), np.nan)
        high = low.copy()
        for keypoint in keypoints:
            np.fmin(low, self.xy[:, keypoint], out=low)
            np.fmax(high, self.xy[:, keypoint], out=high)
        return low, high

    @cached_property
    def body(self) -> NDArray[np.int64]:
        """Indices of the keypoints that belong to the person."""
        return np.flatnonzero(~self.dataset.schema.is_extension)

    @cached_property
    def labelled_body(self) -> NDArray[np.int64]:
        """(N,) number of labelled keypoints of the person."""
        visibility = self.dataset.annotations.visibility
        if len(self.body) == visibility.shape[1]:
            return self.labelled_count
        return np.asarray(np.count_nonzero(visibility[:, self.body], axis=1))

    @cached_property
    def body_extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(2, N) like `extent`, of the person's keypoints alone."""
        if len(self.body) == self.dataset.schema.num_keypoints:
            return self.extent
        return self._extent(self.body.tolist())

    def unreported(
        self, section: str, rows: NDArray[np.bool_], *fields: str
    ) -> NDArray[np.int64]:
        """Rows of a mask on which the reader has not reported one of these fields."""
        told = {
            index
            for finding in self.found
            for where, field, index in finding.places()
            if where == section and field in fields
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
