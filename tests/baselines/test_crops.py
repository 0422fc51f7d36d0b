"""Boxes, crops and augmentation."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from baselines import crops as crops_module
from baselines.augmentation import augmented_batch
from baselines.config import TrainConfig
from baselines.crops import crop_boxes, cut_crops, load_training_crops
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.geometry import inside_box
from toolkit.processes import Processes

STILL = TrainConfig(
    input_wh=(96, 128), box_padding=1.0, scale=0, rotation=0, shift=0, flip=0, color=0
)


def test_the_human_box_grows_to_the_crops_aspect_only(people: tuple[Dataset, Path]) -> None:
    """The box (20, 20, 40, 60) is 2:3; at 3:4 it becomes 45 wide round x = 40."""
    regions = crop_boxes(people[0], STILL)
    assert regions[0].tolist() == [17.5, 20, 45, 60]


def test_the_enlarged_box_knows_only_its_factor(people: tuple[Dataset, Path]) -> None:
    config = replace(STILL, box="enlarged", box_factor=2.0)
    assert crop_boxes(people[0], config)[0].tolist() == [-5, -10, 90, 120]


def test_only_the_oracles_box_holds_every_stick(people: tuple[Dataset, Path]) -> None:
    dataset, _ = people
    keypoints = dataset.annotations.keypoints
    human = crop_boxes(dataset, STILL)
    oracle = crop_boxes(dataset, replace(STILL, box="oracle"))
    assert inside_box(keypoints, oracle).all()
    assert not inside_box(keypoints, human)[:, dataset.schema.is_extension].any()


def test_an_empty_box_is_refused_with_its_annotation(people: tuple[Dataset, Path]) -> None:
    dataset, _ = people
    boxes = dataset.annotations.bbox_xywh.copy()
    boxes[3, 2] = 0
    with pytest.raises(InvalidDataError, match="annotation id=4: bbox"):
        crop_boxes(dataset, STILL, boxes)


def test_each_frame_is_opened_once_however_many_people_it_holds(
    people: tuple[Dataset, Path],
) -> None:
    """Frames come one after the other, each with all its people."""
    dataset, folder = people
    found = list(cut_crops(dataset, folder, crop_boxes(dataset, STILL), (96, 128)))
    assert [rows.tolist() for rows, _ in found] == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_frame_is_shrunk_once_for_all_whom_it_must_be_shrunk_for(
    people: tuple[Dataset, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crops of 12 x 16 px from boxes of 45 x 60 px average blocks of 3 x 3 px."""
    dataset, folder = people
    shrunk = []
    resize = cv2.resize

    def counted(image: np.ndarray, size: tuple[int, int], **options: int) -> np.ndarray:
        shrunk.append(size)
        return resize(image, size, **options)

    monkeypatch.setattr(crops_module.cv2, "resize", counted)
    together = dict(_by_row(cut_crops(dataset, folder, crop_boxes(dataset, STILL), (12, 16))))
    assert len(shrunk) == 4, "one a frame"

    second = dataset.subset(np.array([1, 3, 5, 7]))
    alone = cut_crops(second, folder, crop_boxes(second, STILL), (12, 16))
    for row, crop in _by_row(alone):
        assert np.array_equal(crop, together[2 * row + 1])


@pytest.mark.parametrize("side", [40, 400], ids=["enlarged", "shrunk"])
@pytest.mark.parametrize("axis", [0, 1], ids=["wide", "high"])
def test_a_frame_too_wide_to_be_warped_whole_is_cropped_like_its_part(
    tmp_path: Path, make_dataset: Callable[..., Dataset], axis: int, side: int
) -> None:
    """70,002 px by 440 px: its last 504 px alone give the same crops, black beyond the edge.

    Both widths are whole blocks of 6 px, which the larger box is averaged over.
    """
    part = np.random.default_rng(0).integers(0, 256, (440, 504, 3), np.uint8)
    wide = np.concatenate([np.zeros((440, 69_498, 3), np.uint8), part], axis=1)
    found = []
    for image, start in ((wide, 69_498.0), (part, 0.0)):
        turned = image.swapaxes(0, 1) if axis else image
        dataset = make_dataset(2)
        boxes = np.array([[start + 300, 30, side, side], [start + 470, 20, side, side]])
        if axis:
            boxes = boxes[:, [1, 0, 3, 2]]
        people = replace(dataset.annotations, bbox_xywh=boxes)
        folder = tmp_path / f"{start}"
        folder.mkdir()
        cv2.imwrite(str(folder / "frame.png"), turned)
        images = replace(dataset.images, file_names=("frame.png",))
        dataset = replace(dataset, images=images, annotations=people)
        regions = crop_boxes(dataset, replace(STILL, input_wh=(64, 64)))
        ((_, crops),) = cut_crops(dataset, folder, regions, (64, 64))
        found.append(crops.astype(int))
    assert found[0][0].std() > 20
    assert np.abs(found[0] - found[1]).max() <= 2


