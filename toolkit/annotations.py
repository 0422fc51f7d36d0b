"""Arrays for computing: images, annotations and predictions of N instances, K keypoints.

Coordinates are image pixels as COCO writes them (no half-pixel shift), float64. The rule
"keypoints are NaN where visibility is 0" is a rule of these arrays, never of a file: a
file's own coordinates under visibility 0 live on in the document that the reader keeps.
Nothing here clips: keypoints outside the box and outside the image are ordinary.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import SchemaError, UsageError
from toolkit.schema import Schema

Selector = slice | NDArray[np.bool_] | NDArray[np.int64]
_Rows = TypeVar("_Rows", "Annotations", "Predictions")


class Visibility(IntEnum):
    """COCO's visibility flag, and the one that CropCOCO adds."""

    ABSENT = 0  # not labelled
    OCCLUDED = 1  # labelled, not visible
    VISIBLE = 2  # labelled, visible
    BEYOND = 3  # outside the activation window: only in CropCOCO's profile


@dataclass(frozen=True)
class Images:
    """I images.

    Attributes:
        ids: (I,) int64.
        file_names: I names, relative to the images' folder.
        size_wh: (I, 2) int64, width and height in px; 0 where the file has none.
        clips: I clip ids, None where the file has none.
        frames: (I,) int64 frame number in the clip, -1 where the file has none.
        crowd_index: (I,) CrowdPose's crowdIndex, NaN where the file has none.
    """

    ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    size_wh: NDArray[np.int64]
    clips: tuple[str | None, ...]
    frames: NDArray[np.int64]
    crowd_index: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that all columns have one length."""
        count = len(self.ids)
        _check_shape("Images.size_wh", self.size_wh, (count, 2))
        _check_shape("Images.frames", self.frames, (count,))
        _check_shape("Images.crowd_index", self.crowd_index, (count,))
        for name in ("file_names", "clips"):
            if len(getattr(self, name)) != count:
                raise UsageError(
                    f"Images.{name} has {len(getattr(self, name))} entries; expected {count}"
                )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.ids)

    @classmethod
    def from_ids(
        cls, ids: NDArray[np.int64], *, size_wh: NDArray[np.int64] | None = None
    ) -> Images:
        """Images of which only the ids (and perhaps the sizes) are known."""
        count = len(ids)
        return cls(
            ids=np.asarray(ids, dtype=np.int64),
            file_names=tuple(f"{image_id}.jpg" for image_id in ids),
            size_wh=np.zeros((count, 2), np.int64) if size_wh is None else size_wh,
            clips=(None,) * count,
            frames=np.full(count, -1, np.int64),
            crowd_index=np.full(count, np.nan),
        )


@dataclass(frozen=True)
class Annotations:
    """N labelled instances.

    Attributes:
        schema: What the K keypoints are.
        instance_id: (N,) int64, the annotation's id.
        image_id: (N,) int64.
        category_id: (N,) int64.
        keypoints: (N, K, 2) px in the image, NaN where `visibility` is 0.
        visibility: (N, K) uint8, see `Visibility`.
        bbox_xywh: (N, 4) px, NaN where the file has none.
        area: (N,) px², NaN where the file has none.
        is_crowd: (N,) bool.
        num_keypoints: (N,) int64 as the file states it, -1 where it does not.
        head_box_xywh: (N, 4) px, NaN where the file has none.
    """

    schema: Schema
    instance_id: NDArray[np.int64]
    image_id: NDArray[np.int64]
    category_id: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    visibility: NDArray[np.uint8]
    bbox_xywh: NDArray[np.float64]
    area: NDArray[np.float64]
    is_crowd: NDArray[np.bool_]
    num_keypoints: NDArray[np.int64]
    head_box_xywh: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check shapes, and that coordinates are NaN exactly where unlabelled."""
        count, num_keypoints = len(self.instance_id), self.schema.num_keypoints
        _check_shape("Annotations.keypoints", self.keypoints, (count, num_keypoints, 2))
        _check_shape("Annotations.visibility", self.visibility, (count, num_keypoints))
        for name in ("bbox_xywh", "head_box_xywh"):
            _check_shape(f"Annotations.{name}", getattr(self, name), (count, 4))
        for name in ("image_id", "category_id", "area", "is_crowd", "num_keypoints"):
            _check_shape(f"Annotations.{name}", getattr(self, name), (count,))
        absent = self.visibility == Visibility.ABSENT
        # Two columns: a reduction over an axis of two is ten times slower.
        unknown = np.isnan(self.keypoints[:, :, 0]) | np.isnan(self.keypoints[:, :, 1])
        if not np.array_equal(unknown, absent):
            raise UsageError(
                "Annotations.keypoints must be NaN exactly where visibility is 0; "
                "use Annotations.from_arrays to apply the rule"
            )

    def __len__(self) -> int:
        """Number of instances."""
        return len(self.instance_id)

    def __getitem__(self, rows: Selector) -> Annotations:
        """The instances that a slice, a mask or an index array selects."""
        return _select(self, rows)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N, K) bool: which keypoints are labelled (visibility above 0)."""
        return self.visibility > Visibility.ABSENT

    @classmethod
    def from_arrays(
        cls,
        schema: Schema,
        image_id: NDArray[np.int64],
        keypoints: NDArray[np.float64],
        visibility: NDArray[np.uint8],
        bbox_xywh: NDArray[np.float64],
        *,
        instance_id: NDArray[np.int64] | None = None,
        category_id: NDArray[np.int64] | None = None,
        area: NDArray[np.float64] | None = None,
        is_crowd: NDArray[np.bool_] | None = None,
        num_keypoints: NDArray[np.int64] | None = None,
        head_box_xywh: NDArray[np.float64] | None = None,
    ) -> Annotations:
        """Annotations from what is known; the rest gets the missing value.

        Coordinates under visibility 0 become NaN; ids count from 1; `num_keypoints` is
        the number of labelled keypoints unless given.
        """
        count = len(image_id)
        visibility = np.asarray(visibility, dtype=np.uint8)
        points = np.array(keypoints, dtype=np.float64)
        points[visibility == Visibility.ABSENT] = np.nan
        return cls(
            schema=schema,
            instance_id=np.arange(1, count + 1) if instance_id is None else instance_id,
            image_id=np.asarray(image_id, dtype=np.int64),
            category_id=np.ones(count, np.int64) if category_id is None else category_id,
            keypoints=points,
            visibility=visibility,
            bbox_xywh=np.asarray(bbox_xywh, dtype=np.float64),
            area=np.full(count, np.nan) if area is None else area,
            is_crowd=np.zeros(count, bool) if is_crowd is None else is_crowd,
            num_keypoints=(
                (visibility > 0).sum(axis=1, dtype=np.int64)
                if num_keypoints is None
                else num_keypoints
            ),
            head_box_xywh=(
                np.full((count, 4), np.nan) if head_box_xywh is None else head_box_xywh
            ),
        )


@dataclass(frozen=True)
class Predictions:
    """M predicted instances; not a kind of Annotations, so sides cannot be swapped unseen.

    Attributes:
        schema: What the K keypoints are.
        image_id: (M,) int64.
        keypoints: (M, K, 2) px in the image; unclipped.
        scores: (M,) instance score.
        keypoint_scores: (M, K) score of each keypoint.
        sigma: (M, K, 2) predicted scale in px, NaN where a keypoint has none; or None.
        annotation_id: (M,) int64 of the annotation whose box was used, -1 for none.
        bbox_xywh: (M, 4) px, NaN for none.
        category_id: (M,) int64.
        model: Name of the system that made them.
        path: The file they were read from, or None.
        sha256: Of that file's bytes, or None.
        source: The lossless document that the reader keeps, or None.
    """

    schema: Schema
    image_id: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float64]
    keypoint_scores: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    annotation_id: NDArray[np.int64]
    bbox_xywh: NDArray[np.float64]
    category_id: NDArray[np.int64]
    model: str = ""
    path: str | None = None
    sha256: str | None = None
    source: object | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check shapes."""
        count, num_keypoints = len(self.image_id), self.schema.num_keypoints
        _check_shape("Predictions.keypoints", self.keypoints, (count, num_keypoints, 2))
        _check_shape(
            "Predictions.keypoint_scores", self.keypoint_scores, (count, num_keypoints)
        )
        if self.sigma is not None:
            _check_shape("Predictions.sigma", self.sigma, (count, num_keypoints, 2))
        _check_shape("Predictions.bbox_xywh", self.bbox_xywh, (count, 4))
        for name in ("scores", "annotation_id", "category_id"):
            _check_shape(f"Predictions.{name}", getattr(self, name), (count,))

    def __len__(self) -> int:
        """Number of predictions."""
        return len(self.image_id)

    def __getitem__(self, rows: Selector) -> Predictions:
        """The predictions that a slice, a mask or an index array selects."""
        return _select(self, rows)

    @classmethod
    def from_arrays(
        cls,
        schema: Schema,
        image_id: NDArray[np.int64],
        keypoints: NDArray[np.float64],
        *,
        scores: NDArray[np.float64] | None = None,
        keypoint_scores: NDArray[np.float64] | None = None,
        sigma: NDArray[np.float64] | None = None,
        annotation_id: NDArray[np.int64] | None = None,
        bbox_xywh: NDArray[np.float64] | None = None,
        category_id: NDArray[np.int64] | None = None,
        model: str = "",
    ) -> Predictions:
        """Predictions from what is known: missing scores are 1, ids -1, boxes NaN."""
        count = len(image_id)
        return cls(
            schema=schema,
            image_id=np.asarray(image_id, dtype=np.int64),
            keypoints=np.asarray(keypoints, dtype=np.float64),
            scores=np.ones(count) if scores is None else scores,
            keypoint_scores=(
                np.ones((count, schema.num_keypoints))
                if keypoint_scores is None
                else keypoint_scores
            ),
            sigma=sigma,
            annotation_id=np.full(count, -1) if annotation_id is None else annotation_id,
            bbox_xywh=np.full((count, 4), np.nan) if bbox_xywh is None else bbox_xywh,
            category_id=np.ones(count, np.int64) if category_id is None else category_id,
            model=model,
        )

    @property
    def has_annotation_id(self) -> NDArray[np.bool_]:
        """(M,) bool: which predictions name an annotation; ids below -1 are ids like others."""
        return np.asarray(self.annotation_id != -1)

    def to_schema(self, target: Schema) -> Predictions:
        """These predictions in another schema's keypoints, matched by name.

        Raises:
            SchemaError: A keypoint of `target` has no counterpart here.
        """
        mapping = self.schema.mapping_to(target)
        if mapping.unmatched_target:
            missing = ", ".join(mapping.unmatched_target)
            raise SchemaError(
                f"predictions in schema '{self.schema.name}' have no keypoints "
                f"{missing}, which schema '{target.name}' needs"
            )
        order = mapping.source_index[np.argsort(mapping.target_index)]
        return replace(
            self,
            schema=target,
            keypoints=self.keypoints[:, order],
            keypoint_scores=self.keypoint_scores[:, order],
            sigma=None if self.sigma is None else self.sigma[:, order],
        )


def _check_shape(name: str, array: NDArray[np.generic], expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise UsageError(f"{name} has shape {array.shape}; expected {expected}")


def _select(table: _Rows, rows: Selector) -> _Rows:
    columns = {
        item.name: getattr(table, item.name)[rows]
        for item in fields(table)
        if isinstance(getattr(table, item.name), np.ndarray)
    }
    return replace(table, **columns)
