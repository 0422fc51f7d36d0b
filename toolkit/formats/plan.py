"""What a conversion writes, and what is told about it before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from toolkit.annotations import Annotations, Predictions, Visibility
from toolkit.dataset import Dataset
from toolkit.errors import UsageError, counted
from toolkit.formats.base import Format
from toolkit.formats.coco import COCO, CROPCOCO, CROWDPOSE, NOT_IN_CROWDPOSE
from toolkit.formats.coco_write import CocoSource, edits_of
from toolkit.formats.document import Edit, field_texts, number_tokens, patch_record
from toolkit.formats.encode import category_record
from toolkit.formats.parse import top_level_keys
from toolkit.formats.prepared import Prepared, prepare
from toolkit.formats.results import RESULTS, write_predictions
from toolkit.report import Finding
from toolkit.schema import Schema

_IN_RESULTS = frozenset({"id", "image_id", "category_id", "keypoints", "bbox"})


class Plan:
    """What is written, and what is told about it."""

    def __init__(
        self,
        dataset: Dataset,
        start: str,
        end: Format[Dataset] | Format[Predictions],
        findings: list[Finding],
    ) -> None:
        """Plan to write a data set of format `start` as `end`."""
        self.dataset, self.start, self.end = dataset, start, end
        self.findings = findings
        self.lost: Counter[str] = Counter()
        self.lost_by_schema: Counter[str] = Counter()  # of `lost`, what no format could hold
        self.replaced: Counter[str] = Counter()  # as `lost`, of what was no use before
        self.changed: list[str] = []
        self._prepared: Prepared | None = None
        self._dropped: tuple[str, ...] = ()
        self._bad_skeletons: frozenset[int] = frozenset()  # indices of categories

    def map_to(self, target: Schema) -> None:
        """Take another schema's keypoints, matched by name."""
        old = self.dataset.annotations
        mapping = old.schema.mapping_to(target)
        count, width = len(old), target.num_keypoints
        points = np.full((count, width, 2), np.nan)
        flags = np.zeros((count, width), np.uint8)
        points[:, mapping.target_index] = old.keypoints[:, mapping.source_index]
        flags[:, mapping.target_index] = old.visibility[:, mapping.source_index]
        if mapping.unmatched_source:
            self.lost += self._without(mapping.unmatched_source)
        if old.schema.names != target.names:
            names = ", ".join(mapping.unmatched_target)
            self.changed.append(
                f"keypoints and skeleton of schema '{old.schema.name}' became those of "
                f"'{target.name}'" + (f"; not labelled: {names}" if names else "")
            )
        before, after = old.labelled.sum(axis=1), (flags > Visibility.ABSENT).sum(axis=1)
        odd = (old.num_keypoints != -1) & (old.num_keypoints != before)
        if odd.any() and old.schema.names != target.names:
            self.changed.append(
                f"num_keypoints of {counted(int(odd.sum()), 'annotation')} was not the number "
                "of labelled keypoints before; it is as it was"
            )
        people = replace(
            old,
            schema=target,
            keypoints=points,
            visibility=flags,
            # Where it was wrong, it stays: counting anew would mend what nobody has seen.
            num_keypoints=np.where(old.num_keypoints == before, after, old.num_keypoints),
        )
        self.dataset = replace(self.dataset, schema=target, annotations=people)

    def _without(self, names: Sequence[str]) -> Counter[str]:
        """How many people lose each of these keypoints, also one of visibility 0."""
        old, source = self.dataset.annotations, self.dataset.source
        there = old.labelled.copy()
        if isinstance(source, CocoSource):
            for row in np.flatnonzero(source.absent_with_coordinates).tolist():
                record = source.document.record(
                    "annotations", int(source.annotation_records[row])
                )
                tokens = number_tokens(field_texts(record).get("keypoints"))
                flat = np.array(tokens, np.float64)
                there[row] |= flat.reshape(-1, 3)[:, :2].any(axis=1)
        people = {f"keypoint {name}": there[:, old.schema.index(name)].sum() for name in names}
        return +Counter({name: int(count) for name, count in people.items()})

    def fit_target(self) -> None:
        """Find out what the target cannot hold, and what it needs."""
        end = self.end
        self.lost_by_schema = Counter(self.lost)
        if self.start == end.name and end.is_json:
            return
        if end.name == RESULTS.name:
            self._lose_for_results()
            return
        self.lost += self.prepare().lost
        if end.name == CROWDPOSE.name:
            self._dropped = NOT_IN_CROWDPOSE
            missing = int(np.isnan(self.dataset.images.crowd_index).sum())
            if missing:
                self.changed.append(
                    f"crowdIndex is missing for {counted(missing, 'image')} and is not "
                    "invented; the crowd bands APE, APM and APH stay empty"
                )
        if end.name == COCO.name:
            self._fit_coco()
        if end.is_json and end.name != CROPCOCO.name:
            self._without_beyond()

    def prepare(self) -> Prepared:
        """The way of the data set, as it is now, into the target."""
        if self._prepared is None or self._prepared.dataset is not self.dataset:
            self._prepared = prepare(cast("Format[Dataset]", self.end), self.dataset)
        return self._prepared

    @property
    def notes(self) -> list[str]:
        """What the target's user should know though nothing of it is lost."""
        return [] if self.end.name == RESULTS.name else self.prepare().notes

    def _fit_coco(self) -> None:
        """Repair a skeleton that names no keypoints; say where areas are missing."""
        # Of COCO's JSON only: a foreign file that kept its original brings that back.
        source = self.dataset.source
        if self.start in (CROWDPOSE.name, CROPCOCO.name) and isinstance(source, CocoSource):
            bad = {f.index for f in self.findings if f.rule == "skeleton-index"}
            names = self.dataset.schema.names
            self._bad_skeletons = frozenset(
                c.index for c in source.categories if c.index in bad and c.keypoints == names
            )
        if self._bad_skeletons:
            self.replaced["categories.skeleton"] = len(self._bad_skeletons)
            self.changed.append(
                "the skeleton named keypoints out of range; it is now that of schema "
                f"'{self.dataset.schema.name}'"
            )
        missing = int(np.isnan(self.dataset.annotations.area).sum())
        if missing:
            self.changed.append(
                f"area is missing for {counted(missing, 'annotation')} and is not invented; "
                "COCO's own evaluator needs it"
            )

    def _without_beyond(self) -> None:
        """CropCOCO's visibility 3 becomes 1: labelled, not visible, the place is true."""
        people = self.dataset.annotations
        beyond = people.visibility == Visibility.BEYOND
        if not beyond.any():
            return
        flags = np.where(beyond, np.uint8(Visibility.OCCLUDED), people.visibility)
        self.dataset = replace(
            self.dataset, annotations=replace(people, visibility=flags.astype(np.uint8))
        )
        self.changed.append(
            f"visibility 3 (outside the crop) of {counted(int(beyond.sum()), 'keypoint')} "
            "became 1; their coordinates are as they were"
        )

    def _lose_for_results(self) -> None:
        source = self.dataset.source
        if isinstance(source, CocoSource):
            self.lost += lost_in_results(source)
        self.changed.append(
            "labelled keypoints get score 1, others 0, 0 with score 0; every score is 1"
        )

    def write(self, target: Path, *, force: bool) -> None:
        """Write the target."""
        if self.end.name == RESULTS.name:
            write_predictions(perfect_predictions(self.dataset.annotations), target, force)
            return
        if not self.end.is_json:
            self.prepare().write(target, force=force)
            return
        source = self.dataset.source
        if not isinstance(source, CocoSource):
            raise UsageError("only a data set that was read from a file can be converted")
        edits = edits_of(self.dataset, source)
        if self._dropped:
            edits["annotations"] = self._without_fields(source, edits.get("annotations"))
        if self._bad_skeletons:
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
        skeleton = field_texts(category_record(self.dataset.schema))["skeleton"]
        for index in sorted(self._bad_skeletons):
            record = replaced.get(index) or source.document.record("categories", index)
            replaced[index] = patch_record(record, {"skeleton": skeleton})
        return replace(edit, replaced=replaced)


def lost_in_results(source: CocoSource) -> Counter[str]:
    """What a list of results does not hold of a COCO file.

    Of keypoints it holds coordinates and one score, so that labelled ones come back as
    visible and the others as 0, 0, 0.
    """
    lost = Counter(top_level_keys(source.document.data))
    for section in ("images", "annotations", "categories"):
        lost.pop(section, None)
    document, rows = source.document, source.annotation_records.tolist()
    for name in ("images", "categories"):
        lost[name] = len(document.sections[name])
    lost["annotations"] = len(document.sections["annotations"]) - len(rows)
    for record in rows:
        fields = field_texts(document.record("annotations", record))
        lost.update(f"annotations.{name}" for name in fields if name not in _IN_RESULTS)
    flags = source.annotations.visibility
    changed = ((flags != 0) & (flags != Visibility.VISIBLE)).any(axis=1)
    lost["annotations.keypoints"] = int(
        np.count_nonzero(changed | (source.absent_with_coordinates > 0))
    )
    return +lost


def perfect_predictions(people: Annotations) -> Predictions:
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
