"""Which image and which person of one file is which of another.

Ids are believed first. Tools renumber, though: images are then matched by their file name,
and people by how alike their keypoints are (OKS), with the best pairing of each image.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Images
from toolkit.curate.assignment import best_pairs
from toolkit.geometry import paired_iou
from toolkit.images import one_name, one_text
from toolkit.schema import Schema

THRESHOLD = 0.5  # OKS from which two people are taken for one
MatchBy = Literal["auto", "id", "oks"]
IMAGE_RULES = ("id and file name", "file name", "end of the file name", "id")
PEOPLE_RULES = ("id", "oks")
LABEL_RULES = (*PEOPLE_RULES, "box")
_NO_SIGMA = 0.1  # of an own schema that has none: COCO's hips and shoulders
_CHUNK = 1 << 15

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """P pairs of rows of an old and a new table.

    Attributes:
        old: (P,) rows of the old table, ascending.
        new: (P,) rows of the new table.
        rule: (P,) index into `rules`.
        rules: Names of the rules that matched them.
    """

    old: Indices
    new: Indices
    rule: Indices
    rules: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many pairs each rule made."""
        return {name: int((self.rule == i).sum()) for i, name in enumerate(self.rules)}


@dataclass(frozen=True)
class Shared:
    """The keypoints that two schemas have in common, by name.

    Attributes:
        names: Their names, in the old schema's order.
        old: (S,) their indices in the old schema.
        new: (S,) their indices in the new schema.
    """

    names: tuple[str, ...]
    old: Indices
    new: Indices

    @classmethod
    def of(cls, old: Schema, new: Schema) -> Shared:
        """The common keypoints of two schemas."""
        names = tuple(name for name in old.names if name in new.names)
        return cls(
            names,
            np.array([old.names.index(name) for name in names], np.int64),
            np.array([new.names.index(name) for name in names], np.int64),
        )


def match_images(old: Images, new: Images) -> Pairs:
    """Pair images: by id and file name, then by either alone.

    Names that differ in spelling only (NFC and NFD, `./a.jpg`) are one name. An id alone
    counts only where the sizes, if both files give them, agree.
    """
    taken_old, taken_new = np.zeros(len(old), bool), np.zeros(len(new), bool)
    found: list[tuple[int, int, int]] = []

    def pair(rule: int, old_keys: Iterable[object], new_keys: Iterable[object]) -> None:
        if taken_old.all() or taken_new.all():
            return
        places = _unique(new_keys, taken_new)
        for key, row in _unique(old_keys, taken_old).items():
            other = places.get(key)
            if other is not None and (rule < 3 or _may_be(old, row, new, other)):
                taken_old[row] = taken_new[other] = True
                found.append((row, other, rule))

    ids = old.ids.tolist(), new.ids.tolist()
    pair(0, zip(ids[0], old.file_names, strict=True), zip(ids[1], new.file_names, strict=True))
    pair(1, old.file_names, new.file_names)
    pair(1, map(one_name, old.file_names), map(one_name, new.file_names))
    pair(2, map(_end, old.file_names), map(_end, new.file_names))
    pair(3, *ids)
    return _pairs(found, IMAGE_RULES)


def _unique(keys: Iterable[object], taken: NDArray[np.bool_]) -> dict[object, int]:
    """Rows by key; keys that are not unique among the free rows are left out."""
    free = [(key, row) for row, key in enumerate(keys) if not taken[row]]
    counts = Counter(key for key, _ in free)
    return {key: row for key, row in free if counts[key] == 1}


def _end(name: str) -> str:
    return one_text(name).replace("\\", "/").rpartition("/")[2]


def _may_be(old: Images, row: int, new: Images, other: int) -> bool:
    a, b = old.size_wh[row], new.size_wh[other]
    return bool((a == b).all() or (a == 0).any() or (b == 0).any())


