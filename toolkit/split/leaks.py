"""Leaks: what stands on both of two sides and must not.

Evidence, strongest first: equal groups, equal ids or names of images, equal bytes, copied
pictures (saved again, scaled, mirrored), frames that moved a little (most people of both
frames stand nearly where the others stand, in nearly the same poses, and the pictures agree
where there are pictures), equal poses of one person. Each pair of images is reported once,
with the strongest evidence; limits and what they cost are in docs/split.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.dataset import Dataset
from toolkit.imagehash import Fingerprint, distances
from toolkit.images import one_name, one_text
from toolkit.split.copies import copies
from toolkit.split.people import (
    ENOUGH_POINTS,
    People,
    moved_people,
    people_of,
    pose_error,
    same_poses,
)

KINDS = ("group", "image-id", "file-name", "image-bytes", "near-duplicate", "instance")

SHARE, CLEAR_SHARE = 0.5, 0.75  # of the people of the fuller frame that are found again
NEAR, CLEAR_NEAR = 0.35, 0.9  # block distance of the pictures allowed at these shares
ALONE_ERROR, ALONE_NEAR = 0.04, 0.15  # where both frames show one person only
_CHUNK = 4096


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: Of the split or the file.
        dataset: Its images and annotations.
        groups: Group of each image, None where it has none.
        sha256: Of each image's bytes, None where unknown.
        prints: Fingerprints of the images, or None where there are no pictures.
    """

    name: str
    dataset: Dataset
    groups: tuple[str | None, ...]
    sha256: tuple[str | None, ...] | None = None
    prints: list[Fingerprint] | None = None

    def image(self, row: int) -> dict[str, object]:
        """How a leak names an image."""
        images = self.dataset.images
        return {
            "split": self.name,
            "image_id": int(images.ids[row]),
            "file_name": images.file_names[row],
            "group": self.groups[row],
        }


@dataclass(frozen=True)
class Leak:
    """One thing on two sides.

    Attributes:
        kind: One of `KINDS`.
        message: What is equal, in words.
        first: Where it is on the first side: split, image id, file name, group.
        second: Where it is on the second.
        instances: Ids of the annotations that are alike, first and second.
    """

    kind: str
    message: str
    first: dict[str, object]
    second: dict[str, object]
    instances: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, object]:
        """The leak as a JSON object."""
        return {
            "kind": self.kind,
            "message": self.message,
            "first": self.first,
            "second": self.second,
            "instances": [list(pair) for pair in self.instances],
        }

    def line(self) -> str:
        """The leak on one line, both records named."""
        return f"{_place(self.first)} and {_place(self.second)}: {self.message}"


def _place(image: dict[str, object]) -> str:
    where = f"{image['split']}: image id={image['image_id']} {image['file_name']!r}"
    return where if image["group"] is None else f"{where} (group {image['group']!r})"


@dataclass(frozen=True)
class _Match:
    kind: str
    message: str
    instances: tuple[tuple[int, int], ...] = ()


_Pair = tuple[int, int]


def find_leaks(
    a: Side, b: Side, *, one_set: bool = True, names: bool = True, skip: frozenset[str]
) -> list[Leak]:
    """All leaks between two sides.

    Args:
        a: One side.
        b: The other.
        one_set: Both come from one data set, so that ids of images mean something.
        names: Whether equal file names count.
        skip: Kinds not to look for.

    Returns:
        Leaks by kind, then by the first and second image.
    """
    found: dict[_Pair, _Match] = {}
    checks: list[tuple[str, Iterator[tuple[_Pair, _Match]]]] = [
        ("image-id", _equal_ids(a, b) if one_set else iter(())),
        ("file-name", _equal_names(a, b) if names else iter(())),
        ("image-bytes", _equal_bytes(a, b)),
        ("near-duplicate", _copied(a, b)),
        ("near-duplicate", _moved(a, b)),
        ("instance", _same_people(a, b)),
    ]
    for kind, matches in checks:
        if kind not in skip:
            for pair, match in matches:
                found.setdefault(pair, match)
    leaks = [] if "group" in skip else list(_equal_groups(a, b))
    for (row, column), match in sorted(
        found.items(), key=lambda item: (KINDS.index(item[1].kind), item[0])
    ):
        place = a.image(row), b.image(column)
        leaks.append(Leak(match.kind, match.message, *place, match.instances))
    return leaks


def _equal_groups(a: Side, b: Side) -> Iterator[Leak]:
    rows, columns = _first_of(a.groups), _first_of(b.groups)
    for group in sorted(set(rows) & set(columns)):
        places = a.image(rows[group]), b.image(columns[group])
        yield Leak("group", f"group {group!r} is on both sides", *places)


def equal_clips(a: Side, b: Side) -> dict[str, Leak]:
    """A leak for each clip of both sides whose images have no group in common.

    Groups are what a manifest says; this is what the records themselves say.
    """
    rows, columns = _first_of(a.dataset.images.clips), _first_of(b.dataset.images.clips)
    told = set(_first_of(a.groups)) & set(_first_of(b.groups))
    found = {}
    for clip in sorted(set(rows) & set(columns) - told):
        places = a.image(rows[clip]), b.image(columns[clip])
        found[clip] = Leak("group", f"clip {clip!r} is on both sides", *places)
    return found


def _first_of(names: tuple[str | None, ...]) -> dict[str, int]:
    """The first row of each name."""
    named = [(one_text(name), row) for row, name in enumerate(names) if name is not None]
    return dict(reversed(named))


