"""Pre-annotations: what a task shows before anybody has labelled it.

The people of the file as they are labelled; or, where a model's predictions are given, their
keypoints in place of the file's, with scores. A prediction for an annotation
(`annotation_id`) keeps that person's box, id and category; one for nobody is somebody new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.errors import InvalidDataError
from toolkit.formats.foreign import CocoDocument, Record, records_of
from toolkit.formats.foreign_values import (
    categories_of,
    category_row,
    keypoint_names,
    people_by_image,
    points_of,
)
from toolkit.formats.labelstudio_regions import (
    BOX,
    INSTANCE,
    POINTS,
    Canvas,
    Drawing,
    Region,
    regions_of,
)
from toolkit.schema import Schema

Bools = NDArray[np.bool_]
PREFIX = "toolkit "  # of the names of our pre-annotations, as the server lists them
LABELS = "labels"


@dataclass(frozen=True)
class Person:
    """Somebody who is drawn in a frame.

    Attributes:
        key: Of the rectangle: `p` and the index in the file, or `n` and a number.
        record: As a COCO annotation.
        scores: (K,) by keypoint name; none for a label.
        score: Of the whole person; None for a label.
    """

    key: str
    record: Record
    scores: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True)
class Prelabels:
    """The people to draw, by row in `images`.

    Attributes:
        people: For each image.
        version: What made them, for the server's list.
    """

    people: list[list[Person]]
    version: str

    def records(self) -> list[list[Record]]:
        """The records alone."""
        return [[person.record for person in row] for row in self.people]


def prelabels_of(
    document: CocoDocument, schema: Schema, predictions: Predictions | None = None
) -> Prelabels:
    """Who is drawn in each frame.

    Raises:
        InvalidDataError: The predictions name images or annotations that the document does
            not have.
    """
    rows, _ = people_by_image(document)
    records = records_of(document, "annotations")
    people = [[Person(f"p{index}", records[index]) for index in row] for row in rows]
    if predictions is None:
        return Prelabels(people, PREFIX + LABELS)
    _replace(document, schema, predictions, people)
    return Prelabels(people, PREFIX + (predictions.model or "predictions"))


def _replace(
    document: CocoDocument, schema: Schema, predictions: Predictions, people: list[list[Person]]
) -> None:
    """Put predicted keypoints in place of labelled ones; add the people whom no label knows."""
    images = {image.get("id"): row for row, image in enumerate(records_of(document, "images"))}
    spots = {
        person.record.get("id"): (row, place)
        for row, several in enumerate(people)
        for place, person in enumerate(several)
    }
    seen = _seen(predictions)
    best: dict[int, int] = {}
    for m in np.argsort(-predictions.scores, kind="stable").tolist():
        image, known = int(predictions.image_id[m]), int(predictions.annotation_id[m])
        if image not in images or (known != -1 and known not in spots):
            what = f"image {image}" if image not in images else f"annotation {known}"
            raise InvalidDataError(
                f"predictions[{m}]: {what} is not in the file; are they predictions of "
                "another file?"
            )
        if (known != -1 and known in best) or not seen[m].any():
            continue
        best[known] = m
        if known == -1:
            category = categories_of(document, schema)[0]
            record = _stranger(predictions, m, seen[m], image, category)
            row = images[image]
            people[row].append(_person(f"n{m}", record, predictions, m, seen[m]))
            continue
        row, place = spots[known]
        person = people[row][place]
        category = _category(document, schema, person.record)
        points = _points(predictions, m, seen[m], person.record, category)
        record = person.record | {"keypoints": points}
        people[row][place] = _person(person.key, record, predictions, m, seen[m])


def _seen(predictions: Predictions) -> Bools:
    """(M, K) which keypoints were predicted.

    A score of 0 beside others says that a keypoint was not, wherever it stands; of a model
    without scores, all zeros say nothing.
    """
    there = np.isfinite(predictions.keypoints).all(axis=2)
    scores = np.nan_to_num(predictions.keypoint_scores)
    return np.asarray(there & (scores != 0) if scores.any() else there)


def _person(key: str, record: Record, predictions: Predictions, m: int, seen: Bools) -> Person:
    scores = np.where(seen, predictions.keypoint_scores[m], np.nan).tolist()
    named = dict(zip(predictions.schema.names, scores, strict=True))
    score = float(predictions.scores[m])
    return Person(key, record, named, score if np.isfinite(score) else None)


def _category(document: CocoDocument, schema: Schema, record: Record) -> Record:
    categories = categories_of(document, schema)
    return categories[category_row(categories, record, 0)]


def _points(
    predictions: Predictions, m: int, seen: Bools, label: Record, category: Record
) -> list[float]:
    """Predicted places in the category's order; the flag is the label's where it has one.

    A keypoint that was not predicted is as it is labelled.
    """
    names = keypoint_names(category)
    found = np.where(seen[:, None], predictions.keypoints[m], np.nan).tolist()
    places = dict(zip(predictions.schema.names, found, strict=True))
    old = points_of(label) or []
    old = old if len(old) == len(names) else [(0, 0, 0)] * len(names)
    flat: list[float] = []
    for name, (x, y, flag) in zip(names, old, strict=True):
        place = places.get(name)
        if place is None or not np.isfinite(place).all():
            flat += [x, y, flag]
        else:
            flat += [*place, flag if flag in (1, 2) else 2]
    return flat


def _stranger(
    predictions: Predictions, m: int, seen: Bools, image: int, category: Record
) -> Record:
    """A record for somebody whom no label knows; without a box the points' own."""
    points = np.where(seen[:, None], predictions.keypoints[m], np.nan)
    box = predictions.bbox_xywh[m]
    if not np.isfinite(box).all():
        low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
        box = np.concatenate([low, high - low])
    flags = np.where(seen, 2, 0)
    places = dict(zip(predictions.schema.names, zip(points, flags, strict=True), strict=True))
    flat: list[float] = []
    for name in keypoint_names(category):
        place, flag = places.get(name, (np.zeros(2), 0))
        flat += [*(place.tolist() if flag else (0, 0)), int(flag)]
    return {
        "id": "new",
        "image_id": image,
        "category_id": category.get("id"),
        "keypoints": flat,
        "bbox": box.tolist(),
    }


def drawn_regions(
    people: list[Person], categories: list[Record], canvas: Canvas
) -> list[Region]:
    """The regions of a frame's people, with their scores."""
    regions: list[Region] = []
    for person in people:
        category = categories[category_row(categories, person.record, 0)]
        drawn = regions_of(person.record, person.key, Drawing.of(category), canvas)
        for region in drawn:
            score = _score(region, person)
            if score is not None:
                region["score"] = score
        regions += drawn
    return regions


def _score(region: Region, person: Person) -> float | None:
    if region["from_name"] in (BOX, INSTANCE):
        return person.score
    if region["from_name"] != POINTS:
        return None
    value = region["value"]
    assert isinstance(value, dict)
    score = person.scores.get(value["keypointlabels"][0])
    return None if score is None or not np.isfinite(score) else float(score)
