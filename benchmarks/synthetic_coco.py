"""Synthetic COCO keypoint files of COCO-val2017's size, for the benchmarks.

The people are random, the sizes are real: 5,000 images, 10,996 instances, 92,931
detections, 17 keypoints. Same seed, same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from toolkit import Schema


@dataclass(frozen=True)
class Size:
    """How large the files are."""

    images: int = 5_000
    instances: int = 10_996
    detections: int = 92_931


def write_files(folder: Path, size: Size, seed: int = 0) -> tuple[Path, Path]:
    """Write `truth.json` and `detections.json`; return their paths."""
    rng = np.random.default_rng(seed)
    schema = Schema.load("coco")
    count, num_keypoints = size.instances, schema.num_keypoints
    image_ids = np.sort(rng.choice(10 * size.images, size.images, replace=False)) + 1
    image = rng.choice(image_ids, count)
    wh = np.exp(rng.normal(4.6, 0.75, (count, 1))) * np.array([[0.6, 1.4]])
    corner = rng.uniform(0, 500, (count, 2))
    points = corner[:, None] + rng.uniform(0, 1, (count, num_keypoints, 2)) * wh[:, None]
    points = np.round(points)
    visibility = rng.choice([0, 1, 2], (count, num_keypoints), p=[0.35, 0.15, 0.5])
    visibility[rng.random(count) < 0.4] = 0
    area = np.round(wh.prod(axis=1) * rng.uniform(0.3, 0.7, count), 4)
    annotations = []
    for row in range(count):
        flags = visibility[row]
        triples = np.column_stack([points[row] * (flags > 0)[:, None], flags])
        box = np.round([*corner[row], *wh[row]], 2).tolist()
        annotations.append(
            {
                "id": row + 1,
                "image_id": int(image[row]),
                "category_id": 1,
                "iscrowd": int(rng.random() < 0.015),
                "area": float(area[row]),
                "bbox": box,
                "num_keypoints": int((flags > 0).sum()),
                "keypoints": triples.astype(int).ravel().tolist(),
            }
        )
    truth = {
        "images": [
            {"id": int(i), "file_name": f"{i:012d}.jpg", "width": 640, "height": 480}
            for i in image_ids
        ],
        "annotations": annotations,
        "categories": [schema.coco_category()],
    }
    results = _detections(rng, size, image_ids, image, points, area)
    truth_path, results_path = folder / "truth.json", folder / "detections.json"
    truth_path.write_bytes(orjson.dumps(truth))
    results_path.write_bytes(orjson.dumps(results))
    return truth_path, results_path


def _detections(
    rng: np.random.Generator,
    size: Size,
    image_ids: np.ndarray,
    image: np.ndarray,
    points: np.ndarray,
    area: np.ndarray,
) -> list[dict[str, object]]:
    """Three noisy copies of most people at falling scores, the rest at random."""
    sigmas = Schema.load("coco").sigmas
    wanted = min(size.detections, 3 * len(image))
    copies = rng.permutation(np.tile(np.arange(len(image)), 3))[:wanted]
    noise = np.exp(rng.normal(0.2, 0.7, len(copies)))
    spread = noise[:, None] * np.sqrt(area[copies])[:, None] * sigmas  # (c, K)
    near = points[copies] + rng.normal(0, 1, (len(copies), len(sigmas), 2)) * spread[..., None]
    far_count = size.detections - len(copies)
    center = rng.uniform(0, 500, (far_count, 1, 2))
    far = center + rng.normal(0, 60, (far_count, len(sigmas), 2))
    keypoints = np.concatenate([near, far])
    where = np.concatenate([image[copies], rng.choice(image_ids, far_count)])
    quality = np.concatenate([1 / (1 + noise), np.full(far_count, 0.15)])
    scores = np.clip(quality + rng.normal(0, 0.12, len(quality)), 0.001, 0.999)
    confidence = np.round(rng.uniform(0, 1, keypoints.shape[:2]), 3)
    triples = np.concatenate([np.round(keypoints, 2), confidence[..., None]], axis=2)
    order = rng.permutation(len(scores))
    return [
        {
            "image_id": int(where[row]),
            "category_id": 1,
            "keypoints": triples[row].ravel().tolist(),
            "score": float(round(scores[row], 6)),
        }
        for row in order
    ]
