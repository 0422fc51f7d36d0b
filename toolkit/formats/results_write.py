"""Writing results that were read: only what differs from the file is written anew."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.errors import InvalidDataError
from toolkit.formats.document import (
    Document,
    Edit,
    field_texts,
    number_tokens,
    patch_record,
    with_tokens,
)
from toolkit.formats.encode import number_text, result_record

_COLUMNS = (
    "image_id",
    "category_id",
    "annotation_id",
    "scores",
    "keypoints",
    "keypoint_scores",
    "sigma",
    "bbox_xywh",
)
_POSE = ("image_id", "category_id", "annotation_id", "keypoints", "bbox_xywh")


@dataclass(frozen=True)
class ResultsSource:
    """What predictions remember of the file that they were read from.

    Attributes:
        document: The file's bytes and the offsets of its records.
        predictions: The arrays as they were read.
        records: (M,) index of each row's record in the file's list.
    """

    document: Document
    predictions: Predictions
    records: NDArray[np.int64]


def results_edit(found: Predictions, source: ResultsSource) -> Edit:
    """What has to change in the file so that it says what the arrays say.

    Results have no ids of their own; `_match` says which record a row stands for.
    """
    old = source.predictions
    if all(getattr(found, name) is getattr(old, name) for name in _COLUMNS):
        return Edit()
    match = _match(found, old)
    replaced, order = {}, []
    appended = []
    for row, old_row in enumerate(match.tolist()):
        if old_row < 0:
            appended.append(result_record(found, row))
            continue
        index = int(source.records[old_row])
        order.append(index)
        if _row_differs(found, row, old, old_row):
            record = source.document.record("results", index)
            changes = _changes(found, row, old, old_row, record)
            replaced[index] = patch_record(record, changes)
    total = len(source.document.sections["results"])
    in_place = order == list(range(total))
    return Edit(replaced, None if in_place else order, tuple(appended))


def _match(found: Predictions, old: Predictions) -> NDArray[np.int64]:
    """Which old row each row comes from, -1 for none; each old row is taken once.

    The one in its place, where that has the same pose; else the first that has, since rows
    may have been sorted or dropped. What is left had its pose changed: where the images
    stand in the same order it is the old row in its place, else the first one that is equal
    in image, category, annotation and score.
    """
    match = np.full(len(found), -1, np.int64)
    in_place = len(found) == len(old) and np.array_equal(found.image_id, old.image_id)
    if found.schema.names == old.schema.names:
        if in_place:
            same = _same_poses(found, old)
            match[same] = np.flatnonzero(same)
        _pair(match, found, old, _pose)
    if in_place:
        free = np.setdiff1d(np.flatnonzero(match < 0), match[match >= 0])
        match[free] = free
    _pair(match, found, old, _key)
    return match


def _pair(
    match: NDArray[np.int64],
    found: Predictions,
    old: Predictions,
    key: Callable[[Predictions, int], Hashable],
) -> None:
    """Give rows that have none the first free old row of the same key."""
    waiting: dict[Hashable, list[int]] = {}
    for row in np.setdiff1d(np.arange(len(old)), match)[::-1].tolist():
        waiting.setdefault(key(old, row), []).append(row)
    for row in np.flatnonzero(match < 0).tolist():
        if candidates := waiting.get(key(found, row)):
            match[row] = candidates.pop()


def _same_poses(found: Predictions, old: Predictions) -> NDArray[np.bool_]:
    """(M,) whether each row has the pose of the old row in its place; NaN equals NaN."""
    same = np.ones(len(found), bool)
    for name in _POSE:
        new, was = getattr(found, name), getattr(old, name)
        equal = (new == was) | ((new != new) & (was != was))
        same &= equal.reshape(len(found), -1).all(axis=1)
    return same


def _pose(found: Predictions, row: int) -> Hashable:
    return tuple((getattr(found, name)[row] + 0).tobytes() for name in _POSE)  # -0 is 0


def _key(found: Predictions, row: int) -> Hashable:
    return (
        int(found.image_id[row]),
        int(found.category_id[row]),
        int(found.annotation_id[row]),
        float(found.scores[row]),
    )


def _row_differs(found: Predictions, row: int, old: Predictions, old_row: int) -> bool:
    return any(_column_differs(name, found, row, old, old_row) for name in _COLUMNS)


def _column_differs(
    name: str, found: Predictions, row: int, old: Predictions, old_row: int
) -> bool:
    new, was = getattr(found, name), getattr(old, name)
    if new is None or was is None:
        return (new is None) != (was is None)
    return not np.array_equal(new[row], was[old_row], equal_nan=new.dtype.kind == "f")


def _changes(
    found: Predictions, row: int, old: Predictions, old_row: int, record: bytes
) -> dict[str, str | None]:
    """New text of each changed field; None removes it."""
    texts = field_texts(record)
    changed = {n for n in _COLUMNS if _column_differs(n, found, row, old, old_row)}
    changes: dict[str, str | None] = {}
    for name in ("image_id", "category_id", "annotation_id"):
        if name in changed:
            value = int(getattr(found, name)[row])
            missing = name == "annotation_id" and value == -1
            changes[name] = None if missing else str(value)
    if "scores" in changed:
        score = float(found.scores[row])
        changes["score"] = number_text(score, texts.get("score", "0"))
    if "bbox_xywh" in changed:
        changes["bbox"] = _list(found.bbox_xywh[row], texts.get("bbox"))
    if "keypoints" in changed or "keypoint_scores" in changed:
        points, scores = found.keypoints[row], found.keypoint_scores[row]
        if "keypoint_scores" in texts:
            thirds = _thirds(texts.get("keypoints"), old, old_row)
            own = zip(found.schema.names, scores.tolist(), strict=True)
            scores = np.array([thirds.get(name, score) for name, score in own])
        triples = np.column_stack([points, scores]).ravel()
        if np.isnan(points).all():
            changes["keypoints"] = None
        else:
            changes["keypoints"] = _list(triples, texts.get("keypoints"))
    if "keypoint_scores" in changed and "keypoint_scores" in texts:
        scores = found.keypoint_scores[row]
        changes["keypoint_scores"] = _list(scores, texts["keypoint_scores"])
    if "sigma" in changed:
        sigma = None if found.sigma is None else found.sigma[row].ravel()
        changes["sigmas"] = None if sigma is None else _list(sigma, texts.get("sigmas"))
    return changes


def _thirds(text: str | None, old: Predictions, old_row: int) -> dict[str, float]:
    """Third numbers of a record's keypoints that are no scores (a flag, say), by name."""
    names, thirds = old.schema.names, [float(t) for t in number_tokens(text)[2::3]]
    if len(thirds) != len(names):
        return {}
    scores = old.keypoint_scores[old_row].tolist()
    told = zip(names, thirds, scores, strict=True)
    return {name: third for name, third, score in told if third != score}


def _list(values: NDArray[np.float64], text: str | None) -> str | None:
    """A flat list; numbers that are equal to the old ones keep their spelling."""
    if np.isnan(values).all():
        return None
    if np.isnan(values).any():
        raise InvalidDataError(
            "some numbers of a prediction are NaN and others are not; a result gives all "
            "of them or none"
        )
    new: Sequence[float] = values.tolist()
    tokens = number_tokens(text)
    if len(tokens) != len(new):
        return with_tokens(None, [number_text(value) for value in new])
    return with_tokens(
        text,
        [
            token if _same(token, value) else number_text(value, token)
            for token, value in zip(tokens, new, strict=True)
        ],
    )


def _same(token: str, value: float) -> bool:
    try:
        return float(token) == value
    except ValueError:
        return False
