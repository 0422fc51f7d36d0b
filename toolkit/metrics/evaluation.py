"""The result of an evaluation: numbers with the rules that made them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Cell:
    """Numbers of one group of keypoints in one stratum.

    Attributes:
        values: Metric -> mean, None where nothing is labelled.
        n: Labelled keypoints that count for PCKh.
        intervals: Metric -> 95 % interval, None where there is none.
        median_error_heads: Median error in head sizes; infinite where more than half of
            the keypoints have no prediction, None where nothing is labelled.
    """

    values: Mapping[str, float | None]
    n: int
    intervals: Mapping[str, Interval | None]
    median_error_heads: float | None

    def to_json(self) -> dict[str, Any]:
        """The values, `n`, `interval` (of PCKh@0.5), `intervals`, `median_error_heads`."""
        return {
            **{name: plain(value) for name, value in self.values.items()},
            "n": self.n,
            "interval": plain(self.intervals.get("PCKh@0.5")),
            "intervals": {name: plain(pair) for name, pair in self.intervals.items()},
            "median_error_heads": plain(self.median_error_heads),
        }


@dataclass(frozen=True)
class Evaluation:
    """Everything `evaluate` measured.

    Attributes:
        profile: Name of the profile.
        metrics: Metric -> value between 0 and 1 (`median_error_heads` in head sizes);
            None where there is no ground truth.
        strata: Stratum -> group -> numbers. `all` is the stratum without a condition.
        per_keypoint: Keypoint name -> numbers.
        intervals: Metric -> 95 % bootstrap interval.
        settings: The rules that were used, and what was ignored and why.
        notes: Sentences a reader should see beside the numbers.
        ground_truth_sha256: Of the file, or None for data that came from no file.
        predictions_sha256: The same.
        versions: Of the programs that computed it.
        warnings: Sentences that say why numbers may not be what they seem.
    """

    profile: str
    metrics: Mapping[str, float | None]
    strata: Mapping[str, Mapping[str, Cell]]
    per_keypoint: Mapping[str, Cell]
    intervals: Mapping[str, Interval | None]
    settings: Mapping[str, Any]
    notes: tuple[str, ...]
    ground_truth_sha256: str | None
    predictions_sha256: str | None
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON document of plain values; what is unknown or infinite is null."""
        return {
            "profile": self.profile,
            "metrics": {name: plain(value) for name, value in self.metrics.items()},
            "strata": {
                stratum: {group: cell.to_json() for group, cell in cells.items()}
                for stratum, cells in self.strata.items()
            },
            "per_keypoint": {name: cell.to_json() for name, cell in self.per_keypoint.items()},
            "intervals": {name: plain(pair) for name, pair in self.intervals.items()},
            "settings": plain(self.settings),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "ground_truth_sha256": self.ground_truth_sha256,
            "predictions_sha256": self.predictions_sha256,
            "versions": dict(self.versions),
        }


def plain(value: object) -> Any:  # noqa: ANN401 - JSON is any plain value
    """A value as JSON has it: tuples as lists, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
