"""Arrays as FiftyOne's documents: one a frame, made in bulk.

FiftyOne's own importer makes an object with checks for every label. The documents that it
stores are plain: they are built here directly from the arrays, and inserted in batches.

A frame has two lists of labels, because FiftyOne has no label with both: `people` holds the
boxes, `keypoints` the points of the same people. The two are joined by `annotation_id`.
Coordinates are shares of the picture's width and height, beyond 0 and 1 where a point lies
beyond the picture; a keypoint that is not labelled is NaN.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.metrics.strata import STRATA
from toolkit.schema import Schema
from toolkit.tags import Tags

if TYPE_CHECKING:
    from bson import ObjectId

Json = dict[str, object]
Floats = NDArray[np.float64]
BOXES, POINTS = "people", "keypoints"
SEVERITIES = (None, "warning", "error")
_POSITIONS = ("in_box", "out_of_box", "out_of_image")  # the last that fits is told
_KINDS = {"sample": 0, BOXES: 1, POINTS: 2}


@dataclass(frozen=True)
class Column:
    """One value for each instance, which becomes an attribute of its labels.

    Attributes:
        name: Of the attribute.
        kind: Name of FiftyOne's field class.
        values: N values, None where there is none.
        about: What it is, in words.
    """

    name: str
    kind: str
    values: Sequence[object]
    about: str = ""


@dataclass(frozen=True)
class Content:
    """What a view is built from; N instances in I images.

    Attributes:
        dataset: The annotations.
        size_wh: (I, 2) px, none of them 0.
        paths: I image files.
        tags: Findings and strata.
        own_tags: N lists of tags that the file itself has.
        image_tags: I lists of tags that the file itself has.
        columns: Attributes of the instances: scores, ranks and so on.
        image_columns: Fields of the frames.
        predictions: M predictions by name, with the attributes of each.
    """

    dataset: Dataset
    size_wh: NDArray[np.int64]
    paths: Sequence[Path]
    tags: Tags
    own_tags: Sequence[Sequence[str]]
    image_tags: Sequence[Sequence[str]]
    columns: Sequence[Column] = ()
    image_columns: Sequence[Column] = ()
    predictions: Mapping[str, tuple[Predictions, Sequence[Column]]] = field(
        default_factory=dict
    )


class LabelIds:
    """Ids of the documents: which row of which table each one is.

    Twelve bytes: four of the time, three of chance, one of the kind, four of the row. A
    label that a person makes in the App has another id and so is known to be new.
    """

    def __init__(self, prefix: bytes | None = None) -> None:
        """Start a family of ids, or take up one by its first seven bytes."""
        self.prefix = prefix or struct.pack(">I", int(time.time())) + os.urandom(3)

    def make(self, kind: int, row: int) -> ObjectId:
        """The id of a row."""
        from bson import ObjectId  # lazy: it comes with FiftyOne

        return ObjectId(self.prefix + bytes([kind]) + struct.pack(">I", row))

    def row_of(self, label_id: ObjectId | str, kind: int) -> int | None:
        """The row of an id of this family and kind, else None."""
        raw = bytes.fromhex(str(label_id))
        if raw[:7] != self.prefix or raw[7] != kind:
            return None
        return int(struct.unpack(">I", raw[8:])[0])


def kind_of(field_name: str) -> int:
    """The kind of ids in a field of labels, or of the frames ('sample')."""
    return _KINDS[field_name]


def scaled_boxes(bbox_xywh: Floats, size_wh: NDArray[np.int64]) -> Floats:
    """(N, 4) boxes as shares of the picture's width and height."""
    return np.asarray(bbox_xywh / np.concatenate([size_wh, size_wh], axis=1), np.float64)


def scaled_points(points: Floats, size_wh: NDArray[np.int64]) -> Floats:
    """(N, K, 2) points as shares of the picture's width and height."""
    return points / size_wh[:, None]


def positions(tags: Tags) -> NDArray[np.object_]:
    """(N, K) where each keypoint lies: the outermost stratum; `absent` where not labelled."""
    result = np.full(tags.strata.shape, "absent", dtype=object)
    for name in _POSITIONS:
        result[(tags.strata & (1 << STRATA.index(name))) > 0] = name
    return result


def strata_of(bits: NDArray[np.uint8]) -> list[list[str]]:
    """The strata of each row of (N, K) bits, any keypoint counting."""
    union = np.bitwise_or.reduce(bits, axis=1) if bits.shape[1] else np.zeros(len(bits), int)
    known = [
        [name for position, name in enumerate(STRATA) if value >> position & 1]
        for value in range(1 << len(STRATA))
    ]
    return [known[int(value)] for value in union]


def missing_names(schema: Schema, labelled: NDArray[np.bool_]) -> list[list[str]]:
    """The names of the keypoints that are not labelled, for each instance."""
    names = schema.names
    return [
        [names[column] for column in np.flatnonzero(row)] if row.any() else []
        for row in ~labelled
    ]


