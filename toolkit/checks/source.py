"""From a data set to the subject of the checks: what only the file knows is asked here."""

from __future__ import annotations

from toolkit.checks.base import Purpose, Subject
from toolkit.dataset import Dataset
from toolkit.formats.coco_write import CocoSource
from toolkit.report import Finding


def subject_of(
    dataset: Dataset, findings: tuple[Finding, ...], purpose: Purpose = "validate"
) -> Subject:
    """The data set with what its document adds, where there is one.

    A subset of what was read has rows, but no longer the file's indices.
    """
    source = dataset.source
    if not isinstance(source, CocoSource):
        return Subject(dataset, findings, purpose=purpose)
    whole = source.annotations is dataset.annotations
    return Subject(
        dataset,
        findings,
        categories=source.categories,
        image_index=source.image_records if source.images is dataset.images else None,
        annotation_index=source.annotation_records if whole else None,
        absent_with_coordinates=source.absent_with_coordinates if whole else None,
        source=source,
        purpose=purpose,
    )
