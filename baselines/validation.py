"""How good a network is while it trains: a plain PCKh to choose the best checkpoint by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolkit.dataset import Dataset
from toolkit.geometry import inside_box
from toolkit.metrics.head_size import head_sizes
from toolkit.models import PoseModel
from toolkit.processes import predict


def validate(
    model: PoseModel, dataset: Dataset, images_dir: Path, *, batch_size: int
) -> dict[str, float]:
    """PCKh@0.5 in per cent (see `pckh_shares`), each process on its share."""
    predicted = predict(model, dataset, images_dir, batch_size=batch_size)
    return pckh_shares(dataset, predicted.keypoints)


def pckh_shares(dataset: Dataset, keypoints: np.ndarray[Any, Any]) -> dict[str, float]:
    """A plain PCKh@0.5 for choosing checkpoints; `toolkit evaluate` is the real one.

    Args:
        dataset: Truth; instances without a head size by the schema's rules are left out.
        keypoints: (N, K, 2) px.

    Returns:
        Per cent of labelled keypoints within half a head: `all`, `body`, and for each other
        report group its value outside the human box.
    """
    people, schema = dataset.annotations, dataset.schema
    head = head_sizes(people).size
    error = np.linalg.norm(keypoints - people.keypoints, axis=2) / head[:, None]
    counted = np.isfinite(error)
    right = error <= 0.5
    outside = counted & ~inside_box(people.keypoints, people.bbox_xywh)

    def share(mask: np.ndarray[Any, Any]) -> float:
        return 100 * float(right[mask].mean()) if mask.any() else 0.0

    result = {"all": share(counted), "body": share(counted & ~schema.is_extension)}
    for name, rows in schema.report_groups.items():
        columns = np.zeros(schema.num_keypoints, dtype=bool)
        columns[rows] = True
        if (columns & schema.is_extension).any():
            result[f"{name} out"] = share(outside & columns)
            result[f"{name} in"] = share(counted & ~outside & columns)
    return result
