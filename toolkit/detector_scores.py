"""How well boxes of people agree with annotated ones: COCO's box AP."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np

from toolkit.dataset import Dataset
from toolkit.detectors import Detections


def box_ap(truth: Dataset, found: Detections) -> dict[str, float]:
    """AP of person boxes by COCO's rules, at most 100 boxes an image.

    Args:
        truth: Annotations; crowds are ignored as COCO does, all categories are one.
        found: What a detector says of the same images.

    Returns:
        `AP` (IoU .50:.05:.95), `AP50`, `AP75` and `AR` as shares of one; NaN where `truth`
        has no box of a person who is not a crowd.
    """
    import hotcoco  # lazy: heavy

    people = truth.annotations
    known = np.isfinite(people.bbox_xywh).all(axis=1)
    names = ("AP", "AP50", "AP75", "AR")
    if not (known & ~people.is_crowd).any():
        return dict.fromkeys(names, math.nan)
    if not len(found):
        return dict.fromkeys(names, 0.0)
    document = {
        "images": [
            {"id": int(i), "width": int(w), "height": int(h)}
            for i, (w, h) in zip(truth.images.ids, truth.images.size_wh, strict=True)
        ],
        "annotations": [
            {
                "id": number + 1,
                "image_id": int(people.image_id[row]),
                "category_id": 1,
                "bbox": people.bbox_xywh[row].tolist(),
                "area": float(people.bbox_xywh[row, 2:].prod()),
                "iscrowd": int(people.is_crowd[row]),
            }
            for number, row in enumerate(np.flatnonzero(known))
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    results = [
        {
            "image_id": int(found.image_id[row]),
            "category_id": 1,
            "bbox": found.bbox_xywh[row].tolist(),
            "score": float(found.scores[row]),
        }
        for row in range(len(found))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = hotcoco.COCO(document)
        evaluator = hotcoco.COCOeval(coco, coco.load_res(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    stats = np.asarray(evaluator.stats, dtype=float)
    return {
        "AP": float(stats[0]), "AP50": float(stats[1]), "AP75": float(stats[2]),
        "AR": float(stats[8]),
    }  # fmt: skip
