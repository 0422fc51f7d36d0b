"""Checks of annotation data: one rule each, listed in one table.

`validate` runs all of them over a data set and gives a report. Faults that arrays cannot show
(types, lengths, JSON) are found by the readers; their findings are passed in.

Adding a check: write a function that gives `Hits` in the file of its subject, end the file
with one `Check`, add it to the table (`table.py`), and give it a sound and a faulty example
in `tests/toolkit/checks/test_every_rule.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from toolkit.checks.base import (
    ERROR,
    INFO,
    PROFILES,
    WARNING,
    Check,
    Hits,
    Profile,
    Purpose,
    Severities,
    Subject,
    everywhere,
)
from toolkit.checks.files import missing_images
from toolkit.checks.source import subject_of
from toolkit.checks.table import CHECKS
from toolkit.dataset import Dataset
from toolkit.errors import UsageError, counted
from toolkit.formats.base import collector_off
from toolkit.formats.rules import Rule
from toolkit.report import Finding, Report, Severity

__all__ = [
    "CHECKS",
    "PROFILES",
    "Check",
    "Profile",
    "Purpose",
    "missing_images",
    "reader_severities",
    "validate",
]

# What the readers report is an error or not whatever the profile, but for these.
_READER_SEVERITIES: dict[str, Severities] = {
    # CrowdPose is published with COCO's skeleton of 17 keypoints on its 14.
    "skeleton-index": everywhere(ERROR, crowdpose=INFO),
    "num-keypoints-type": everywhere(ERROR, crowdpose=WARNING),
    "visibility-beyond": everywhere(ERROR, cropcoco=None),
}
# Reader's rules that scores do not depend on.
_NOT_NEEDED_TO_EVALUATE = {
    "skeleton-index",
    "num-keypoints-type",
    "file-name-missing",
    "image-size-type",
    "head-box-shape",
    "json-string",
}

_ONE = {"images": "image", "annotations": "annotation", "categories": "category"}


def validate(
    dataset: Dataset,
    *,
    profile: Profile | None = None,
    findings: Iterable[Finding] = (),
    limit: int | None = None,
    purpose: Purpose = "validate",
) -> Report:
    """Run every check over a data set.

    Args:
        dataset: What was read, whole.
        profile: What counts as an error: `coco`, `crowdpose`, `cropcoco`, `extension`;
            None takes the one that fits the data, as the command line does.
        findings: What the reader found while decoding; `toolkit.formats.scan` gives them.
        limit: Findings to list for each rule; the others become one finding that holds
            their number. None lists all.
        purpose: `evaluate` keeps as errors only what makes scores wrong or impossible;
            it never refuses data for `num_keypoints`.

    Returns:
        The reader's findings and the checks', in the order of `CHECKS`. A fact (severity
        info) is one finding for the whole file, with the number of records.

    Raises:
        UsageError: There is no such profile.
    """
    if profile is None:
        from toolkit.metrics.profiles import default_profile  # metrics import these checks

        profile = default_profile(dataset)
    elif profile not in PROFILES:
        raise UsageError(f"no profile '{profile}'; known: {', '.join(PROFILES)}")
    told = tuple(findings)
    listed = list(_reader_findings(told, profile, purpose))
    if limit is not None:
        listed = list(_capped(listed, limit))
    subject = subject_of(dataset, told, purpose)
    # Files hold numbers like 1e308: their squares overflow, and no limit is met by NaN.
    with collector_off(), np.errstate(over="ignore", invalid="ignore"):
        for check in CHECKS:
            severity = _severity(check, profile, purpose)
            if severity is not None:
                for hit in check.find(subject):
                    listed.extend(_findings(check, hit, severity, subject, limit))
    return Report(
        file=str(dataset.path) if dataset.path else dataset.name,
        schema=dataset.schema.name,
        profile=profile,
        findings=tuple(listed),
    )


def _severity(check: Check, profile: Profile, purpose: Purpose) -> Severity | None:
    severity = check.severity[profile]
    if purpose == "evaluate" and severity is ERROR and not check.needed_to_evaluate:
        return WARNING
    return severity


def reader_severities(rule: Rule) -> Severities:
    """What a rule of the readers is under each profile."""
    return _READER_SEVERITIES.get(rule.code) or everywhere(rule.severity)


def _reader_findings(
    findings: Iterable[Finding], profile: Profile, purpose: Purpose
) -> Iterator[Finding]:
    for finding in findings:
        table = _READER_SEVERITIES.get(finding.rule)
        severity = finding.severity if table is None else table[profile]
        relaxed = purpose == "evaluate" and finding.rule in _NOT_NEEDED_TO_EVALUATE
        if severity is ERROR and relaxed:
            severity = WARNING
        if severity is not None:
            yield finding.with_severity(severity)


def _capped(findings: Iterable[Finding], limit: int) -> Iterator[Finding]:
    """The first findings of each rule, then one with the number of the rest."""
    listed: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    last: dict[str, Finding] = {}
    for finding in findings:
        if listed[finding.rule] < limit:
            listed[finding.rule] += 1
            yield finding
        else:
            rest[finding.rule] += finding.count
            last[finding.rule] = finding
    for rule, count in rest.items():
        yield Finding(
            rule,
            last[rule].severity,
            f"{count:,} more of this kind",
            section=last[rule].section,
            count=count,
        )


def _findings(
    check: Check, hit: Hits | Finding, severity: Severity, subject: Subject, limit: int | None
) -> Iterator[Finding]:
    """Findings of one check: one each for errors and warnings, one in all for facts."""
    if isinstance(hit, Finding):
        yield hit.with_severity(severity)
        return
    count = len(hit.rows)
    if not count:
        return
    if severity is INFO:
        first = subject.place(hit, 0)
        yield Finding(
            check.code,
            severity,
            f"{_summary(hit)}; first: {hit.section}[{first[0]}]"
            + ("" if first[1] is None else f" id={first[1]}"),
            section=hit.section,
            field=hit.field,
            count=count,
        )
        return
    shown = count if limit is None else min(limit, count)
    for position in range(shown):
        index, record_id = subject.place(hit, position)
        message = hit.describe(int(hit.rows[position]))
        yield Finding(check.code, severity, message, hit.section, index, record_id, hit.field)
    if shown < count:
        yield Finding(
            check.code,
            severity,
            f"{count - shown:,} more; {_summary(hit)} in all",
            section=hit.section,
            field=hit.field,
            count=count - shown,
        )


def _summary(hit: Hits) -> str:
    said = f"{hit.summary}: {counted(len(hit.rows), _ONE[hit.section])}"
    if hit.weights is None:
        return said
    return f"{said} ({counted(int(hit.weights.sum()), hit.unit)})"