def _matches(
    left: Iterable[object], right: Iterable[object], match: _Match
) -> Iterator[tuple[_Pair, _Match]]:
    """Pairs of rows whose keys are equal; None equals nothing."""
    rows: dict[object, list[int]] = defaultdict(list)
    for row, key in enumerate(left):
        if key is not None:
            rows[key].append(row)
    for column, key in enumerate(right):
        if key is not None:
            for row in rows.get(key, ()):
                yield (row, column), match


def _equal_ids(a: Side, b: Side) -> Iterator[tuple[_Pair, _Match]]:
    match = _Match("image-id", "the same image id")
    return _matches(a.dataset.images.ids.tolist(), b.dataset.images.ids.tolist(), match)


def _equal_names(a: Side, b: Side) -> Iterator[tuple[_Pair, _Match]]:
    match = _Match("file-name", "the same file name")
    left, right = (map(one_name, side.dataset.images.file_names) for side in (a, b))
    return _matches(left, right, match)


def _equal_bytes(a: Side, b: Side) -> Iterator[tuple[_Pair, _Match]]:
    match = _Match("image-bytes", "the same image, byte for byte")
    return _matches(a.sha256 or (), b.sha256 or (), match)


def _copied(a: Side, b: Side) -> Iterator[tuple[_Pair, _Match]]:
    for row, column, mirrored in zip(*copies(a.prints or [], b.prints or []), strict=True):
        how = "mirrored" if mirrored else "saved again or scaled"
        yield (
            (int(row), int(column)),
            _Match("near-duplicate", f"the same picture, {how}"),
        )


def _people(a: Side, b: Side) -> Iterator[tuple[People, People, str]]:
    """Both sides' people in the keypoints that they share, plain and mirrored."""
    shared = tuple(n for n in a.dataset.schema.names if n in b.dataset.schema.names)
    if len(shared) < ENOUGH_POINTS:
        return
    left, right = people_of(a.dataset, shared), people_of(b.dataset, shared)
    yield left, right, ""
    yield left, right.mirrored(), ", mirrored"


def _same_people(a: Side, b: Side) -> Iterator[tuple[_Pair, _Match]]:
    for left, right, how in _people(a, b):
        pairs: dict[_Pair, list[_Pair]] = defaultdict(list)
        for row, column in zip(*same_poses(left, right), strict=True):
            images = int(left.image[row]), int(right.image[column])
            pairs[images].append((int(left.ids[row]), int(right.ids[column])))
        for images, ids in pairs.items():
            listed = ", ".join(f"{i} and {j}" for i, j in ids[:3])
            more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
            message = f"the same instance: annotations {listed}{more} have one pose{how}"
            yield images, _Match("instance", message, tuple(ids))


def _moved(a: Side, b: Side) -> Iterator[tuple[_Pair, _Match]]:
    pictured = a.prints is not None and b.prints is not None
    for left, right, how in _people(a, b):
        frames = _frames(left, right)
        far = _distances(a, b, [key for key, _, _, _ in frames], mirrored=bool(how))
        for (images, ids, share, error), distance in zip(frames, far, strict=True):
            if _one_frame(len(ids), share, error, distance if pictured else None):
                seen = f", pictures {distance:.2f} apart" if pictured else ""
                message = (
                    f"nearly the same frame{how}: {len(ids)} people ({share:.0%}) stand in "
                    f"nearly the same places and poses{seen}"
                )
                yield images, _Match("near-duplicate", message, ids)


def _one_frame(people: int, share: float, error: float, distance: float | None) -> bool:
    """Whether two frames show one moment, by how many people agree and how well."""
    if people == 1:
        alone = share == 1 and error <= ALONE_ERROR
        return alone and distance is not None and distance <= ALONE_NEAR
    if distance is None:
        return share >= CLEAR_SHARE
    limit = CLEAR_NEAR if share >= CLEAR_SHARE else NEAR
    return share >= SHARE and distance <= limit


def _frames(a: People, b: People) -> list[tuple[_Pair, tuple[_Pair, ...], float, float]]:
    """Pairs of images with people in the same places: ids, share and mean error."""
    rows, columns = moved_people(a, b)
    errors, _ = pose_error(a, b, rows, columns)
    people: dict[_Pair, list[tuple[float, int, int]]] = defaultdict(list)
    for row, column, error in zip(rows.tolist(), columns.tolist(), errors, strict=True):
        people[int(a.image[row]), int(b.image[column])].append((float(error), row, column))
    fuller_a = np.bincount(a.image, minlength=1 + int(a.image.max(initial=0)))
    fuller_b = np.bincount(b.image, minlength=1 + int(b.image.max(initial=0)))
    frames = []
    for images, found in people.items():
        taken_a: set[int] = set()
        taken_b: set[int] = set()
        ids: list[_Pair] = []
        total = 0.0
        for error, row, column in sorted(found):
            if row not in taken_a and column not in taken_b:
                taken_a.add(row)
                taken_b.add(column)
                ids.append((int(a.ids[row]), int(b.ids[column])))
                total += error
        share = len(ids) / max(int(fuller_a[images[0]]), int(fuller_b[images[1]]))
        if share >= SHARE:
            frames.append((images, tuple(ids), share, total / len(ids)))
    return frames


def _distances(a: Side, b: Side, pairs: list[_Pair], *, mirrored: bool) -> list[float]:
    """Block distances of pairs of pictures; 0 where there are no pictures."""
    if a.prints is None or b.prints is None:
        return [0.0] * len(pairs)
    result: list[float] = []
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        one: NDArray[np.uint8] = np.stack([a.prints[i].thumbnail for i, _ in part])
        two: NDArray[np.uint8] = np.stack([b.prints[j].thumbnail for _, j in part])
        result += distances(one, two[:, :, ::-1] if mirrored else two).tolist()
    return result
