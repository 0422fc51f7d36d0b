"""Several annotators' labels of the same people, side by side.

The first annotator's file gives the order; people are matched within their image
(`toolkit.curate.match.match_labels`). Who is found by later annotators only is appended, so
that nobody is lost: a person that somebody did not label is a row of absences there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.curate.match import match_images, match_labels
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats.coco_write import CocoSource
from toolkit.images import one_text
from toolkit.schema import Schema

Floats = NDArray[np.float64]
NOBODY = 255  # visibility of a keypoint whose person the annotator did not label
BOX_AREA = 0.53  # of a person's box that the person covers: CrowdPose's rule for OKS


@dataclass(frozen=True)
class Panel:
    """A annotators, U people, K keypoints.

    Attributes:
        names: A names of annotators.
        schema: The keypoints.
        image_id: (U,) image of each person, in the first annotator's ids.
        group: (U,) clip of the image, else the image: what is resampled as one.
        looked: (A, U) who was given the person's image: it is in the annotator's file. Of
            several annotators in one file, those who labelled somebody in it.
        instance_id: (A, U) ids in each annotator's file; no id where `present` is False.
        keypoints: (A, U, K, 2) px, NaN where not labelled.
        visibility: (A, U, K) uint8, `NOBODY` where the person is missing.
        bbox_xywh: (A, U, 4) px, NaN where missing.
        scale: (U,) px: the root of the mean area over annotators, OKS's s. The area is the
            annotation's, else 0.53 of its box's.
        reference: The first annotator's file.
        people: The people as the first annotator who labelled each has them, with the first
            file's image ids.
    """

    names: tuple[str, ...]
    schema: Schema
    image_id: NDArray[np.int64]
    group: NDArray[np.int64]
    looked: NDArray[np.bool_]
    instance_id: NDArray[np.int64]
    keypoints: Floats
    visibility: NDArray[np.uint8]
    bbox_xywh: Floats
    scale: Floats
    reference: Dataset
    people: Annotations

    @property
    def present(self) -> NDArray[np.bool_]:
        """(A, U) who labelled whom."""
        return np.asarray((self.visibility != NOBODY).any(axis=2))

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(A, U, K) which keypoints are labelled."""
        return np.asarray((self.visibility > 0) & (self.visibility != NOBODY))

    def ids_of(self, row: int) -> tuple[int | None, ...]:
        """A person's id in each annotator's file, None where it is missing."""
        pairs = zip(self.instance_id[:, row].tolist(), self.present[:, row], strict=True)
        return tuple(key if there else None for key, there in pairs)


def annotators_of(
    datasets: Sequence[Dataset], names: Sequence[str] | None = None
) -> list[tuple[str, Dataset]]:
    """The annotators in some files: one a file, or several in one.

    One file holds several annotators where its records say who made them, as `annotator` or
    as `labelstudio.completed_by`.

    Raises:
        UsageError: Only one annotator is found, or two have one name.
    """
    if len(datasets) == 1:
        found = _by_record(datasets[0])
    else:
        given = names or [d.path.stem if d.path else d.name for d in datasets]
        if len(set(given)) < len(given):  # a/x.json and b/x.json
            given = [str(d.path) if d.path else d.name for d in datasets]
        found = list(zip(given, datasets, strict=True))
    if len(found) < 2:
        raise UsageError(
            f"{datasets[0].name}: one annotator; agreement needs two: name a file for each, or "
            "one whose records have 'annotator' or 'labelstudio.completed_by'"
        )
    if len({name for name, _ in found}) < len(found):
        raise UsageError("two annotators have one name; give each file a name of its own")
    return found


def panel_of(annotators: Sequence[tuple[str, Dataset]]) -> Panel:
    """Put annotators side by side.

    Args:
        annotators: Names and labels; all with the same keypoints.

    Raises:
        InvalidDataError: Two files have different keypoints, or share no image.
    """
    names = tuple(name for name, _ in annotators)
    first = annotators[0][1]
    pool = first.annotations
    rows: list[NDArray[np.int64]] = [np.arange(len(pool))]
    for name, dataset in annotators[1:]:
        people = _in_terms_of(first, dataset, name)
        pairs = match_labels(pool, people)
        row_of = np.full(len(people), -1, np.int64)
        row_of[pairs.new] = pairs.old
        extra = np.flatnonzero(row_of < 0)
        row_of[extra] = len(pool) + np.arange(len(extra))
        pool = joined(pool, people[extra])
        rows.append(row_of)
    return _stack(names, annotators, rows, pool, first)


def _stack(
    names: tuple[str, ...],
    annotators: Sequence[tuple[str, Dataset]],
    rows: list[NDArray[np.int64]],
    pool: Annotations,
    first: Dataset,
) -> Panel:
    shape = (len(names), len(pool))
    count = first.schema.num_keypoints
    ids = np.full(shape, -1, np.int64)
    keypoints = np.full((*shape, count, 2), np.nan)
    visibility = np.full((*shape, count), NOBODY, np.uint8)
    boxes, areas = np.full((*shape, 4), np.nan), np.full(shape, np.nan)
    looked = np.zeros(shape, bool)
    for at, ((name, dataset), row_of) in enumerate(zip(annotators, rows, strict=True)):
        people = dataset.annotations if at == 0 else _in_terms_of(first, dataset, name)
        looked[at] = np.isin(pool.image_id, _given(first, dataset, people, annotators))
        ids[at, row_of] = people.instance_id
        keypoints[at, row_of] = people.keypoints
        visibility[at, row_of] = people.visibility
        boxes[at, row_of] = people.bbox_xywh
        own = people.area
        boxed = BOX_AREA * people.bbox_xywh[:, 2] * people.bbox_xywh[:, 3]
        areas[at, row_of] = np.where(own > 0, own, boxed)
    labelled = np.isfinite(areas) & (areas > 0)
    totals = np.where(labelled, areas, 0.0).sum(axis=0)
    scale = np.sqrt(np.divide(totals, labelled.sum(axis=0), where=totals > 0, out=totals))
    return Panel(
        names, first.schema, pool.image_id, _groups(first, pool.image_id), looked, ids,
        keypoints, visibility, boxes, np.where(scale > 0, scale, np.nan), first, pool,
    )  # fmt: skip


