"""Top-down crops: from annotated frames to what a network sees, and back.

Each frame is decoded once, however many people it holds, and all its crops are cut from it.
Training crops are cached as uint8 with a margin, so that random scale, rotation and shift
(`baselines.augmentation`) are one small warp each and show what the frame really holds there.

Crop px have pixel centres at whole numbers (see `toolkit.geometry.box_to_crop_affine`).
What lies outside the frame is black.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from baselines.config import TrainConfig
from toolkit.crop_curve import usable_boxes
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ResourceError, UsageError
from toolkit.geometry import apply_affine, box_to_crop_affine, expand_to_aspect
from toolkit.images import load_image, resolve_images
from toolkit.processes import Processes, processes, share_of_frames, wait_for_all

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
_WARPED = 32_766  # px of a side: the most that cv2.warpAffine takes
MARGIN = 1.3  # cached crops reach at least this much further than the network's input
MEAN = (123.675, 116.28, 103.53)  # ImageNet's, of RGB pixels between 0 and 255
STD = (58.395, 57.12, 57.375)
_MEAN = np.array(MEAN, dtype=np.float32)
_STD = np.array(STD, dtype=np.float32)


@dataclass(frozen=True)
class TrainingCrops:
    """N cached crops with a margin round the network's input.

    Attributes:
        pixels: (N, H', W', 3) uint8 RGB.
        points: (N, K, 2) in px of the cached crop, 0 where unlabelled.
        labelled: (N, K) bool, visibility above 0; no other mask exists.
        input_wh: Width and height of the network's input.
    """

    pixels: NDArray[np.uint8]
    points: Floats
    labelled: NDArray[np.bool_]
    input_wh: tuple[int, int]


def crop_boxes(dataset: Dataset, config: TrainConfig, boxes: Floats | None = None) -> Floats:
    """The region of the image that becomes each instance's crop.

    Args:
        dataset: Its `bbox_xywh` are the humans' boxes; only the oracle reads keypoints.
        config: Names the box policy.
        boxes: (N, 4) boxes to use in place of the data set's, for example a detector's.

    Returns:
        (N, 4) xywh px of the crop's aspect ratio, padding included.

    Raises:
        InvalidDataError: A box is missing, not finite or empty.
    """
    human = require_boxes(dataset, boxes)
    if config.box == "oracle":
        human = _around_keypoints(human, dataset.annotations.keypoints)
    padding = config.box_padding * (config.box_factor if config.box == "enlarged" else 1.0)
    width, height = config.input_wh
    return expand_to_aspect(human, width / height, padding)


def require_boxes(dataset: Dataset, boxes: Floats | None = None) -> Floats:
    """The boxes that people are cut out by, or learned from.

    Args:
        dataset: N annotations with boxes of their own.
        boxes: (N, 4) boxes to use in place of them.

    Returns:
        (N, 4) xywh px, finite, with a width and a height.

    Raises:
        InvalidDataError: A box is missing, not finite or empty.
    """
    people = dataset.annotations
    given = people.bbox_xywh if boxes is None else boxes
    bad = ~usable_boxes(given)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InvalidDataError(
            f"{dataset.name}: {int(bad.sum())} unusable boxes, the first of "
            f"annotation id={int(people.instance_id[row])}: bbox {given[row].tolist()}; width "
            "and height must be positive. Run 'toolkit validate' for the list."
        )
    return given


def _around_keypoints(boxes: Floats, keypoints: Floats) -> Floats:
    """Boxes grown until they hold every labelled keypoint (NaN counts for nothing)."""
    low = np.fmin(boxes[:, :2], np.fmin.reduce(keypoints, axis=1))
    high = np.fmax(boxes[:, :2] + boxes[:, 2:], np.fmax.reduce(keypoints, axis=1))
    return np.concatenate([low, high - low], axis=1)


def cut_crops(
    dataset: Dataset,
    images_dir: Path,
    regions: Floats,
    crop_wh: tuple[int, int],
    *,
    progress: Progress | None = None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Crops of all instances, frame by frame; each frame is decoded once.

    Args:
        dataset: N annotations.
        images_dir: Folder of the frames.
        regions: (N, 4) xywh px, of the crop's aspect ratio.
        crop_wh: Width and height of a crop in px.
        progress: Called with (frames done, frames in all).

    Yields:
        Rows of the instances of one frame, and their crops (n, H, W, 3) uint8.

    Raises:
        InvalidDataError: Frames are missing (all are listed) or damaged.
        UnsafeInputError: A file name leaves the folder, or an image is absurdly large.
    """
    frame_of = dataset.image_row
    frames = np.unique(frame_of)
    names = [dataset.images.file_names[frame] for frame in frames]
    paths = resolve_images(images_dir, names, dataset.images.ids[frames].tolist())
    affines = box_to_crop_affine(regions, crop_wh)
    order = np.argsort(frame_of, kind="stable")
    starts = np.searchsorted(frame_of[order], frames)
    ends = np.append(starts[1:], len(order))
    for done, (path, start, end) in enumerate(zip(paths, starts, ends, strict=True)):
        frame = _Frame(load_image(path))
        rows = order[start:end]
        yield rows, np.stack([frame.warp(affines[row], crop_wh) for row in rows])
        if progress is not None:
            progress(done + 1, len(paths))


