"""There and back through a format: what changed, and whether it was declared."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats import Format, dataset_format, detect, format_named
from toolkit.formats.coco import COCO, scan_coco
from toolkit.formats.coco_write import CocoSource, document_of_dataset
from toolkit.formats.compare import Difference, differences
from toolkit.formats.convert import convert
from toolkit.formats.foreign import CocoDocument, Record
from toolkit.formats.plan import Plan, lost_in_results, perfect_predictions
from toolkit.formats.prepared import prepare
from toolkit.formats.results import RESULTS, raise_errors, scan_predictions, write_predictions
from toolkit.formats.text import load_text
from toolkit.report import Finding
from toolkit.schema import Schema

_TOLERATED = frozenset({"skeleton-index", "visibility-beyond"})


@dataclass(frozen=True)
class Trip:
    """What a way there and back changed.

    Attributes:
        source_format: Name of the source's format.
        via: Name of the format that it went through.
        differences: Every difference, in the document's order.
        declared: What the format declares to change, by name; with a sidecar, nothing.
        sidecar: Whether a sidecar went with it.
    """

    source_format: str
    via: str
    differences: tuple[Difference, ...]
    declared: Counter[str]
    sidecar: bool = False

    @property
    def way(self) -> str:
        """What it went through, for people."""
        return f"{self.via} with a sidecar" if self.sidecar else self.via

    @property
    def measured(self) -> Counter[str]:
        """How many records differ, by name."""
        return Counter(found.name for found in self.differences)

    @property
    def agrees(self) -> bool:
        """Whether exactly what was declared has changed."""
        return self.measured == self.declared

    @property
    def names(self) -> list[str]:
        """Names of all that was declared or measured, the most frequent first."""
        both = self.measured | self.declared
        return [name for name, _ in sorted(both.items(), key=lambda item: (-item[1], item[0]))]

    def examples(self, name: str, limit: int) -> list[Difference]:
        """The first differences of a name."""
        return [found for found in self.differences if found.name == name][:limit]


def roundtrip(
    source: Path, via: str, *, schema: Schema | None = None, sidecar: bool = False
) -> Trip:
    """Go through a format and back in a temporary folder.

    Args:
        source: A file or folder of annotations.
        via: Name of the format to go through.
        schema: What the keypoints are; found from the file by default.
        sidecar: Whether to keep in a sidecar what the format cannot hold.

    Raises:
        InvalidDataError: The source has errors.
        UsageError: The source is a list of results, which no other format can hold; or a
            sidecar was asked for beside COCO's own JSON.
    """
    between = format_named(via)
    begin = detect(source)
    if begin.name == RESULTS.name:
        raise UsageError(
            f"{source.name}: is a list of results, which is no annotation file; 'toolkit "
            "convert' copies it"
        )
    dataset, findings, name = _read(source, cast("Format[Dataset]", begin), schema)
    raise_errors(source, dataset.schema, [f for f in findings if f.rule not in _TOLERATED])
    with tempfile.TemporaryDirectory(prefix="toolkit-roundtrip-") as folder:
        there = Path(folder) / f"there{(*between.suffixes, '')[0]}"
        if sidecar:
            changed = _with_sidecar(source, dataset, name, there, via, schema)
            return Trip(name, via, tuple(changed), Counter(), sidecar=True)
        if between.name == RESULTS.name:
            found, declared = _through_results(dataset, there)
        else:
            found, declared = _through(dataset, name, findings, dataset_format(via), there)
    return Trip(name, via, tuple(found), declared)


def _read(
    path: Path, begin: Format[Dataset], schema: Schema | None
) -> tuple[Dataset, list[Finding], str]:
    if not begin.is_json:
        return (*begin.scan(path, schema), begin.name)
    scan = scan_coco(path, schema)
    source = scan.dataset.source
    name = source.format if isinstance(source, CocoSource) else begin.name
    return scan.dataset, scan.findings, name


def _through(
    dataset: Dataset,
    name: str,
    findings: list[Finding],
    between: Format[Dataset],
    there: Path,
) -> tuple[list[Difference], Counter[str]]:
    plan = Plan(dataset, name, between, findings)
    if between.is_json:
        before = document_of_dataset(dataset)
        plan.fit_target()
        plan.write(there, force=False)
        after = prepare(between, plan.dataset).read_back(there)
        return list(
            differences(before, after, between.dropped(dataset))
        ), plan.lost + plan.replaced
    # Also where the source is of this format: it is written anew, not copied.
    way = prepare(between, dataset)
    way.write(there)
    return list(differences(way.document, way.read_back(there), way.dropped)), +way.lost


def _with_sidecar(
    source: Path, dataset: Dataset, name: str, there: Path, via: str, schema: Schema | None
) -> list[Difference]:
    """The way that two conversions take, on files."""
    before = document_of_dataset(dataset)
    back = there.with_name("back.json")
    convert(source, there, target_format=via, schema=schema, sidecar=True)
    end = name if format_named(name).is_json else COCO.name
    convert(there, back, target_format=end, schema=schema, sidecar=True)
    return list(differences(before, msgspec.json.decode(load_text(back).data)))


def _through_results(dataset: Dataset, there: Path) -> tuple[list[Difference], Counter[str]]:
    """Results hold no images: what comes back is a list of annotations, in order."""
    source = dataset.source
    if not isinstance(source, CocoSource):
        raise UsageError("only a data set that was read from a file goes through results")
    before = document_of_dataset(dataset)
    write_predictions(perfect_predictions(dataset.annotations), there)
    found, _ = scan_predictions(there, dataset.schema)
    after = _annotations_of(found)
    told: list[Difference] = []
    for section in ("images", "categories"):
        told += differences({section: before[section]}, {section: []})
        before.pop(section)
    in_arrays = set(source.annotation_records.tolist())
    dropped = set(range(len(before["annotations"]))) - in_arrays
    return [*told, *differences(before, after, dropped)], lost_in_results(source)


def _annotations_of(found: Predictions) -> CocoDocument:
    """Results as annotations: keypoints with a score are visible, the others are absent."""
    records: list[Record] = []
    for row in range(len(found)):
        flags = np.where(found.keypoint_scores[row] > 0, 2.0, 0.0)
        triples = np.column_stack([found.keypoints[row], flags])
        record: Record = {
            "id": int(found.annotation_id[row]),
            "image_id": int(found.image_id[row]),
            "category_id": int(found.category_id[row]),
            "keypoints": triples.ravel().tolist(),
        }
        if not np.isnan(found.bbox_xywh[row]).all():
            record["bbox"] = found.bbox_xywh[row].tolist()
        records.append(record)
    return {"annotations": records}
