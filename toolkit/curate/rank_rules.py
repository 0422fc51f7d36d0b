"""Findings of `toolkit validate` as evidence that a label is wrong."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from toolkit.checks import validate
from toolkit.curate.rank_reasons import Reason
from toolkit.dataset import Dataset
from toolkit.formats.coco_write import CocoSource
from toolkit.report import Finding, Severity

# Rules about where keypoints lie; the others concern fields, boxes or files.
RULES = frozenset(
    {
        *("limb-length", "sides-crossed", "sides-swapped", "stick-order", "stick-length"),
        *("stick-bent", "stick-out-of-reach", "stick-shared", "keypoint-far"),
        *("keypoint-duplicate", "keypoint-at-origin", "instance-copied"),
        "instance-duplicate",
    }
)
_SEEN = math.log(10)  # of ten wrong labels one breaks a rule
_MOST = 4.0


def rule_reasons(dataset: Dataset, findings: Iterable[Finding]) -> dict[int, list[Reason]]:
    """Reasons by row of the arrays.

    A rule that few people of the set break says much, one that many break says nothing.
    """
    report = validate(dataset, profile="extension", findings=findings)
    rows = _rows(dataset)
    hits = [
        (rows[finding.index], finding)
        for finding in report.findings
        if finding.rule in RULES
        and finding.severity is not Severity.INFO
        and finding.section == "annotations"
        and finding.index in rows
    ]
    broken = Counter(finding.rule for _, finding in hits)
    people = len(dataset.annotations) + 1
    found: dict[int, list[Reason]] = defaultdict(list)
    for row, finding in hits:
        weight = min(math.log(people / (broken[finding.rule] + 1)) - _SEEN, _MOST)
        if weight > 0:
            names = _named(finding.message, dataset.schema.names)
            found[row].append(
                Reason("rule", weight, f"{finding.rule}: {finding.message}", names)
            )
    return dict(found)


def _rows(dataset: Dataset) -> dict[int | None, int]:
    """Row of the arrays of each index that findings name."""
    source, people = dataset.source, dataset.annotations
    if isinstance(source, CocoSource) and source.annotations is people:
        return {int(index): row for row, index in enumerate(source.annotation_records)}
    return {row: row for row in range(len(people))}


def _named(message: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The keypoints that a message names."""
    words = set(message.replace("'", " ").replace(",", " ").replace(";", " ").split())
    return tuple(name for name in names if name in words)
