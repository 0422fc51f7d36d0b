"""Which of mediapipe's 33 landmarks is which keypoint of a schema, by name.

Names and order: BlazePose's topology, as mediapipe's pose landmark model gives it; left and
right are the person's own, as in COCO.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.schema import Schema

Floats = NDArray[np.float64]
_SIDES = (
    *(("eye_inner", 1, 4), ("eye", 2, 5), ("eye_outer", 3, 6), ("ear", 7, 8)),
    *(("shoulder", 11, 12), ("elbow", 13, 14), ("wrist", 15, 16), ("pinky", 17, 18)),
    *(("index", 19, 20), ("thumb", 21, 22), ("hip", 23, 24), ("knee", 25, 26)),
    *(("ankle", 27, 28), ("heel", 29, 30), ("foot_index", 31, 32)),
    *(("big_toe", 31, 32), ("toe", 31, 32), ("mouth", 9, 10)),
)
# Keypoint to the landmarks whose mean it is.
LANDMARKS: dict[str, tuple[int, ...]] = {
    "nose": (0,),
    "neck": (11, 12),
    "pelvis": (23, 24),
    "mid_hip": (23, 24),
    **{f"left_{name}": (left,) for name, left, _ in _SIDES},
    **{f"right_{name}": (right,) for name, _, right in _SIDES},
}


def body_keypoints(schema: Schema) -> NDArray[np.int64]:
    """Indices of the schema's body keypoints that mediapipe knows."""
    return np.array(
        [k for k, name in enumerate(schema.names) if _known(schema, k, name)], np.int64
    )


def _known(schema: Schema, k: int, name: str) -> bool:
    return name in LANDMARKS and not bool(schema.is_extension[k])


def to_keypoints(schema: Schema, landmarks: Floats) -> tuple[Floats, Floats]:
    """Landmarks as the schema's keypoints.

    Args:
        schema: Of K keypoints, B of which mediapipe knows (`body_keypoints`).
        landmarks: (33, 3) x, y and visibility.

    Returns:
        (B, 2) places and (B,) visibilities.
    """
    rows = [list(LANDMARKS[schema.names[k]]) for k in body_keypoints(schema)]
    means = np.array([landmarks[row].mean(axis=0) for row in rows]).reshape(-1, 3)
    return means[:, :2], np.clip(means[:, 2], 0, 1)
