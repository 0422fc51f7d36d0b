"""Random data sets in both forms: the toolkit's arrays and COCO documents for the oracle."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.dataset import Dataset
from toolkit.schema import Schema

STATS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


@dataclass(frozen=True)
class Pair:
    """One random problem in both forms."""

    truth: Dataset
    predictions: Predictions
    document: dict[str, Any]
    results: list[dict[str, Any]]


@pytest.fixture(scope="session")
def random_pair() -> Callable[..., Pair]:
    """Random people and detections, oddities included: crowds, no labels, zero areas, ties."""

    def make(seed: int, images: int = 12, people: int = 30, detections: int = 150) -> Pair:
        rng = np.random.default_rng(seed)
        schema = Schema.load("coco")
        image_ids = rng.permutation(1000)[:images] + 1
        image = rng.choice(image_ids, people)
        size = rng.uniform(5, 250, (people, 2))
        corner = rng.uniform(0, 300, (people, 2))
        points = np.round(corner[:, None] + rng.random((people, 17, 2)) * size[:, None], 1)
        flags = rng.choice([0, 1, 2], (people, 17), p=[0.3, 0.2, 0.5])
        flags[rng.random(people) < 0.2] = 0
        area = size.prod(axis=1) * rng.uniform(0.3, 0.8, people)
        area[rng.random(people) < 0.05] = 0
        crowd = rng.random(people) < 0.1
        stored = (flags > 0).sum(axis=1)
        stored[rng.random(people) < 0.05] = 0
        box = np.concatenate([corner, size], axis=1)
        ids = np.arange(people) + 1
        annotations = Annotations.from_arrays(
            schema,
            image,
            points,
            flags,
            box,
            instance_id=ids,
            area=area,
            is_crowd=crowd,
            num_keypoints=stored,
        )
        truth = Dataset(
            schema,
            Images.from_ids(image_ids, size_wh=np.full((images, 2), 600)),
            annotations,
        )
        copied = rng.integers(0, people, detections)
        level = rng.uniform(0, 2.5, (detections, 1, 1))
        spread = np.sqrt(np.maximum(area[copied], 50))[:, None, None] * schema.sigmas[:, None]
        found = points[copied] + rng.normal(0, 1, (detections, 17, 2)) * level * spread
        scores = np.round(rng.random(detections), 1)  # many ties
        predictions = Predictions.from_arrays(schema, image[copied], found, scores=scores)
        document = {
            "images": [{"id": int(i), "width": 600, "height": 600} for i in image_ids],
            "categories": [schema.coco_category()],
            "annotations": [
                {
                    "id": int(ids[row]),
                    "image_id": int(image[row]),
                    "category_id": 1,
                    "keypoints": np.column_stack([points[row], flags[row]]).ravel().tolist(),
                    "num_keypoints": int(stored[row]),
                    "iscrowd": int(crowd[row]),
                    "area": float(area[row]),
                    "bbox": box[row].tolist(),
                }
                for row in range(people)
            ],
        }
        results = [
            {
                "image_id": int(image[copied[row]]),
                "category_id": 1,
                "keypoints": np.column_stack([found[row], np.ones(17)]).ravel().tolist(),
                "score": float(scores[row]),
            }
            for row in range(detections)
        ]
        return Pair(truth, predictions, document, results)

    return make


@pytest.fixture(scope="session")
def pycocotools_stats() -> Callable[[dict[str, Any], list[dict[str, Any]]], dict[str, Any]]:
    """The ten numbers of pycocotools by name; None for its -1."""

    def stats(document: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = document
            truth.createIndex()
            evaluator = COCOeval(truth, truth.loadRes(results), "keypoints")
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
        values = (None if value == -1 else float(value) for value in evaluator.stats)
        return dict(zip(STATS, values, strict=True))

    return stats


@pytest.fixture
def predictions_of() -> Callable[..., Predictions]:
    """Predictions that repeat the truth, each moved by an offset, with annotation ids."""

    def make(
        truth: Dataset, offset: object = 0.0, *, by_id: bool = True, **fields: Any
    ) -> Predictions:
        people = truth.annotations
        points = np.nan_to_num(people.keypoints) + np.asarray(offset, dtype=float)
        return Predictions.from_arrays(
            truth.schema,
            people.image_id,
            points,
            annotation_id=people.instance_id if by_id else None,
            **fields,
        )

    return make