def match_people(
    old: Annotations,
    new: Annotations,
    image_of: dict[int, int],
    *,
    threshold: float = THRESHOLD,
    by: MatchBy = "auto",
) -> Pairs:
    """Pair people: by id, and those that are left by OKS within their image.

    Args:
        old: One file's people.
        new: The other's.
        image_of: The new image id of each old image id.
        threshold: OKS that a pair must reach.
        by: `id` and `oks` use one rule alone. `auto` uses ids first, and OKS alone where
            ids were renumbered: where most equal ids name unlike people, and these are
            found again under other ids.
    """
    shared = Shared.of(old.schema, new.schema)
    away = _free(new.image_id)  # an image that the new file does not have
    home = np.array([image_of.get(i, away) for i in old.image_id.tolist()], np.int64)
    by_oks = _Leftovers(old, new, shared, home, threshold)
    everyone = np.arange(len(old)), np.arange(len(new))
    if by == "oks":
        return _pairs(by_oks.pairs(*everyone), PEOPLE_RULES)
    rows, others = _same_ids(old.instance_id, new.instance_id)
    if by == "auto" and len(rows):
        alike = (home[rows] == new.image_id[others]) & (
            similarity(old, new, shared, rows, others) >= threshold
        )
        if 2 * alike.sum() < len(rows):
            again = by_oks.pairs(*everyone)
            unlike = set(rows[~alike].tolist())
            if 2 * sum(row in unlike for row, _, _ in again) > len(rows):
                return _pairs(again, PEOPLE_RULES)
    found = _zipped(rows, others, 0)
    if by == "auto":
        found += by_oks.pairs(
            np.setdiff1d(everyone[0], rows), np.setdiff1d(everyone[1], others)
        )
    return _pairs(found, PEOPLE_RULES)


def match_labels(old: Annotations, new: Annotations, threshold: float = THRESHOLD) -> Pairs:
    """Pair two annotators' labels of the people in the same images.

    Two who go on from one file give the same next id to different people, so an id alone
    proves little. In turn are paired: people of one id who are alike (OKS); whoever else is
    alike; people of one id whose boxes are not apart, unless most ids turned out to be other
    people's; and people with much the same box (IoU). For a label may be far off, or have
    its sides exchanged.

    Args:
        old: One annotator's people.
        new: The other's, in the same schema and with the same image ids.
        threshold: OKS, or IoU, that two people without a common id must reach.
    """
    shared = Shared.of(old.schema, new.schema)
    leftovers = _Leftovers(old, new, shared, old.image_id, threshold)
    found: list[tuple[int, int, int]] = []

    def free() -> tuple[Indices, Indices]:
        taken = [[pair[side] for pair in found] for side in (0, 1)]
        return (
            np.setdiff1d(np.arange(len(old)), taken[0]),
            np.setdiff1d(np.arange(len(new)), taken[1]),
        )

    rows, others = _same_ids(old.instance_id, new.instance_id)
    alike = (old.image_id[rows] == new.image_id[others]) & (
        similarity(old, new, shared, rows, others) >= threshold
    )
    found += _zipped(rows[alike], others[alike], 0)
    found += leftovers.pairs(*free())
    left = free()
    open_ids = np.isin(rows, left[0]) & np.isin(others, left[1])
    open_ids &= old.image_id[rows] == new.image_id[others]
    if 2 * (alike.sum() + open_ids.sum()) >= len(rows):
        open_ids &= ~_apart(old.bbox_xywh[rows], new.bbox_xywh[others])
        found += _zipped(rows[open_ids], others[open_ids], 0)
    left = free()
    mates = leftovers.mates(*left)
    value = paired_iou(old.bbox_xywh[mates[0]], new.bbox_xywh[mates[1]])
    near = value >= threshold
    best = _best(mates[0][near], mates[1][near], value[near])
    found += [(row, other, 2) for row, other, _ in best]
    return _pairs(found, LABEL_RULES)


