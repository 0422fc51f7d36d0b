"""From one format to another, with a list of everything that changes or is lost.

A file converted to its own format is copied as it was read. CrowdPose's files are COCO's
JSON with other fields, so between the two only what one of them cannot hold is touched.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toolkit.annotations import Annotations, Predictions, Visibility
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ReadError, UsageError
from toolkit.files import check_output
from toolkit.formats.coco import CROWDPOSE, NOT_IN_CROWDPOSE, scan_coco
from toolkit.formats.coco_write import CocoSource, edits_of
from toolkit.formats.document import Edit, field_texts, patch_record
from toolkit.formats.encode import category_record
from toolkit.formats.results import (
    RESULTS,
    detect_results,
    raise_errors,
    scan_predictions,
    write_predictions,
)
from toolkit.report import Finding, Severity
from toolkit.schema import Schema


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source_format: Name of the format that was read.
        target_format: Name of the format that was written.
        images: Number of images.
        instances: Number of annotations or results in the arrays.
        lost: What the target does not hold, by name, with how many records had it.
        changed: What is different in the target, one line each.
        findings: What reading found.
    """

    source_format: str
    target_format: str
    images: int
    instances: int
    lost: dict[str, int]
    changed: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many errors the source has."""
        return sum(f.count for f in self.findings if f.severity is Severity.ERROR)


def convert(
    source: Path,
    target: Path,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    schema: Schema | None = None,
    target_schema: Schema | None = None,
    strict: bool = False,
    force: bool = False,
) -> Conversion:
    """Convert a file; the target is written whole or not at all.

    Args:
        source: The file to read.
        target: The file to write.
        source_format: Name of a format; found from the file by default.
        target_format: Name of a format; the source's by default.
        schema: What the source's keypoints are; found from the file by default.
        target_schema: Keypoints to write, matched by name; the source's by default.
        strict: Whether to refuse where the target cannot hold something.
        force: Whether an existing target may be replaced.

    Raises:
        UsageError: There is no way from the one format to the other.
        InvalidDataError: The source has errors and is not merely copied, or `strict` was
            given and something would be lost; nothing is written.
    """
    check_output(target, force=force, inputs=(source,))
    given = source_format or _detect(source)
    if given == RESULTS.name:
        wanted = target_format or RESULTS.name
        return _convert_results(source, target, wanted, schema, target_schema, force)
    scan = scan_coco(source, schema)
    kept = scan.dataset.source
    found_format = kept.format if isinstance(kept, CocoSource) else CROWDPOSE.name
    start = source_format or found_format
    end = target_format or start
    plan = _Plan(scan.dataset, start, end, scan.findings)
    if start != end or schema is not None or target_schema is not None:
        blocking = [f for f in scan.findings if f.rule != "skeleton-index"]
        raise_errors(source, scan.dataset.schema, blocking)
    if target_schema is not None:
        plan.map_to(target_schema)
    plan.fit_target()
    if strict and plan.lost:
        raise InvalidDataError(
            f"{source.name}: format '{end}' cannot hold all of it, and --strict was given; "
            f"it would lose {_listed(plan.lost)}; nothing was written"
        )
    plan.write(target, force=force)
    return Conversion(
        start,
        end,
        len(scan.dataset.images),
        len(scan.dataset.annotations),
        dict(plan.lost),
        tuple(plan.changed),
        tuple(scan.findings),
    )


def _detect(path: Path) -> str | None:
    try:
        return RESULTS.name if detect_results(path) else None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"{path}: cannot read: {reason}") from error


def _convert_results(
    source: Path,
    target: Path,
    target_format: str,
    schema: Schema | None,
    target_schema: Schema | None,
    force: bool,
) -> Conversion:
    if target_format != RESULTS.name:
        raise UsageError(
            f"{source.name}: results cannot become '{target_format}': they hold no images "
            "and no categories; only --to results works"
        )
    found, findings = scan_predictions(source, schema, boxes=True)
    if schema is not None or target_schema is not None:
        raise_errors(source, found.schema, findings)
    if target_schema is not None:
        found = found.to_schema(target_schema)
    write_predictions(found, target, force)
    images = len(np.unique(found.image_id))
    name = RESULTS.name
    return Conversion(name, name, images, len(found), {}, (), tuple(findings))


class _Plan:
    """What is written, and what is told about it."""

    def __init__(self, dataset: Dataset, start: str, end: str, findings: list[Finding]) -> None:
        self.dataset, self.start, self.end = dataset, start, end
        self.findings = findings
        self.lost: Counter[str] = Counter()
        self.changed: list[str] = []
        self._dropped: tuple[str, ...] = ()
        self._new_skeleton = False

    def map_to(self, target: Schema) -> None:
        """Take another schema's keypoints, matched by name."""
        old = self.dataset.annotations
        mapping = old.schema.mapping_to(target)
        count, width = len(old), target.num_keypoints
        points = np.full((count, width, 2), np.nan)
        flags = np.zeros((count, width), np.uint8)
        points[:, mapping.target_index] = old.keypoints[:, mapping.source_index]
        flags[:, mapping.target_index] = old.visibility[:, mapping.source_index]
        for name in mapping.unmatched_source:
            labelled = int(old.labelled[:, old.schema.index(name)].sum())
            if labelled:
                self.lost[f"keypoint {name}"] = labelled
        if mapping.unmatched_target:
            names = ", ".join(mapping.unmatched_target)
            self.changed.append(
                f"keypoints of schema '{old.schema.name}' became those of '{target.name}'; "
                f"not labelled: {names}"
            )
        people = replace(
            old,
            schema=target,
            keypoints=points,
            visibility=flags,
            num_keypoints=np.where(
                old.num_keypoints == -1, -1, (flags > Visibility.ABSENT).sum(axis=1)
            ),
        )
        self.dataset = replace(self.dataset, schema=target, annotations=people)

    def fit_target(self) -> None:
        """Find out what the target cannot hold, and what it needs."""
        if self.start == self.end:
            return
        if self.end == RESULTS.name:
            self._lose_for_results()
        elif self.end == CROWDPOSE.name:
            self._dropped = NOT_IN_CROWDPOSE
            self._count_fields(self._dropped)
            missing = int(np.isnan(self.dataset.images.crowd_index).sum())
            if missing:
                self.changed.append(
                    f"crowdIndex is missing for {missing:,} images and is not invented; "
                    "the crowd bands APE, APM and APH stay empty"
                )
        else:
            self._new_skeleton = any(f.rule == "skeleton-index" for f in self.findings)
            if self._new_skeleton:
                self.changed.append(
                    "the skeleton named keypoints out of range; it is now that of schema "
                    f"'{self.dataset.schema.name}'"
                )
            missing = int(np.isnan(self.dataset.annotations.area).sum())
            if missing:
                self.changed.append(
                    f"area is missing for {missing:,} annotations and is not invented; "
                    "COCO's own evaluator needs it"
                )

    def _count_fields(self, names: tuple[str, ...]) -> None:
        source = self.dataset.source
        if not isinstance(source, CocoSource):
            return
        for record in source.annotation_records.tolist():
            fields = field_texts(source.document.record("annotations", record))
            self.lost.update(name for name in names if name in fields)

    def _lose_for_results(self) -> None:
        people, images = self.dataset.annotations, self.dataset.images
        source = self.dataset.source
        self.lost["images"] = len(images)
        if isinstance(source, CocoSource):
            self.lost["categories"] = len(source.categories)
            known = {"id", "image_id", "category_id", "keypoints", "bbox"}
            for record in source.annotation_records.tolist():
                fields = field_texts(source.document.record("annotations", record))
                self.lost.update(name for name in fields if name not in known)
            left_out = len(source.document.sections["annotations"]) - len(people)
            if left_out:
                self.lost["annotations outside the schema"] = left_out
        self.lost["visibility"] = len(people)
        self.changed.append(
            "labelled keypoints get score 1, others 0, 0 with score 0; every score is 1"
        )
        self.lost = Counter({name: n for name, n in self.lost.items() if n})

    def write(self, target: Path, *, force: bool) -> None:
        """Write the target."""
        source = self.dataset.source
        if self.end == RESULTS.name:
            found = _as_predictions(self.dataset.annotations)
            write_predictions(found, target, force)
            return
        if not isinstance(source, CocoSource):
            raise UsageError("only a data set that was read from a file can be converted")
        edits = edits_of(self.dataset, source)
        if self._dropped:
            edits["annotations"] = self._without_fields(source, edits.get("annotations"))
        if self._new_skeleton:
            edits["categories"] = self._with_skeleton(source, edits.get("categories"))
        source.document.write(target, edits, force=force)

    def _without_fields(self, source: CocoSource, edit: Edit | None) -> Edit:
        edit = edit or Edit()
        replaced = dict(edit.replaced)
        removed = dict.fromkeys(self._dropped)
        for index in source.annotation_records.tolist():
            record = replaced.get(index) or source.document.record("annotations", index)
            replaced[index] = patch_record(record, removed)
        return replace(edit, replaced=replaced)

    def _with_skeleton(self, source: CocoSource, edit: Edit | None) -> Edit:
        edit = edit or Edit()
        replaced = dict(edit.replaced)
        schema = self.dataset.schema
        skeleton = field_texts(category_record(schema))["skeleton"]
        for category in source.categories:
            if category.keypoints == schema.names:
                index = category.index
                record = replaced.get(index) or source.document.record("categories", index)
                replaced[index] = patch_record(record, {"skeleton": skeleton})
        return replace(edit, replaced=replaced)


def _as_predictions(people: Annotations) -> Predictions:
    """Ground truth as perfect predictions."""
    labelled = people.labelled
    return Predictions.from_arrays(
        people.schema,
        people.image_id,
        np.where(labelled[:, :, None], people.keypoints, 0.0),
        keypoint_scores=labelled.astype(np.float64),
        annotation_id=people.instance_id,
        bbox_xywh=people.bbox_xywh,
        category_id=people.category_id,
    )


def _listed(lost: Counter[str]) -> str:
    return ", ".join(f"'{name}' of {count:,} records" for name, count in lost.items())
