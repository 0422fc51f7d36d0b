"""Sticks: the order of their points, their length, and whose they are.

Every rule takes its points from the schema (see `anatomy`), so that it works for rackets,
bats and poles, too. Lengths are compared with the longer side of the person's box: a stick
held towards the camera looks short, never long. The limits were set on practice data, of
which fewer than one in a thousand reach them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.anatomy import Stick, containing, sticks
from toolkit.checks.base import INFO, WARNING, Check, Hits, Subject, everywhere
from toolkit.checks.pairs import same_image_pairs

Floats = NDArray[np.float64]

LONGEST = 3.0  # a stick in longer sides of the box; practice data reach 1.7
CLEAR = 0.6  # from this length on, a stick is seen well enough to judge its shape
PLAIN = 0.9  # from this length on, heel and toe can be told apart
HEEL_FROM, HEEL_TO = 0.4, 1.05  # place of the heel from butt end (0) to toe (1)
BEND = 0.12  # distance of a middle point from the shaft, in lengths of the shaft
REACH = 0.5  # distance of the shaft from both wrists, in longer sides of the box
SAME = 0.02  # distance of two sticks' points, in lengths of the stick


def _points(subject: Subject, keypoints: tuple[int, ...]) -> Floats:
    """(P, N, 2) keypoints of a path."""
    return np.stack([subject.xy[:, k].T for k in keypoints])


def _lengths(points: Floats) -> Floats:
    """(N,) length of a path; NaN where a point is not labelled."""
    return np.asarray(np.linalg.norm(np.diff(points, axis=0), axis=2).sum(axis=0))


def _relative(subject: Subject, lengths: Floats) -> Floats:
    """Lengths in longer sides of the box; NaN where the box is unusable."""
    side = subject.dataset.annotations.bbox_xywh[:, 2:].max(axis=1, initial=0)
    return np.asarray(np.where(side > 0, lengths / np.where(side > 0, side, 1), np.nan))


def _along(points: Floats, position: int) -> Floats:
    """(N,) where a point of a path lies from its first point (0) to its last (1)."""
    axis = points[-1] - points[0]
    square = (axis**2).sum(axis=1)
    dot = ((points[position] - points[0]) * axis).sum(axis=1)
    return np.asarray(np.where(square > 0, dot / np.where(square > 0, square, 1), np.nan))


def _each(
    subject: Subject,
    judge: Callable[[Subject, Stick], tuple[NDArray[np.bool_], Callable[[int], str]]],
    summary: str,
) -> Iterator[Hits]:
    for stick in sticks(subject.dataset.schema):
        wrong, describe = judge(subject, stick)
        rows = np.flatnonzero(wrong)
        yield Hits("annotations", rows, describe, summary, "keypoints")


def _order(subject: Subject) -> Iterator[Hits]:
    return _each(subject, _out_of_order, "stick points out of order")


def _out_of_order(
    subject: Subject, stick: Stick
) -> tuple[NDArray[np.bool_], Callable[[int], str]]:
    points = _points(subject, stick.path)
    seen = _relative(subject, _lengths(points))
    wrong = np.zeros(points.shape[1], dtype=bool)
    where = np.full_like(seen, np.nan)
    for position in range(1, len(stick.path) - 1):
        at = _along(points, position)
        low = HEEL_FROM if position == stick.heel else 1 - HEEL_TO
        out = ((at < low) & (seen > CLEAR)) | ((at > HEEL_TO) & (seen > PLAIN))
        np.copyto(where, at, where=out & ~wrong)
        wrong |= out
    names = [f"'{subject.dataset.schema.names[k]}'" for k in stick.path]

    def describe(row: int) -> str:
        return (
            f"{', '.join(names)} are not in this order along the stick: a point between the "
            f"ends lies at {where[row]:.2f} of the way from {names[0]} to {names[-1]}"
        )

    return wrong, describe


def _length(subject: Subject) -> Iterator[Hits]:
    return _each(subject, _too_long, "stick too long")


def _too_long(subject: Subject, stick: Stick) -> tuple[NDArray[np.bool_], Callable[[int], str]]:
    lengths = _lengths(_points(subject, stick.path))
    relative = _relative(subject, lengths)

    def describe(row: int) -> str:
        return (
            f"the stick is {lengths[row]:.0f} px long, {relative[row]:.1f} times the longer "
            f"side of the box; up to {LONGEST:g} is plausible"
        )

    return relative > LONGEST, describe


def _straightness(subject: Subject) -> Iterator[Hits]:
    return _each(subject, _bent, "shaft not straight")


def _bent(subject: Subject, stick: Stick) -> tuple[NDArray[np.bool_], Callable[[int], str]]:
    points = _points(subject, stick.shaft)
    axis = points[-1] - points[0]
    length = np.linalg.norm(axis, axis=1)
    seen = _relative(subject, length) > CLEAR
    worst: Floats = np.zeros_like(length)
    for inner in points[1:-1]:
        offset = inner - points[0]
        cross = np.abs(axis[:, 0] * offset[:, 1] - axis[:, 1] * offset[:, 0])
        share = np.where(seen, cross / np.where(length > 0, length, 1) ** 2, 0)
        np.fmax(worst, share, out=worst)

    def describe(row: int) -> str:
        return (
            f"a point of the shaft lies {worst[row]:.0%} of its length beside the line "
            f"between its ends; up to {BEND:.0%} is plausible"
        )

    return worst > BEND, describe


def _incomplete(subject: Subject) -> Iterator[Hits]:
    return _each(subject, _in_part, "only part of the stick labelled")


def _in_part(subject: Subject, stick: Stick) -> tuple[NDArray[np.bool_], Callable[[int], str]]:
    labelled = subject.dataset.annotations.labelled[:, stick.path]
    count = np.count_nonzero(labelled, axis=1)

    def describe(row: int) -> str:
        return f"{count[row]} of the stick's {len(stick.path)} keypoints are labelled"

    return (count > 0) & (count < len(stick.path)), describe


def _hands(subject: Subject) -> Iterator[Hits]:
    return _each(subject, _out_of_reach, "stick far from both hands")


def _out_of_reach(
    subject: Subject, stick: Stick
) -> tuple[NDArray[np.bool_], Callable[[int], str]]:
    wrists = containing(subject.dataset.schema, "wrist")
    points = _points(subject, stick.shaft)
    # All wrists must be labelled: the hand that holds the stick may be the hidden one.
    away = np.full((max(1, len(wrists)), points.shape[1]), np.nan)
    for row, wrist in enumerate(wrists):
        hand = subject.xy[:, wrist].T
        away[row] = _distance(hand, points[0], points[-1])
    nearest = _relative(subject, away.min(axis=0))

    def describe(row: int) -> str:
        return (
            f"the shaft passes the nearer wrist at {nearest[row]:.1f} times the longer side of "
            "the box; is it another player's stick?"
        )

    return nearest > REACH, describe


def _distance(point: Floats, start: Floats, end: Floats) -> Floats:
    """(N,) distance of points from segments."""
    axis = end - start
    square = (axis**2).sum(axis=1)
    share = ((point - start) * axis).sum(axis=1) / np.where(square > 0, square, 1)
    foot = start + np.clip(share, 0, 1)[:, None] * axis
    return np.asarray(np.linalg.norm(point - foot, axis=1))


def _shared(subject: Subject) -> Iterator[Hits]:
    for stick in sticks(subject.dataset.schema):
        points = _points(subject, stick.path)
        length = _lengths(points)
        first, second = same_image_pairs(subject, touching=False)
        gap = np.linalg.norm(points[:, first] - points[:, second], axis=2).max(axis=0)
        longer = np.fmax(length[first], length[second])
        # Points of two sticks that were labelled apart differ by more than a pixel or two.
        same = (longer > 0) & (gap <= np.fmax(SAME * longer, 1.0))
        partner = dict(zip(second[same].tolist(), first[same].tolist(), strict=True))

        def describe(row: int, partner: dict[int, int] = partner) -> str:
            other = subject.index("annotations", partner[row])
            return f"annotations[{other}] has the same stick; one stick has one holder"

        rows = np.array(sorted(partner), dtype=np.int64)
        yield Hits("annotations", rows, describe, "stick shared by two people", "keypoints")


STICK_ORDER = Check(
    "stick-order",
    "The points of a stick follow one another from the hand's end to the far end: a heel "
    "lies between butt end and toe, nearer the toe. Judged only where the stick is seen at "
    "nearly full length.",
    everywhere(WARNING),
    _order,
    family="sticks",
    repair="Look at the picture and swap the points that were mixed up.",
)
STICK_LENGTH = Check(
    "stick-length",
    "A stick is at most three times as long as the longer side of its holder's box.",
    everywhere(WARNING),
    _length,
    family="sticks",
    repair="Look for a point on another player's stick, or for a box that is too small.",
)
STICK_BENT = Check(
    "stick-bent",
    "Points of a shaft lie on one line, where a schema has any between its ends.",
    everywhere(WARNING),
    _straightness,
    family="sticks",
    repair="Move the middle point on to the line between the shaft's ends.",
)
STICK_INCOMPLETE = Check(
    "stick-incomplete",
    "Some points of a stick are labelled and others are not; ordinary where the rest "
    "cannot be known, and lost to every rule about sticks.",
    everywhere(INFO),
    _incomplete,
    family="sticks",
)
STICK_OUT_OF_REACH = Check(
    "stick-out-of-reach",
    "A stick passes near one of its holder's hands, where both wrists are labelled.",
    everywhere(WARNING),
    _hands,
    family="sticks",
    repair="Give the stick to the person who holds it, or leave a dropped stick unlabelled.",
)
STICK_SHARED = Check(
    "stick-shared",
    "Two people of one image do not have the same stick: one of them was given the other's.",
    everywhere(WARNING),
    _shared,
    family="sticks",
    repair="Remove the stick from the person who does not hold it.",
)
