"""Four hockey players whose scores can be added up in the head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.dataset import Dataset
from toolkit.formats import read, write, write_predictions
from toolkit.schema import Schema


@pytest.fixture
def players(tmp_path: Path) -> Dataset:
    """Two images of two players; boxes [50 i, 10, 40, 60], 3 px are half a head.

    Head boxes are 6 x 8, so a head is 0.6 * 10 = 6 px. Body and butt end lie in the middle
    of the box, stick heel and toe 10 px below it. Clips `a` and `b`, one image each.
    """
    schema = Schema.load("hockey")
    left = np.array([0.0, 50.0, 0.0, 50.0])
    points = np.tile(np.array([20.0, 40.0]), (4, 20, 1))
    points[:, 18:] = [20.0, 80.0]
    points[:, :, 0] += left[:, None]
    boxes = np.stack([left, np.full(4, 10.0), np.full(4, 40.0), np.full(4, 60.0)], axis=1)
    people = Annotations.from_arrays(
        schema,
        np.array([1, 1, 2, 2]),
        points,
        np.full((4, 20), 2, np.uint8),
        boxes,
        area=np.full(4, 1000.0),
        head_box_xywh=np.tile([15.0, 12.0, 6.0, 8.0], (4, 1)),
    )
    images = Images(
        ids=np.array([1, 2]),
        file_names=("one.png", "two.png"),
        size_wh=np.array([[100, 100], [100, 100]]),
        clips=("a", "b"),
        frames=np.array([0, 0]),
        crowd_index=np.array([np.nan, np.nan]),
    )
    write(Dataset(schema, images, people), tmp_path / "truth.json")
    return read(tmp_path / "truth.json")


@pytest.fixture
def shifted(players: Dataset) -> Callable[..., Predictions]:
    """The true poses, keypoints `which` moved `px` to the right."""

    def build(px: float, which: slice = slice(18, 20)) -> Predictions:
        points = players.annotations.keypoints.copy()
        points[:, which, 0] += px
        return Predictions.from_arrays(
            players.schema,
            players.annotations.image_id,
            points,
            annotation_id=players.annotations.instance_id,
            bbox_xywh=players.annotations.bbox_xywh,
        )

    return build


@pytest.fixture
def prediction_files(tmp_path: Path, shifted: Callable[..., Predictions]) -> dict[str, Path]:
    """`near`: heel and toe 2 px off (right); `far`: 12 px off (wrong, two heads)."""
    files = {}
    for name, px in (("near", 2.0), ("far", 12.0)):
        files[name] = tmp_path / f"{name}.json"
        write_predictions(shifted(px), files[name])
    return files
