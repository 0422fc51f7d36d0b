"""Metrics: pure functions on arrays, and `evaluate` and `compare` on top of them.

`evaluate` gives an `Evaluation`: AP family, PCKh, PCK, AUC and Ex-OKS, each by keypoint,
group and stratum, with bootstrap intervals and the rules that were used. `compare` tests
two sets of predictions on the same resamples.

Adding a metric by keypoint: write a function that gives (N, K) values (NaN where a keypoint
does not count) in a file of its own, name it in `scoring.FAMILIES`, add its values in
`scoring._values`, its rule in `rules.settings_of`, and a hand-computed test.
"""

from __future__ import annotations

from toolkit.metrics.compare import Comparison, PairedTest, compare
from toolkit.metrics.errors_in_heads import errors_in_heads
from toolkit.metrics.evaluate import evaluate
from toolkit.metrics.evaluation import Cell, Evaluation
from toolkit.metrics.profiles import default_profile

__all__ = [
    "Cell",
    "Comparison",
    "Evaluation",
    "PairedTest",
    "compare",
    "default_profile",
    "errors_in_heads",
    "evaluate",
]
