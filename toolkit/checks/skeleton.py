"""Fields of a category beside its keypoints: skeleton, sigmas, flip pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from toolkit.checks.base import ERROR, WARNING, Check, Hits, Subject, everywhere

SIGMAS = ("sigmas", "keypoint_sigmas", "oks_sigmas")
FLIPS = ("flip_pairs", "flip_index", "flip_idx")


def _hits(subject: Subject, found: Mapping[int, str], summary: str, field: str) -> Hits:
    rows = np.array(sorted(found), dtype=np.int64)
    return Hits("categories", rows, found.__getitem__, summary, field)


def _records(subject: Subject) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Row of `Subject.categories` and fields of each category that names keypoints."""
    if subject.facts is None:
        return
    fields = dict(subject.facts.records("categories"))
    for row, category in enumerate(subject.categories):
        if category.keypoints and category.index in fields:
            yield row, fields[category.index]


def _edges(subject: Subject) -> Iterator[Hits]:
    found = {}
    for row, category in enumerate(subject.categories):
        pairs = Counter((min(e), max(e)) for e in category.skeleton)
        bad = [e for e, number in pairs.items() if number > 1 or e[0] == e[1]]
        if bad:
            named = " to ".join(f"'{category.keypoints[end - 1]}'" for end in bad[0])
            how = "joins a keypoint to itself" if bad[0][0] == bad[0][1] else "stands twice"
            more = f" ({len(bad)} such edges)" if bad[1:] else ""
            found[row] = f"the edge {named} {how}{more}"
    yield _hits(subject, found, "edge to itself, or twice", "skeleton")


def _sigmas(subject: Subject) -> Iterator[Hits]:
    for field in SIGMAS:
        found = {}
        for row, record in _records(subject):
            wanted = len(subject.categories[row].keypoints)
            if field in record and not _is_sigmas(record[field], wanted):
                found[row] = (
                    f"{_said(record[field])}; wanted {wanted} numbers above 0, one for each "
                    "keypoint"
                )
        if found:
            yield _hits(subject, found, "unusable sigmas", field)


def _is_sigmas(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(
            isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf
            for v in value
        )
    )


def _said(value: object) -> str:
    if not isinstance(value, list):
        return "no list"
    bad = [v for v in value if not _is_sigmas([v], 1)]
    return f"{len(value)} entries" + (f", one of them {bad[0]!r}" if bad else "")


def _flips(subject: Subject) -> Iterator[Hits]:
    for field in FLIPS:
        found = {}
        for row, record in _records(subject):
            if field in record:
                names = subject.categories[row].keypoints
                fault = (_pairs if field == "flip_pairs" else _index)(record[field], names)
                if fault:
                    found[row] = f"{fault}; mirroring twice must give the same keypoints"
        if found:
            yield _hits(subject, found, "unusable flip partners", field)


def _pairs(value: object, names: tuple[str, ...]) -> str | None:
    """What is wrong with a list of pairs (0-based indices or names), or None."""
    if not isinstance(value, list):
        return "no list of pairs"
    seen: set[object] = set()
    known = set(range(len(names))) | set(names)
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
            return f"{pair!r} is no pair of two keypoints"
        for end in pair:
            if isinstance(end, bool) or not isinstance(end, int | str) or end not in known:
                return f"{end!r} is no keypoint's name or index (0 to {len(names) - 1})"
            if end in seen:
                return f"{end!r} is in two pairs"
            seen.add(end)
    return None


def _index(value: object, names: tuple[str, ...]) -> str | None:
    """What is wrong with a list of partners (0-based), or None."""
    if not isinstance(value, list) or len(value) != len(names):
        return f"no list of {len(names)} indices"
    for at, partner in enumerate(value):
        if isinstance(partner, bool) or not isinstance(partner, int):
            return f"{partner!r} is no index"
        if not 0 <= partner < len(names) or value[partner] != at:
            return f"keypoint {at} flips to {partner}, which does not flip back"
    return None


SKELETON_EDGE = Check(
    "skeleton-edge",
    "An edge of the skeleton joins two different keypoints, and stands once.",
    everywhere(WARNING),
    _edges,
    family="structure",
    repair="Remove the edge.",
)
CATEGORY_SIGMAS = Check(
    "category-sigmas",
    "A category's sigmas are one number above 0 for each keypoint: OKS divides by them.",
    everywhere(ERROR),
    _sigmas,
    needed_to_evaluate=True,
    family="structure",
    repair="Write one sigma for each keypoint, or leave the field out.",
)
CATEGORY_FLIP = Check(
    "category-flip",
    "Flip partners name each other: left becomes right and right becomes left, and a "
    "keypoint has one partner.",
    everywhere(ERROR),
    _flips,
    family="structure",
    repair="List each pair once; a keypoint in the middle of the body has no pair.",
)