class _Frame:
    """A frame, and smaller copies of it for crops that shrink it; each is made once."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """Keep the frame as it is."""
        self.copies = {1: image}

    def warp(self, affine: Floats, crop_wh: tuple[int, int]) -> NDArray[np.uint8]:
        """Cut a crop; where it shrinks the image, average over the px that merge."""
        shrink = max(1, int(1 / max(affine[0, 0], 1e-6)))
        if shrink > 1:
            affine = self._to_copy(affine, shrink)
        image = self.copies[shrink]
        if max(image.shape[:2]) > _WARPED:
            image, affine = _cut_out(image, affine, crop_wh)
        return np.asarray(cv2.warpAffine(image, affine, crop_wh, flags=cv2.INTER_LINEAR))

    def _to_copy(self, affine: Floats, shrink: int) -> Floats:
        """The map to the crop from the frame averaged in blocks of `shrink` px."""
        full = self.copies[1]
        height, width = (max(side // shrink, 1) for side in full.shape[:2])
        if shrink not in self.copies:
            small = cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA)
            self.copies[shrink] = np.asarray(small, np.uint8)
        ratio = np.array([full.shape[1] / width, full.shape[0] / height])
        adjusted = affine.copy()
        adjusted[:, :2] = affine[:, :2] * ratio
        adjusted[:, 2] = affine[:, 2] + affine[:, :2] @ (0.5 * ratio - 0.5)
        return adjusted


def _cut_out(
    image: NDArray[np.uint8], affine: Floats, crop_wh: tuple[int, int]
) -> tuple[NDArray[np.uint8], Floats]:
    """The part of an image that a crop shows, with an edge of 2 px, and the map from it."""
    ends = np.array([[0.0, 0.0], [crop_wh[0] - 1, crop_wh[1] - 1]])
    seen = (ends - affine[:, 2]) / affine[[0, 1], [0, 1]]  # (low|high, xy) px of the image
    size = np.array(image.shape[1::-1])
    low = np.clip(np.floor(seen[0]) - 2, 0, size - 1).astype(int)
    high = np.clip(np.ceil(seen[1]) + 3, low + 1, size).astype(int)
    moved = affine.copy()
    moved[:, 2] += affine[:, :2] @ low
    return image[low[1] : high[1], low[0] : high[0]], moved


def margin(config: TrainConfig) -> float:
    """How much further than the network's input a cached crop reaches, on both axes.

    A recipe with a larger shift or scale than usual gets what it may show, so that a crop that
    moves away shows the frame and not an edge of the cache (but for the corners of a turned
    crop). It costs memory: four times the pixels for a shift of a half.
    """
    reach = _reach(config)
    return MARGIN if reach <= _reach(TrainConfig()) else reach + 0.05


def _reach(config: TrainConfig) -> float:
    """Side of what scale and shift may show, in sides of the crop."""
    return (1 + 2 * config.shift) / (1 - config.scale)


def load_training_crops(
    dataset: Dataset,
    images_dir: Path,
    config: TrainConfig,
    *,
    shared: Path | None = None,
    progress: Progress | None = None,
) -> TrainingCrops:
    """Cut and keep the crops of all instances, with a margin for augmentation.

    Args:
        dataset: N labelled instances.
        images_dir: Their frames.
        config: Crop size, box policy and strengths of augmentation.
        shared: With several processes: a folder in which those of one machine share one
            cache, each cutting a part of it.
        progress: Called with (frames done, frames in all).

    Raises:
        UsageError: There is nothing to train on.
    """
    if not len(dataset.annotations):
        raise UsageError(f"{dataset.name}: no annotations to train on")
    width, height = (round(side * margin(config)) for side in config.input_wh)
    regions = crop_boxes(dataset, config)
    center = regions[:, :2] + regions[:, 2:] / 2
    size = regions[:, 2:] * np.array([width, height]) / np.array(config.input_wh)
    regions = np.concatenate([center - size / 2, size], axis=1)
    here = processes()
    local = Processes() if shared is None else Processes(here.local_rank, here.local_size)
    rows = share_of_frames(dataset.image_row, local)
    with _pixels((len(regions), height, width, 3), local, shared) as pixels:
        part = dataset.subset(rows)
        for found, crops in cut_crops(
            part, images_dir, regions[rows], (width, height), progress=progress
        ):
            pixels[rows[found]] = crops
    people = dataset.annotations
    affines = box_to_crop_affine(regions, (width, height))
    points = np.nan_to_num(apply_affine(affines, people.keypoints))
    return TrainingCrops(pixels, points, people.labelled, config.input_wh)


@contextmanager
def _pixels(
    shape: tuple[int, ...], local: Processes, shared: Path | None
) -> Iterator[NDArray[np.uint8]]:
    """Room for all crops; the processes of one machine share it, and leave it together."""
    if shared is None or local.size == 1:
        yield np.empty(shape, dtype=np.uint8)
        return
    path = shared / f"crops.{os.environ.get('GROUP_RANK', '0')}.uint8"
    if local.leads:
        try:
            with path.open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, math.prod(shape))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise ResourceError(
                f"{path}: no room for {math.prod(shape) / 1e9:.1f} GB of crops: "
                f"{error.strerror}; use a smaller 'input_wh', or another --out"
            ) from error
    wait_for_all()
    pixels = np.memmap(path, dtype=np.uint8, mode="r+", shape=shape)
    wait_for_all()
    if local.leads:
        path.unlink()  # the processes keep what they have mapped; one that fails leaves nothing
    yield pixels
    wait_for_all()


def normalised(crops: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Network input (B, H, W, 3) from crops in grey levels: ImageNet's mean and deviation."""
    return (np.asarray(crops, np.float32) - _MEAN) / _STD
