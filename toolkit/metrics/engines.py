"""Other engines for the AP family: hotcoco and pycocotools, for cross-checking.

They get the ground truth and the detections as COCO documents that hold the profile's
choices: its area, and which instances it ignores. Their numbers equal the toolkit's own;
intervals always come from the toolkit.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import MissingExtraError, UsageError
from toolkit.metrics.ap import MAX_DETECTIONS, OKS_THRESHOLDS, RECALL_POINTS
from toolkit.metrics.pairing import keypoint_extent, prediction_boxes
from toolkit.metrics.profiles import detection_areas, ignored, scored_detections

if TYPE_CHECKING:
    from toolkit.metrics.scoring import Options, Scored

Engine = Literal["toolkit", "hotcoco", "pycocotools"]
ENGINES: tuple[Engine, ...] = ("toolkit", "hotcoco", "pycocotools")
Floats = NDArray[np.float64]


def ap_by_engine(
    engine: str, truth: Dataset, predictions: Predictions, options: Options, scored: Scored
) -> dict[str, float]:
    """The profile's AP keys from another engine; NaN where there is no ground truth.

    Raises:
        UsageError: There is no such engine.
        MissingExtraError: It is not installed.
    """
    if engine not in ENGINES:
        raise UsageError(f"no engine '{engine}'; known: {', '.join(ENGINES)}")
    document, results = _documents(truth, predictions, options)
    images: dict[str, list[int]] = {"": sorted(truth.images.ids.tolist())}
    if scored.bands is not None and scored.bands.masks is not None:
        for name, mask in scored.bands.masks.items():
            images[name] = sorted(truth.images.ids[mask].tolist())
    values: dict[str, Floats] = {}
    for band, ids in images.items():
        precision, recall = _run(engine, document, results, options, truth.schema.sigmas, ids)
        for row, name in enumerate(options.profile.by_area):
            values[f"AP:{band or name}"] = _mean_known(precision[:, :, :, row, 0], (1, 2))
            values[f"AR:{band or name}"] = _mean_known(recall[:, :, row, 0], (1,))
    result = {}
    for key, (source, index) in options.profile.ap_names.items():
        found = values.get(source, np.array([np.nan]))
        result[key] = float(found.mean() if index is None else found[index])
    return result


def _mean_known(values: Floats, axes: tuple[int, ...]) -> Floats:
    known = values > -1
    count = known.sum(axis=axes)
    total = np.where(known, values, 0).sum(axis=axes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _documents(
    truth: Dataset, predictions: Predictions, options: Options
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """COCO documents; ids are renumbered from 1, because engines take id 0 for "no match"."""
    people = truth.annotations
    area, _ = options.profile.area(people)
    triples = np.concatenate(
        [np.nan_to_num(people.keypoints), people.visibility[..., None]], axis=2
    ).reshape(len(people), 3 * truth.schema.num_keypoints)
    counted = np.where(ignored(people), 0, np.maximum(people.labelled.sum(axis=1), 1))
    annotations = [
        {
            "id": row + 1,
            "image_id": int(people.image_id[row]),
            "category_id": int(people.category_id[row]),
            "keypoints": triples[row].tolist(),
            "num_keypoints": int(counted[row]),
            "iscrowd": int(people.is_crowd[row]),
            "area": float(area[row]),
            "bbox": people.bbox_xywh[row].tolist(),
        }
        for row in range(len(people))
    ]
    document = {
        # without the size, which no keypoint metric needs and hotcoco refuses where it is odd
        "images": [
            {"id": int(image), "file_name": name}
            for image, name in zip(truth.images.ids, truth.images.file_names, strict=True)
        ],
        "annotations": annotations,
        "categories": [
            {**truth.schema.coco_category(), "id": int(category)}
            for category in np.unique(people.category_id)
        ],
    }
    _, area_rule = detection_areas(predictions, keypoint_extent(predictions.keypoints))
    boxes = prediction_boxes(predictions) if area_rule.startswith("bbox") else None
    rows = np.flatnonzero(scored_detections(options.profile, predictions))
    results = [_result(predictions, int(row), boxes) for row in rows]
    return document, results


def _result(predictions: Predictions, row: int, boxes: Floats | None) -> dict[str, Any]:
    triples = np.concatenate(
        [predictions.keypoints[row], predictions.keypoint_scores[row][:, None]], axis=1
    )
    record = {
        "image_id": int(predictions.image_id[row]),
        "category_id": int(predictions.category_id[row]),
        "keypoints": triples.ravel().tolist(),
        "score": float(predictions.scores[row]),
    }
    if boxes is not None:
        record["bbox"] = boxes[row].tolist()
    return record


def _run(
    engine: str,
    document: dict[str, Any],
    results: list[dict[str, Any]],
    options: Options,
    sigmas: Floats,
    image_ids: list[int],
) -> tuple[Floats, Floats]:
    """(T, 101, categories, areas, 1) precision and (T, categories, areas, 1) recall."""
    areas = [list(pair) for pair in options.profile.area_ranges]
    ranges = {"areaRng": areas, "areaRngLbl": list(options.profile.by_area)}
    shape = (
        len(OKS_THRESHOLDS),
        len(RECALL_POINTS),
        len(document["categories"]),
        len(areas),
        1,
    )
    if not image_ids:
        return np.full(shape, -1.0), np.full((shape[0], *shape[2:]), -1.0)
    if not results:
        results = [_nothing(document)]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hotcoco warns of sigmas; the result names them
        if engine == "hotcoco":
            import hotcoco  # lazy: only where asked for

            truth = hotcoco.COCO(document)
            evaluator = hotcoco.COCOeval(truth, truth.load_res(results), "keypoints")
            evaluator.params.kpt_oks_sigmas = sigmas.tolist()
        else:
            try:
                from pycocotools.coco import COCO  # lazy: only where asked for
                from pycocotools.cocoeval import COCOeval
            except ImportError as error:
                raise MissingExtraError(
                    "engine 'pycocotools' is not installed. Install it with: "
                    "pip install pycocotools"
                ) from error
            truth = COCO()
            truth.dataset = document
            truth.createIndex()
            evaluator = COCOeval(truth, truth.loadRes(results), "keypoints")
            evaluator.params.kpt_oks_sigmas = sigmas
        evaluator.params.imgIds = image_ids
        evaluator.params.maxDets = [MAX_DETECTIONS]
        for name, value in ranges.items():
            setattr(evaluator.params, name, value)
        evaluator.evaluate()
        evaluator.accumulate()
    found: dict[str, Any] = evaluator.eval or {}
    return np.asarray(found["precision"]), np.asarray(found["recall"])


def _nothing(document: dict[str, Any]) -> dict[str, Any]:
    """A far-off detection of score 0: engines cannot load an empty list."""
    first = document["annotations"][0]
    return {
        "image_id": document["images"][0]["id"],
        "category_id": first["category_id"],
        "keypoints": [-1e6, -1e6, 0.0] * (len(first["keypoints"]) // 3),
        "score": 0.0,
    }
