"""A dozen instances for the report: ground truth beside each model's prediction.

The choice depends on the ground truth alone, never on a model, and is the same every time:
instances whose stick leaves the box first, then others, spread evenly over the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.benchmark.render_html import Exhibit, Gallery, Panel
from toolkit.dataset import Dataset
from toolkit.draw import draw_image, instance_view
from toolkit.geometry import inside_box
from toolkit.images import load_image, resolve_image
from toolkit.ink import encode_jpeg, fit_within, legend
from toolkit.metrics.errors_in_heads import pair_people

PANEL_SIDE = 420  # px; drawn at twice that and averaged
MIN_BOX = 40.0  # px; smaller people show little


def choose_instances(dataset: Dataset, count: int) -> NDArray[np.int64]:
    """Rows to show: three in four with an extension keypoint outside the box.

    Args:
        dataset: Ground truth.
        count: How many; fewer where the data set has fewer.

    Returns:
        Rows of annotations, ascending.
    """
    people = dataset.annotations
    large = (people.bbox_xywh[:, 2:] >= MIN_BOX).all(axis=1) & ~people.is_crowd
    usable = large & (people.labelled.sum(axis=1) >= people.schema.num_keypoints // 2)
    if not usable.any():
        usable = people.labelled.any(axis=1)
    outside = people.labelled & ~inside_box(people.keypoints, people.bbox_xywh)
    if people.schema.is_extension.any():
        outside &= people.schema.is_extension
    leaves = usable & outside.any(axis=1)
    first = _spread(np.flatnonzero(leaves), count - count // 4)
    second = _spread(np.flatnonzero(usable & ~leaves), count - len(first))
    return np.sort(np.concatenate([first, second]))


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` rows, evenly spaced, neither end included."""
    if len(rows) <= count:
        return rows
    return rows[((np.arange(count) + 0.5) * len(rows) / count).astype(np.int64)]


def make_gallery(
    title: str,
    dataset: Dataset,
    images_dir: Path,
    predictions: Mapping[str, Predictions],
    rows: NDArray[np.int64],
    errors: Mapping[str, NDArray[np.float64]],
    unit: str,
) -> Gallery:
    """Pictures of the chosen instances.

    Args:
        title: Heading of the gallery.
        dataset: Ground truth.
        images_dir: Where its images lie.
        predictions: By row label, in the ground truth's schema.
        rows: Chosen instances.
        errors: By row label, (N,) one number an instance for the caption, NaN for none.
        unit: What that number is.
    """
    answers = {label: pair_people(dataset, p).prediction for label, p in predictions.items()}
    exhibits = []
    for row in rows:
        rank = int(dataset.image_row[row])
        name = dataset.images.file_names[rank]
        image_id = int(dataset.images.ids[rank])
        image = load_image(resolve_image(images_dir, name, image_id))
        truth = dataset.annotations[np.array([row])]
        found = {
            label: _of_instance(p, int(answers[label][row]), dataset, int(row))
            for label, p in predictions.items()
        }
        view = instance_view(truth.bbox_xywh[0], truth.keypoints[0], margin=0.15)
        drawn = draw_image(image, truth, view_xywh=view, long_side=2 * PANEL_SIDE)
        panels = [Panel("ground truth", "human box, crop, labels", _picture(drawn.pixels))]
        for label, prediction in found.items():
            shown = (
                None if prediction is None else replace(prediction, bbox_xywh=truth.bbox_xywh)
            )
            canvas = draw_image(
                image, None, shown, view_xywh=view, long_side=2 * PANEL_SIDE, crops=False
            )
            caption = _caption(errors.get(label), int(row), unit, prediction)
            if prediction is not None and answers[label][row] < 0:
                caption = "nearest result; matched with nobody"
            panels.append(Panel(label, caption, _picture(canvas.pixels)))
        instance = int(truth.instance_id[0])
        exhibits.append(Exhibit(f"{name}, annotation {instance}", tuple(panels)))
    strip = encode_jpeg(legend(dataset.schema, 880, predicted=True), 92)
    return Gallery(title, strip, tuple(exhibits))


def _picture(pixels: NDArray[np.uint8]) -> bytes:
    return encode_jpeg(fit_within(pixels, PANEL_SIDE), 80)


def _caption(
    errors: NDArray[np.float64] | None, row: int, unit: str, found: Predictions | None
) -> str:
    if found is None:
        return "no prediction"
    if errors is None or not np.isfinite(errors[row]):
        return ""
    return f"{errors[row]:.2f} {unit}"


def _of_instance(
    predictions: Predictions, answer: int, dataset: Dataset, row: int
) -> Predictions | None:
    """The prediction that is measured against one annotation, else the nearest in its image.

    Args:
        predictions: Of one row.
        answer: Which of them answers for the annotation, -1 for none; see `pair_people`.
        dataset: Ground truth.
        row: Of the annotation.
    """
    people = dataset.annotations
    if answer >= 0:
        return predictions[np.array([answer])]
    same = np.flatnonzero(predictions.image_id == people.image_id[row])
    if not len(same):
        return None
    apart = np.linalg.norm(predictions.keypoints[same] - people.keypoints[row], axis=2)
    near = np.nanmean(np.where(people.labelled[row], apart, np.nan), axis=1)
    return predictions[same[[int(np.argmin(near))]]]
