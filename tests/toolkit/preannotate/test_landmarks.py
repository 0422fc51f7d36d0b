"""mediapipe's landmarks as keypoints, by name."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.preannotate.landmarks import body_keypoints, to_keypoints
from toolkit.schema import Keypoint, Schema


def numbered() -> np.ndarray:
    """Landmark i at (i, 10 i) with visibility i / 40."""
    rows = np.arange(33.0)
    return np.stack([rows, 10 * rows, rows / 40], axis=1)


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("nose", 0),
        ("left_eye", 2),
        ("right_eye", 5),
        ("left_shoulder", 11),
        ("right_wrist", 16),
        ("left_hip", 23),
        ("right_ankle", 28),
    ],
)
def test_coco_keypoints_have_their_landmark(name: str, x: float) -> None:
    schema = Schema.load("coco")

    places, visibility = to_keypoints(schema, numbered())

    assert places[schema.index(name)].tolist() == [x, 10 * x]
    assert visibility[schema.index(name)] == pytest.approx(x / 40)


def test_a_neck_is_the_middle_of_the_shoulders() -> None:
    schema = Schema("own", "Own", (Keypoint("neck"), Keypoint("top_of_head")))

    places, visibility = to_keypoints(schema, numbered())

    assert body_keypoints(schema).tolist() == [0]
    assert places.tolist() == [[11.5, 115.0]]
    assert visibility.tolist() == [11.5 / 40]


def test_sticks_are_left_to_others() -> None:
    schema = Schema.load("hockey")

    names = {schema.names[k] for k in body_keypoints(schema)}

    assert names == set(Schema.load("coco").names)


def test_an_extension_that_is_called_like_a_joint_is_no_joint() -> None:
    schema = Schema("own", "Own", (Keypoint("left_wrist", group="extension"),))

    assert len(body_keypoints(schema)) == 0
    assert to_keypoints(schema, numbered())[0].shape == (0, 2)
