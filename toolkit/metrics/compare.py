"""Paired test of two sets of predictions on the same ground truth.

Both are scored on the same resamples of images or clips, so that what is hard for both
cancels out. The interval is of the difference a - b; the p-value is two-sided: twice the
share of resamples in which the difference falls on the rarer side of 0 (ties count on both
sides, one resample is added to numerator and denominator).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.metrics import ex_oks
from toolkit.metrics.bootstrap import By, interval, note_on_few, settings_of_draws
from toolkit.metrics.evaluate import (
    ap_values,
    known,
    resampled_values,
    sorted_weights,
)
from toolkit.metrics.evaluation import Interval, plain
from toolkit.metrics.profiles import CROWD_BANDS, default_profile
from toolkit.metrics.rules import group_names, warnings_of
from toolkit.metrics.scoring import Options, cell_metrics, check_sides, overall_cell, score

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedTest:
    """One number of two models.

    Attributes:
        a: Value of the first, None where there is no ground truth.
        b: Value of the second.
        difference: a - b.
        interval: 95 % interval of the difference.
        p_value: Two-sided.
        p_is_bound: Whether it is the least that the resamples can give, so that the true one
            is at most that.
    """

    a: float | None
    b: float | None
    difference: float | None
    interval: Interval | None
    p_value: float | None
    p_is_bound: bool = False

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {
            "a": plain(self.a),
            "b": plain(self.b),
            "difference": plain(self.difference),
            "interval": plain(self.interval),
            "p_value": plain(self.p_value),
            "p_is_bound": self.p_is_bound,
        }


@dataclass(frozen=True)
class Comparison:
    """Paired tests of every number that two evaluations share.

    Attributes:
        profile: Name of the profile.
        metrics: Metric -> test.
        strata: Stratum -> group -> metric -> test.
        settings: Resamples, unit, seed, level; keypoints of the groups; hashes of the files.
        notes: Sentences a reader should see beside the numbers.
        warnings: Why numbers of the second model may not be what they seem; the first
            one's are in its evaluation.
    """

    profile: str
    metrics: Mapping[str, PairedTest]
    strata: Mapping[str, Mapping[str, Mapping[str, PairedTest]]]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON document of plain values."""
        return {
            "profile": self.profile,
            "metrics": {name: test.to_json() for name, test in self.metrics.items()},
            "strata": {
                stratum: {
                    group: {metric: test.to_json() for metric, test in tests.items()}
                    for group, tests in groups.items()
                }
                for stratum, groups in self.strata.items()
            },
            "settings": dict(self.settings),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def compare(
    truth: Dataset,
    a: Predictions,
    b: Predictions,
    profile: str | None = None,
    *,
    metrics: Iterable[str] | None = None,
    bootstrap: int = 1000,
    by: By = "image",
    seed: int = 0,
    bands: tuple[float, float] = CROWD_BANDS,
    groups: Mapping[str, Sequence[str]] | None = None,
    ex_oks_variant: ex_oks.Variant = "paper",
) -> Comparison:
    """Test the difference of two sets of predictions; arguments as `evaluate`.

    Raises:
        UsageError: Fewer than 1 resample, or what `evaluate` refuses.
    """
    if bootstrap < 1:
        raise UsageError(f"compare needs bootstrap resamples; got {bootstrap}")
    options = Options.make(
        profile or default_profile(truth), metrics, bands, groups, ex_oks_variant
    )
    weights = sorted_weights(truth, bootstrap, by, seed)
    a, b = check_sides(truth, a), check_sides(truth, b)
    sides = [score(truth, side, options) for side in (a, b)]
    first, second = (resampled_values(side, options, weights) for side in sides)
    points = [ap_values(side, options) for side in sides]
    tests = {
        name: paired_test(points[0][name], points[1][name], first[0][name], second[0][name])
        for name in points[0]
    }
    values = [side.cells.values() for side in sides]
    cells = {
        key: paired_test(
            float(values[0][at]), float(values[1][at]), first[1][:, at], second[1][:, at]
        )
        for at, key in enumerate(sides[0].cells.keys)
    }
    tests |= {name: cells[overall_cell(name)] for name in cell_metrics(sides[0])}
    strata: dict[str, dict[str, dict[str, PairedTest]]] = {}
    for (stratum, group, metric), test in cells.items():
        strata.setdefault(stratum, {}).setdefault(group, {})[metric] = test
    few = note_on_few(truth.images, by)
    return Comparison(
        profile=options.profile.name,
        metrics=tests,
        strata=strata,
        settings={
            **settings_of_draws(truth.images, bootstrap, by, seed),
            "difference": "a - b",
            "test": "paired percentile bootstrap, two-sided",
            "groups": group_names(truth, sides[0]),
            "ground_truth_sha256": truth.sha256,
            "a_sha256": a.sha256,
            "b_sha256": b.sha256,
        },
        notes=() if few is None else (few,),
        warnings=warnings_of(truth, b, sides[1]),
    )


def paired_test(a: float, b: float, a_resampled: Floats, b_resampled: Floats) -> PairedTest:
    """Test one number.

    Args:
        a: Value of the first model, NaN where there is no ground truth.
        b: Value of the second.
        a_resampled: (B,) its values in the resamples.
        b_resampled: (B,) in the same resamples.
    """
    differences = a_resampled - b_resampled
    differences = differences[~np.isnan(differences)]
    p_value, p_is_bound = None, False
    if differences.size:
        rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
        p_value = min(1.0, 2 * (rarer + 1) / (differences.size + 1))
        p_is_bound = rarer == 0
    return PairedTest(
        a=known(a),
        b=known(b),
        difference=known(a - b),
        interval=interval(differences),
        p_value=p_value,
        p_is_bound=p_is_bound,
    )
