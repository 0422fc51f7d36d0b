"""Small drawn data sets, so that the training rooms are tested without the generator."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.schema import Schema


def draw_people(schema: Schema, folder: Path, frames: int, seed: int) -> Dataset:
    """Two people a frame: every keypoint a dot of its own colour, sticks left of the box.

    Person p of a frame stands in the box (20 + 80 p, 20, 40, 60); body keypoints are drawn
    uniformly in it, extension keypoints lie 10 px left of it. Visibility is 2 throughout.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    keypoints, boxes, names = [], [], []
    colors = np.random.default_rng(0).integers(0, 255, (schema.num_keypoints, 3))
    for frame in range(frames):
        image = np.full((100, 160, 3), 128, np.uint8)
        for person in range(2):
            box = np.array([20.0 + 80 * person, 20, 40, 60])
            points = box[:2] + rng.random((schema.num_keypoints, 2)) * box[2:]
            points[schema.is_extension, 0] = box[0] - 10
            for point, color in zip(points, colors, strict=True):
                center = (round(float(point[0])), round(float(point[1])))
                cv2.circle(image, center, 2, color.tolist(), -1)
            keypoints.append(points)
            boxes.append(box)
        names.append(f"{frame}.png")
        cv2.imwrite(str(folder / names[-1]), image)
    image_id = np.repeat(np.arange(1, frames + 1), 2)
    boxes_xywh = np.array(boxes)
    people = Annotations.from_arrays(
        schema,
        image_id,
        np.array(keypoints),
        np.full((2 * frames, schema.num_keypoints), 2, np.uint8),
        boxes_xywh,
        head_box_xywh=boxes_xywh * [1, 1, 0.3, 0.2],
    )
    images = Images(
        ids=np.arange(1, frames + 1),
        file_names=tuple(names),
        size_wh=np.tile([160, 100], (frames, 1)),
        clips=(None,) * frames,
        frames=np.full(frames, -1),
        crowd_index=np.full(frames, np.nan),
    )
    return Dataset(schema, images, people)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """Eight hockey players in four frames, and the frames' folder."""
    folder = tmp_path_factory.mktemp("people")
    return draw_people(Schema.load("hockey"), folder, frames=4, seed=1), folder