def _given(
    first: Dataset,
    dataset: Dataset,
    people: Annotations,
    annotators: Sequence[tuple[str, Dataset]],
) -> NDArray[np.int64]:
    """Images that an annotator was given, in the first file's ids; see `Panel.looked`."""
    source = dataset.source
    if source is not None and sum(other.source is source for _, other in annotators) > 1:
        return people.image_id
    return first.images.ids[match_images(first.images, dataset.images).old]


def _groups(first: Dataset, image_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """(U,) clip of the image; the image itself where that has none."""
    clips = dict(zip(first.images.ids.tolist(), first.images.clips, strict=True))
    # A clip may be called as anything, as a number too: an image's own key is no text.
    keys = [one_text(clip) if (clip := clips.get(i)) else i for i in image_id.tolist()]
    number = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64)


def _in_terms_of(first: Dataset, dataset: Dataset, name: str) -> Annotations:
    """People of another file with the first file's image ids, of shared images only."""
    if dataset.schema.names != first.schema.names:
        raise InvalidDataError(
            f"{name}: keypoints of schema '{dataset.schema.name}', the first annotator has "
            f"those of '{first.schema.name}'; convert one with --to-schema"
        )
    pairs = match_images(first.images, dataset.images)
    if not len(pairs.old):
        raise InvalidDataError(
            f"{name}: no image in common with the first annotator, by file name or by id"
        )
    other = dict(
        zip(
            dataset.images.ids[pairs.new].tolist(),
            first.images.ids[pairs.old].tolist(),
            strict=True,
        )
    )
    people = dataset.annotations
    shared = people[np.array([i in other for i in people.image_id.tolist()], dtype=bool)]
    image_id = np.array([other[i] for i in shared.image_id.tolist()], dtype=np.int64)
    return replace(shared, schema=first.schema, image_id=image_id)


def joined(a: Annotations, b: Annotations) -> Annotations:
    """The rows of both, of one schema."""
    columns = {
        f.name: np.concatenate([getattr(a, f.name), getattr(b, f.name)])
        for f in fields(Annotations)
        if f.name != "schema"
    }
    return Annotations(schema=a.schema, **columns)


class _Maker(msgspec.Struct):
    annotator: object = None
    labelstudio: object = None


def _by_record(dataset: Dataset) -> list[tuple[str, Dataset]]:
    if not isinstance(dataset.source, CocoSource):
        return [(dataset.name, dataset)]
    makers = _makers(dataset.source)
    named = np.array(makers)
    return [(name, dataset.subset(named == name)) for name in dict.fromkeys(makers) if name]


def unnamed_records(dataset: Dataset) -> list[int]:
    """Index of each annotation that names no annotator, in a file of several of them.

    Args:
        dataset: One of these annotators; nothing is told of one who has the file alone.
    """
    source = dataset.source
    if not isinstance(source, CocoSource) or dataset.annotations is source.annotations:
        return []
    makers = _makers(source)
    rows = zip(source.annotation_records.tolist(), makers, strict=True)
    return [index for index, maker in rows if not maker]


def _makers(source: CocoSource) -> list[str]:
    """Who made each annotation; nothing for one that does not say."""
    decode = msgspec.json.Decoder(_Maker).decode
    makers: list[str] = []
    for index in source.annotation_records.tolist():
        try:
            record = decode(source.document.record("annotations", index))
        except msgspec.DecodeError:
            record = _Maker()
        said = record.annotator
        if said is None and isinstance(record.labelstudio, dict):
            said = record.labelstudio.get("completed_by")
        makers.append("" if said is None else str(said))
    return makers


def read_annotators(
    paths: Sequence[Path], schema: Schema | None = None
) -> list[tuple[str, Dataset]]:
    """Read annotators from files; see `annotators_of`.

    Raises:
        ReadError: A file cannot be read.
        InvalidDataError: A file has errors that the arrays depend on, or an id twice.
        UsageError: There is only one annotator.
    """
    from toolkit import formats

    datasets = [formats.read(path, schema) for path in paths]
    for dataset in datasets:
        _require_ids(dataset)
    return annotators_of(datasets)


def _require_ids(dataset: Dataset) -> None:
    """Refuse ids that are there twice: what is matched by them would be matched wrongly."""
    from toolkit import checks

    found = checks.validate(dataset, limit=1).errors
    twice = [f for f in found if f.rule in ("image-id-duplicate", "annotation-id-duplicate")]
    if twice:
        raise InvalidDataError(f"{twice[0].line(dataset.name)}; 'toolkit validate' lists all")
