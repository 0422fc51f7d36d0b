"""From two files to what `evaluate` takes, input checks included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from toolkit.annotations import Predictions
from toolkit.checks import validate
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.formats import scan, scan_predictions
from toolkit.metrics.profiles import default_profile, profile_named
from toolkit.metrics.scoring import require_ground_truth
from toolkit.report import Finding, Report, Severity
from toolkit.schema import Schema

_LIMIT = 20  # findings kept of each rule


@dataclass(frozen=True)
class Sides:
    """Checked inputs.

    Attributes:
        truth: Ground truth.
        predictions: One for each results file.
        profile: Name of the profile: the one asked for, or the one that fits the data.
        report: Warnings and facts about the ground truth.
    """

    truth: Dataset
    predictions: tuple[Predictions, ...]
    profile: str
    report: Report


def read_sides(
    truth_path: Path,
    prediction_paths: Iterable[Path],
    schema: Schema | None = None,
    profile: str | None = None,
) -> Sides:
    """Read and check ground truth and predictions.

    Raises:
        InvalidDataError: A file has errors that make scores wrong or impossible; `report`
            lists them. `num_keypoints` that disagree are no such error.
        ReadError: A file cannot be read, is not JSON, or stands on the wrong side.
        UsageError: There is no such profile.
    """
    if profile is not None:
        profile_named(profile)
    found = scan(truth_path, schema)
    truth = found.dataset
    chosen = profile or default_profile(truth)
    report = validate(
        truth,
        profile=profile_named(chosen).name,
        findings=found.findings,
        limit=_LIMIT,
        purpose="evaluate",
    )
    _refuse(report, truth_path)
    require_ground_truth(truth)  # without, its schema is a guess that no results fit
    predictions = []
    for path in prediction_paths:
        read, findings = scan_predictions(path, truth.schema)
        _refuse(_report_of(path, truth, findings), path)
        predictions.append(read)
    return Sides(truth, tuple(predictions), chosen, report)


def _report_of(path: Path, truth: Dataset, findings: list[Finding]) -> Report:
    return Report(path.name, truth.schema.name, "results", tuple(findings))


def _refuse(report: Report, path: Path) -> None:
    errors = [f for f in report.findings if f.severity is Severity.ERROR]
    if not errors:
        return
    total = sum(f.count for f in errors)
    more = f" (and {total - 1:,} more errors)" if total > 1 else ""
    raise InvalidDataError(f"{errors[0].line(path.name)}{more}", report)
