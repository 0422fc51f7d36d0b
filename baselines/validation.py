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

HEADLESS = 0.2  # of the box's diagonal, where nobody has a head


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
            Where nobody has one (no heads in the schema), a fifth of the box's diagonal
            stands for it: then this is PCK at a tenth of the diagonal.
        keypoints: (N, K, 2) px.

    Returns:
        Per cent of labelled keypoints within half a head: `all`, `body`, and for each other
        report group its value outside the human box. But for `all`, a share of nothing is left
        out; what is counted depends on the truth alone.
    """
    people, schema = dataset.annotations, dataset.schema
    head = head_sizes(people).size
    if not np.isfinite(head).any():
        head = HEADLESS * np.hypot(*people.bbox_xywh[:, 2:].T)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.linalg.norm(keypoints - people.keypoints, axis=2) / head[:, None]
    true = np.isfinite(people.keypoints).all(axis=2)
    counted = true & (np.isfinite(head) & (head > 0))[:, None]
    right = error <= 0.5  # of a prediction that is no number: False
    outside = counted & ~inside_box(people.keypoints, people.bbox_xywh)

    parts = {"all": counted, "body": counted & ~schema.is_extension}
    for name, rows in schema.report_groups.items():
        columns = np.zeros(schema.num_keypoints, dtype=bool)
        columns[rows] = True
        if (columns & schema.is_extension).any():
            parts[f"{name} out"] = outside & columns
            parts[f"{name} in"] = counted & ~outside & columns
    shares = {n: 100 * float(right[part].mean()) for n, part in parts.items() if part.any()}
    return {"all": 0.0} | shares