def frames(content: Content, ids: LabelIds, common: Json) -> Iterator[Json]:
    """The documents of all frames, in the order of the file.

    Args:
        content: What to build from.
        ids: Where the ids come from.
        common: Fields that every frame has.
    """
    dataset = content.dataset
    images = dataset.images
    boxes, points = _people_labels(content, ids)
    members = _by_image(dataset.image_row, len(images))
    foreign = {name: _prediction_labels(content, name) for name in content.predictions}
    rows_of = {
        name: _by_image(_image_rows(dataset, predictions), len(images))
        for name, (predictions, _) in content.predictions.items()
    }
    for row in range(len(images)):
        own = members[row]
        document = {
            **common,
            "_id": ids.make(kind_of("sample"), row),
            "filepath": str(content.paths[row]),
            "tags": [*content.image_tags[row], *content.tags.image_rules[row]],
            "metadata": {
                "_cls": "ImageMetadata",
                "width": int(content.size_wh[row, 0]),
                "height": int(content.size_wh[row, 1]),
            },
            "image_id": int(images.ids[row]),
            "clip": images.clips[row],
            "frame": None if images.frames[row] < 0 else int(images.frames[row]),
            "instances": len(own),
            "worst_finding": SEVERITIES[content.tags.worst[row]],
            BOXES: {
                "_cls": "Detections",
                "detections": [boxes[i] for i in own if boxes[i] is not None],
            },
            POINTS: {
                "_cls": "Keypoints",
                "keypoints": [points[i] for i in own if points[i] is not None],
            },
        }
        for column in content.image_columns:
            document[column.name] = column.values[row]
        for name, labels in foreign.items():
            found = [labels[i] for i in rows_of[name][row]]
            document[name] = {"_cls": "Keypoints", "keypoints": found}
        yield document


def _people_labels(
    content: Content, ids: LabelIds
) -> tuple[list[Json | None], list[Json | None]]:
    """The box and the keypoints of each instance; None where the file has none."""
    dataset = content.dataset
    people, schema = dataset.annotations, dataset.schema
    size = content.size_wh[dataset.image_row]
    boxed: list[bool] = np.isfinite(people.bbox_xywh).all(axis=1).tolist()  # type: ignore[assignment]
    seen: list[bool] = people.labelled.any(axis=1).tolist()  # type: ignore[assignment]
    box_values = scaled_boxes(people.bbox_xywh, size).tolist()
    point_values = scaled_points(people.keypoints, size).tolist()
    flags = people.visibility.tolist()
    where = positions(content.tags).tolist()
    groups = [keypoint.group for keypoint in schema.keypoints]
    boxes: list[Json | None] = []
    points: list[Json | None] = []
    for row, shared in enumerate(_shared(content)):
        # Lists are shared between the two: they are written, not changed.
        boxes.append(
            {
                "_id": ids.make(kind_of(BOXES), row),
                "_cls": "Detection",
                **shared,
                "bounding_box": box_values[row],
            }
            if boxed[row]
            else None
        )
        points.append(
            {
                "_id": ids.make(kind_of(POINTS), row),
                "_cls": "Keypoint",
                **shared,
                "points": point_values[row],
                "visibility": flags[row],
                "stratum": where[row],
                "group": groups,
            }
            if seen[row]
            else None
        )
    return boxes, points


def _shared(content: Content) -> Iterator[Json]:
    """What both labels of each instance say."""
    dataset, tags = content.dataset, content.tags
    people = dataset.annotations
    extension = tags.strata[:, dataset.schema.is_extension]
    ids, crowd = people.instance_id.tolist(), people.is_crowd.tolist()
    categories = category_names(dataset)
    columns = [(column.name, column.values) for column in content.columns]
    facts = zip(
        strata_of(tags.strata),
        strata_of(extension),
        missing_names(dataset.schema, people.labelled),
        people.labelled.sum(axis=1).tolist(),
        strict=True,
    )
    for row, (strata, beyond, missing, labelled) in enumerate(facts):
        yield {
            "tags": [*content.own_tags[row], *tags.rules[row]],
            "label": categories.get(int(people.category_id[row]), "person"),
            "annotation_id": ids[row],
            "iscrowd": crowd[row],
            "labelled": labelled,
            "strata": strata,
            "extension_strata": beyond,
            "missing": missing,
            "worst_finding": SEVERITIES[tags.worst_of_person[row]],
            **{name: values[row] for name, values in columns},
        }


def category_names(dataset: Dataset) -> dict[int, str]:
    """Names of the categories by id, as the file gives them."""
    from toolkit.formats import CocoSource

    if isinstance(dataset.source, CocoSource) and dataset.source.categories:
        return {category.id: category.name for category in dataset.source.categories}
    return {dataset.schema.category_id: dataset.schema.category_name}


def _prediction_labels(content: Content, name: str) -> list[Json]:
    """The labels of one set of predictions; ids of their own, for they are not edited."""
    from bson import ObjectId  # lazy: it comes with FiftyOne

    predictions, columns = content.predictions[name]
    size = content.size_wh[_image_rows(content.dataset, predictions)]
    values = scaled_points(predictions.keypoints, size).tolist()
    confidence = predictions.keypoint_scores.tolist()
    scores, partners = predictions.scores.tolist(), predictions.annotation_id.tolist()
    named = predictions.has_annotation_id.tolist()
    pairs = [(column.name, column.values) for column in columns]
    return [
        {
            "_id": ObjectId(),
            "_cls": "Keypoint",
            "tags": [],
            "label": name,
            "points": values[row],
            "confidence": confidence[row],
            "score": scores[row],
            "annotation_id": partners[row] if named[row] else None,
            **{key: entries[row] for key, entries in pairs},
        }
        for row in range(len(predictions))
    ]


def _image_rows(dataset: Dataset, predictions: Predictions) -> NDArray[np.int64]:
    """(M,) row of each prediction's image."""
    row_of = {int(key): row for row, key in enumerate(dataset.images.ids)}
    return np.array([row_of[int(key)] for key in predictions.image_id], np.int64)


def _by_image(rows: NDArray[np.int64], count: int) -> list[list[int]]:
    """For each image the instances in it, in the order of the file."""
    order = np.argsort(rows, kind="stable")
    ends = np.cumsum(np.bincount(rows, minlength=count))[:-1]
    return [part.tolist() for part in np.split(order, ends)]