def _by_row(
    frames: Iterator[tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[int, np.ndarray]]:
    for rows, crops in frames:
        yield from zip(rows.tolist(), crops, strict=True)


def test_missing_frames_are_all_named(people: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, _ = people
    regions = crop_boxes(dataset, STILL)
    with pytest.raises(InvalidDataError, match=r"4 of 4 images.*'0.png'.*'3.png'"):
        list(cut_crops(dataset, tmp_path, regions, (96, 128)))


def test_processes_that_fail_while_they_cut_leave_no_cache_in_the_folder(
    people: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, folder = people
    out, images = tmp_path / "run", tmp_path / "images"
    out.mkdir()
    shutil.copytree(folder, images)
    (images / "1.png").write_bytes(b"no image")
    monkeypatch.setattr(crops_module, "processes", lambda: Processes(0, 2, 0, 2))
    monkeypatch.setattr(crops_module, "wait_for_all", lambda: None)
    with pytest.raises(InvalidDataError, match=r"1\.png"):
        load_training_crops(dataset, images, STILL, shared=out)
    assert list(out.iterdir()) == []
    cache = load_training_crops(dataset, folder, STILL, shared=out)
    alone = load_training_crops(dataset, folder, STILL)
    assert np.array_equal(cache.pixels[:4], alone.pixels[:4]), "what it has mapped is kept"
    assert list(out.iterdir()) == []


def test_without_augmentation_keypoints_stay_on_their_dots(
    people: tuple[Dataset, Path],
) -> None:
    """Every keypoint is a dot of its own colour; the crop shows that colour there."""
    dataset, folder = people
    cache = load_training_crops(dataset, folder, STILL)
    rng = np.random.default_rng(0)
    rows = np.arange(8)
    images, points, labelled = augmented_batch(cache, rows, dataset.schema, STILL, rng)
    assert labelled.all()
    colors = np.random.default_rng(0).integers(0, 255, (20, 3))[:, ::-1]  # BGR as drawn
    pixels = images * crops_module._STD + crops_module._MEAN
    last = 16  # drawn over the others, so its dot is whole
    for image, point in zip(pixels, points[:, last], strict=True):
        x, y = np.clip(np.rint(point).astype(int), 0, [95, 127])
        assert np.abs(image[y, x] - colors[last]).max() < 40


def test_mirroring_twice_gives_the_crop_back(people: tuple[Dataset, Path]) -> None:
    dataset, folder = people
    cache = load_training_crops(dataset, folder, STILL)
    rows = np.arange(8)
    flip_index = dataset.schema.flip_index
    plain = augmented_batch(cache, rows, dataset.schema, STILL, np.random.default_rng(0))
    mirror = replace(STILL, flip=1.0)
    mirrored = augmented_batch(cache, rows, dataset.schema, mirror, np.random.default_rng(0))
    back = mirrored[1][:, flip_index].copy()
    back[..., 0] = 95 - back[..., 0]
    assert np.allclose(back, plain[1], atol=1e-3)
    assert np.allclose(mirrored[0][:, :, ::-1], plain[0], atol=0.05)


def test_keypoints_outside_the_crop_stay_labelled(people: tuple[Dataset, Path]) -> None:
    dataset, folder = people
    cache = load_training_crops(dataset, folder, STILL)
    _, points, labelled = augmented_batch(
        cache, np.arange(8), dataset.schema, STILL, np.random.default_rng(0)
    )
    sticks = points[:, dataset.schema.is_extension]
    assert (sticks[..., 0] < 0).all()
    assert labelled[:, dataset.schema.is_extension].all()
