"""From annotated frames to predictions in image px, whatever computes the network.

A frame is decoded once however many people it holds, batches span frames, and the crops of
the next batches are cut in a thread while the network runs. Nothing here imports torch: a
`Forward` is PyTorch's, ONNX Runtime's or a test's own function.
"""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from baselines.config import TrainConfig
from baselines.crops import MEAN, STD, crop_boxes, cut_crops
from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.geometry import apply_affine, box_to_crop_affine, invert_affine
from toolkit.models import Progress
from toolkit.schema import Schema

_T = TypeVar("_T")
Floats = NDArray[np.float64]
Batch = tuple[NDArray[np.int64], NDArray[np.float32]]
Answer = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]
Forward = Callable[[NDArray[np.float32]], Answer]
"""(B, 3, H, W) → points (B, K, 2) crop px, scores (B, K), sigma (B, K, 2) crop px or None."""

AHEAD = 2  # batches that wait while the network runs: enough to hide the cutting


class CropModel(ABC):
    """A `PoseModel` whose network answers for crops, whatever computes it.

    Attributes:
        name: Of the model.
        schema: Whose keypoints it predicts.
        config: Crop size and box policy.
    """

    name: str
    schema: Schema
    config: TrainConfig

    @abstractmethod
    def forward(self, images: NDArray[np.float32]) -> Answer:
        """Keypoints of crops; see `Forward`."""

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: Floats | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Predictions:
        """Predict every instance; see `toolkit.models.PoseModel`."""
        return predict_people(
            self.forward,
            dataset,
            images_dir,
            self.config,
            self.schema,
            boxes=boxes,
            batch_size=batch_size,
            model=self.name,
            progress=progress,
        )


def predict_people(
    forward: Forward,
    dataset: Dataset,
    images_dir: Path,
    config: TrainConfig,
    schema: Schema,
    *,
    boxes: Floats | None = None,
    batch_size: int = 64,
    model: str = "",
    progress: Progress | None = None,
) -> Predictions:
    """Run a network over all instances of a data set.

    Args:
        forward: The network and its decoding.
        dataset: N instances, in any schema; only boxes are read (but see the oracle).
        images_dir: Their frames.
        config: Crop size and box policy.
        schema: Of the network, K keypoints.
        boxes: (N, 4) boxes in place of the data set's.
        batch_size: Crops at a time.
        model: Name to write into the predictions.
        progress: Called with (instances done, instances in all).

    Returns:
        N predictions in the order of the annotations.
    """
    people = dataset.annotations
    count, keypoints = len(people), schema.num_keypoints
    regions = crop_boxes(dataset, config, boxes)
    points = np.full((count, keypoints, 2), np.nan)
    scores = np.zeros((count, keypoints))
    sigma = np.full((count, keypoints, 2), np.nan)
    done = 0
    for rows, images in ahead(batches(dataset, images_dir, regions, config, batch_size)):
        points[rows], scores[rows], scales = forward(images)
        if scales is not None:
            sigma[rows] = scales
        done += len(rows)
        if progress is not None:
            progress(done, count)
    affines = box_to_crop_affine(regions, config.input_wh)
    px_per_crop_px = 1 / affines[:, 0, 0]
    return Predictions.from_arrays(
        schema,
        people.image_id,
        apply_affine(invert_affine(affines), points),
        scores=scores.mean(axis=1),
        keypoint_scores=scores,
        sigma=None if np.isnan(sigma).all() else sigma * px_per_crop_px[:, None, None],
        annotation_id=people.instance_id,
        bbox_xywh=people.bbox_xywh if boxes is None else boxes,
        category_id=people.category_id,
        model=model,
    )


def batches(
    dataset: Dataset,
    images_dir: Path,
    regions: Floats,
    config: TrainConfig,
    batch_size: int,
) -> Iterator[Batch]:
    """Full batches of network inputs (B, 3, H, W) across frames, with their rows."""
    if not len(regions):
        return
    held_rows: list[NDArray[np.int64]] = []
    held: list[NDArray[np.uint8]] = []
    waiting = 0
    for rows, crops in cut_crops(dataset, images_dir, regions, config.input_wh):
        held_rows.append(rows)
        held.append(crops)
        waiting += len(rows)
        while waiting >= batch_size:
            all_rows, all_crops = np.concatenate(held_rows), np.concatenate(held)
            yield all_rows[:batch_size], network_inputs(all_crops[:batch_size])
            held_rows, held = [all_rows[batch_size:]], [all_crops[batch_size:]]
            waiting -= batch_size
    if waiting:
        yield np.concatenate(held_rows), network_inputs(np.concatenate(held))


def network_inputs(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(B, 3, H, W) from (B, H, W, 3) uint8: `baselines.crops.normalised`, plane by plane."""
    planes = crops.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    planes -= np.array(MEAN, np.float32)[:, None, None]
    planes /= np.array(STD, np.float32)[:, None, None]
    return planes


def ahead(source: Iterator[Batch], depth: int = AHEAD) -> Iterator[Batch]:
    """The same batches, made in a thread that runs up to `depth` ahead.

    An error in the thread is raised here, in its place; where the reader stops early, the
    thread stops at its next batch.
    """
    waiting: queue.Queue[Batch | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def offer(item: Batch | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for batch in source:
                if not offer(batch):
                    return
            offer(None)
        except BaseException as error:
            offer(error)

    thread = threading.Thread(target=work, name="crops", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def prefetched(
    make: Callable[[int], _T], numbers: Iterable[int], *, threads: int = 1
) -> Iterator[_T]:
    """`make` of each number, in their order, made in threads that run `AHEAD` ahead.

    An error in a thread is raised here, in its place.

    Args:
        make: Depends on the number alone, so that the order of the threads is nothing to it.
        numbers: Such as the steps of a training run.
        threads: How many make at a time.
    """
    waiting: deque[Future[_T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > threads + AHEAD - 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
