"""Head sizes for PCKh: the schema's steps in order, and how often each was used.

The usual steps: 0.6 x the diagonal of an annotated head box (MPII's rule), the segment
between two head keypoints, 0.35 x the mean of the left and right shoulder-to-hip length.
An instance for which no step gives a positive length has no head size: it is left out and
counted, never divided by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.schema import HeadSizeStep

NONE = -1


@dataclass(frozen=True)
class HeadSizes:
    """Head sizes of N instances.

    Attributes:
        size: (N,) px, NaN where no step applies.
        step: (N,) index into the schema's steps, -1 where none applies.
        keys: Names of the schema's steps.
    """

    size: NDArray[np.float64]
    step: NDArray[np.int64]
    keys: tuple[str, ...]

    def counts(self, among: NDArray[np.bool_] | None = None) -> dict[str, int]:
        """How many instances (of those that `among` marks) each step served, and `none`."""
        step = self.step if among is None else self.step[among]
        used = {key: int((step == row).sum()) for row, key in enumerate(self.keys)}
        return used | {"none": int((step == NONE).sum())}


def head_sizes(truth: Annotations) -> HeadSizes:
    """Head size of each instance by the first step of its schema that can be computed."""
    size = np.full(len(truth), np.nan)
    step = np.full(len(truth), NONE, dtype=np.int64)
    for row, rule in enumerate(truth.schema.head_size):
        length = _length(truth, rule) * rule.factor
        usable = (step == NONE) & np.isfinite(length) & (length > 0)
        size[usable] = length[usable]
        step[usable] = row
    return HeadSizes(size, step, tuple(rule.key for rule in truth.schema.head_size))


def _length(truth: Annotations, rule: HeadSizeStep) -> NDArray[np.float64]:
    """(N,) length that a step is based on, NaN where it cannot be computed.

    The torso is the mean of its sides; where one side is not labelled, the other alone.
    """
    if rule.method == "head_box":
        width, height = truth.head_box_xywh[:, 2], truth.head_box_xywh[:, 3]
        length = np.hypot(width, height)
        length[~((width > 0) & (height > 0))] = np.nan
        return np.asarray(length)
    sides = []
    for start, end in rule.pairs:
        a = truth.keypoints[:, truth.schema.index(start)]
        b = truth.keypoints[:, truth.schema.index(end)]
        sides.append(np.hypot(*(a - b).T))
    lengths = np.stack(sides, axis=1)  # (N, sides)
    known = ~np.isnan(lengths)
    total = np.where(known, lengths, 0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def torso_ratio(truth: Annotations) -> float | None:
    """The factor that would make the torso step agree with the head-box step.

    Returns:
        Median of (0.6 x head-box diagonal) / (mean shoulder-to-hip length) over the
        instances that have both; None where none has, or the schema lacks a step.
    """
    rules = {rule.method: rule for rule in truth.schema.head_size}
    if "head_box" not in rules or "torso" not in rules:
        return None
    head = _length(truth, rules["head_box"]) * rules["head_box"].factor
    torso = _length(truth, rules["torso"])
    both = np.isfinite(head) & np.isfinite(torso) & (torso > 0)
    return float(np.median(head[both] / torso[both])) if both.any() else None