def _zipped(rows: Indices, others: Indices, rule: int) -> list[tuple[int, int, int]]:
    return [(a, b, rule) for a, b in zip(rows.tolist(), others.tolist(), strict=True)]


def _apart(a_xywh: Floats, b_xywh: Floats) -> NDArray[np.bool_]:
    """(P,) whether there are two boxes, and they do not overlap."""
    known = np.isfinite(a_xywh).all(axis=1) & np.isfinite(b_xywh).all(axis=1)
    return np.asarray(known & (paired_iou(a_xywh, b_xywh) == 0))


def _free(ids: Indices) -> int:
    """A number that is no id."""
    return int(np.setdiff1d(np.arange(len(ids) + 1), ids)[0])


def _same_ids(old: Indices, new: Indices) -> tuple[Indices, Indices]:
    """Rows with equal ids; where an id occurs again, the n-th with the n-th."""
    _, number = np.unique(np.concatenate([old, new]), return_inverse=True)
    sides = number[: len(old)], number[len(old) :]
    width = len(old) + len(new) + 1
    keys = [side * width + _occurrence(side) for side in sides]
    _, rows, others = np.intersect1d(keys[0], keys[1], return_indices=True)
    return rows.astype(np.int64), others.astype(np.int64)


def _occurrence(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """How often each value came before."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
    lengths = np.diff(np.r_[starts, len(ordered)])
    result = np.empty(len(values), np.intp)
    result[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return result


def similarity(
    old: Annotations, new: Annotations, shared: Shared, rows: Indices, others: Indices
) -> Floats:
    """OKS of pairs of people, over the keypoints that both files label.

    The scale is the old person's area (else the box's, else the keypoints' extent). The
    mean is over the smaller number of labelled keypoints, so that one keypoint in common
    proves little. People without labelled keypoints are compared by the IoU of their boxes.

    Returns:
        (P,) in [0, 1].
    """
    sigma = np.array([_NO_SIGMA if s is None else s for s in _sigmas(old.schema)])[shared.old]
    area = _scale(old)
    result = np.zeros(len(rows))
    for begin in range(0, len(rows), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        a, b = rows[part], others[part]
        offset = new.keypoints[b][:, shared.new] - old.keypoints[a][:, shared.old]
        with np.errstate(over="ignore"):  # far is far
            squared = offset[..., 0] ** 2 + offset[..., 1] ** 2
            terms = np.exp(-squared / (2 * (2 * sigma) ** 2 * area[a][:, None]))
        fewest = np.minimum(
            old.labelled[a][:, shared.old].sum(axis=1), new.labelled[b][:, shared.new].sum(1)
        )
        result[part] = np.nansum(terms, axis=1) / np.maximum(fewest, 1)
        none = np.flatnonzero(fewest == 0)
        result[begin + none] = paired_iou(old.bbox_xywh[a[none]], new.bbox_xywh[b[none]])
    return result


def _sigmas(schema: Schema) -> list[float | None]:
    return [point.sigma for point in schema.keypoints]


def _scale(people: Annotations) -> Floats:
    """(N,) px² above 0: the area, else the box's, else the keypoints' extent."""
    area = people.area.copy()
    with np.errstate(invalid="ignore", over="ignore"):  # a file may say 1e308
        box = people.bbox_xywh[:, 2] * people.bbox_xywh[:, 3]
    area = np.where(area > 0, area, box)
    for row in np.flatnonzero(~(area > 0)).tolist():
        points = people.keypoints[row][people.labelled[row]]
        area[row] = np.ptp(points, axis=0).prod() if len(points) else 0.0
    return np.maximum(area, 1.0)


@dataclass(frozen=True)
class _Leftovers:
    """People that no id pairs, paired within their images by OKS."""

    old: Annotations
    new: Annotations
    shared: Shared
    home: Indices  # (N,) the new id of each old person's image
    threshold: float

    def pairs(self, rows: Indices, others: Indices) -> list[tuple[int, int, int]]:
        """Pairs of some old rows with some new rows, as (old, new, rule)."""
        found = self._equal(rows, others)
        rows = np.setdiff1d(rows, [pair[0] for pair in found])
        others = np.setdiff1d(others, [pair[1] for pair in found])
        left, right = self.mates(rows, others)
        value = similarity(self.old, self.new, self.shared, left, right)
        near = value >= self.threshold
        return found + _best(left[near], right[near], value[near])

    def mates(self, rows: Indices, others: Indices) -> tuple[Indices, Indices]:
        """Every old row with every new row of its image."""
        by_image: dict[int, list[int]] = defaultdict(list)
        for row, image in zip(others.tolist(), self.new.image_id[others].tolist(), strict=True):
            by_image[image].append(row)
        a: list[int] = []
        b: list[int] = []
        for row, image in zip(rows.tolist(), self.home[rows].tolist(), strict=True):
            found = by_image.get(image, [])
            a += [row] * len(found)
            b += found
        return np.array(a, np.int64), np.array(b, np.int64)

    def _equal(self, rows: Indices, others: Indices) -> list[tuple[int, int, int]]:
        """People of one image whose labelled keypoints are the same, in order."""
        waiting: dict[tuple[int, bytes], list[int]] = defaultdict(list)
        new_points = _bytes(self.new, others, self.shared.new)
        images = self.new.image_id[others].tolist()
        for at, row in enumerate(others.tolist()):
            waiting[images[at], new_points[at]].append(row)
        found = []
        old_points = _bytes(self.old, rows, self.shared.old)
        homes = self.home[rows].tolist()
        taken: Counter[tuple[int, bytes]] = Counter()
        for at, row in enumerate(rows.tolist()):
            key = homes[at], old_points[at]
            mates = waiting.get(key, [])
            if key[1] and taken[key] < len(mates):
                found.append((row, mates[taken[key]], 1))
                taken[key] += 1
        return found


def _bytes(people: Annotations, rows: Indices, columns: Indices) -> list[bytes]:
    """Each person's keypoints as bytes; nothing for one without labelled keypoints."""
    points = np.ascontiguousarray(people.keypoints[rows][:, columns])
    anything = np.any(people.labelled[rows][:, columns], axis=1).tolist()
    return [
        bytes(memoryview(point)) if some else b""
        for point, some in zip(points, anything, strict=True)
    ]


def _best(left: Indices, right: Indices, value: Floats) -> list[tuple[int, int, int]]:
    """The best pairing of each group of rows that candidates connect."""
    group: dict[tuple[int, int], tuple[int, int]] = {}

    def root(node: tuple[int, int]) -> tuple[int, int]:
        while group.setdefault(node, node) != node:
            group[node] = group[group[node]]
            node = group[node]
        return node

    edges = list(zip(left.tolist(), right.tolist(), value.tolist(), strict=True))
    for row, other, _ in edges:
        group[root((1, other))] = root((0, row))
    members: dict[tuple[int, int], list[tuple[int, int, float]]] = defaultdict(list)
    for edge in edges:
        members[root((0, edge[0]))].append(edge)
    found = []
    for component in members.values():
        if len(component) == 1:
            found.append((component[0][0], component[0][1], 1))
            continue
        rows = sorted({edge[0] for edge in component})
        others = sorted({edge[1] for edge in component})
        table = np.zeros((len(rows), len(others)))
        for row, other, worth in component:
            table[rows.index(row), others.index(other)] = worth
        found += [(rows[i], others[j], 1) for i, j in best_pairs(table)]
    return found


def _pairs(found: list[tuple[int, int, int]], rules: tuple[str, ...]) -> Pairs:
    table = np.array(sorted(found), np.int64).reshape(-1, 3)
    return Pairs(table[:, 0], table[:, 1], table[:, 2], rules)
