"""Writes crowdpose_reference.json: what xtcocotools says of random predictions.

xtcocotools imports only beside numpy below 2, so it cannot live in the project's own
environment. In an environment with `numpy<2` and `xtcocotools==1.14.3`, run:

    python tests/toolkit/metrics/make_crowdpose_reference.py \\
        ../shared/data/crowdpose/crowdpose_val.json

The test makes the same predictions from the same seeds and expects the same numbers.
xtcocotools rounds the three crowd bands to 4 digits; here its `round` is switched off.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

SEEDS = (0, 1, 2)
NAMES = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "APE", "APM", "APH")
SIGMAS = [0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
SIGMAS += [0.079, 0.079]


def random_predictions(truth: dict, seed: int) -> list[dict]:
    """Two noisy copies of each person and some strangers, at random scores with ties."""
    rng = np.random.default_rng(seed)
    results = []
    for person in truth["annotations"]:
        triples = np.array(person["keypoints"], dtype=float).reshape(-1, 3)
        _, _, width, height = person["bbox"]
        scale = np.sqrt(width * height * 0.53)
        for copy in range(2):
            level = rng.uniform(0.2, 2.5 + 2 * copy)
            noise = rng.normal(0, 1, (14, 2)) * level * scale * np.array(SIGMAS)[:, None]
            points = triples[:, :2] + noise
            if rng.random() < 0.02:
                points = rng.uniform(0, 500, (14, 2))
            confidence = rng.uniform(0, 1, 14) * (rng.random() > 0.01)
            record = np.column_stack([points, confidence]).ravel().tolist()
            results.append(
                {
                    "image_id": person["image_id"],
                    "category_id": 1,
                    "keypoints": record,
                    "score": round(float(rng.uniform(0, 1)), 3),
                }
            )
    return results


def reference(truth_path: Path, seed: int) -> dict[str, float]:
    """The nine numbers of xtcocotools."""
    from xtcocotools import cocoeval
    from xtcocotools.coco import COCO

    cocoeval.round = lambda value, digits: value
    truth = json.loads(truth_path.read_text())
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        results = Path(folder) / "results.json"
        results.write_text(json.dumps(random_predictions(truth, seed)))
        oracle = COCO(str(truth_path))
        oracle.anno_file = [str(truth_path)]
        evaluator = cocoeval.COCOeval(
            oracle,
            oracle.loadRes(str(results)),
            "keypoints_crowd",
            np.array(SIGMAS),
            use_area=False,
        )
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(NAMES, map(float, evaluator.stats), strict=True))


if __name__ == "__main__":
    source = Path(sys.argv[1])
    document = {
        "made_by": "xtcocotools 1.14.3, keypoints_crowd, use_area=False, bands unrounded",
        "truth": source.name,
        "numbers": {str(seed): reference(source, seed) for seed in SEEDS},
    }
    target = Path(__file__).with_name("crowdpose_reference.json")
    target.write_text(json.dumps(document, indent=2) + "\n")
