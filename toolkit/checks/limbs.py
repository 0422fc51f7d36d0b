"""Bodies that cannot be: limbs out of all proportion, and sides that were swapped.

Pictures foreshorten, people bend, and small people are labelled coarsely. So each rule
asks for several signs at once, and fires on fewer than one in a thousand people of
CrowdPose's validation file. Lengths and sides are those of the schema.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.anatomy import limbs, named
from toolkit.checks.base import WARNING, Check, Hits, Subject, everywhere

Floats = NDArray[np.float64]

LONGEST = 2.5  # a limb in lengths of the longest limb that shares no keypoint with it
OTHERS = 4  # limbs to compare with
SHOULDERS, HIPS = 0.35, 0.25  # of the torso: a width that shows which side is which
EYES = 0.1  # of the torso: eyes as far apart as this show which way a face looks
_BLOCK = 4096  # instances at a time: they stay in the processor's cache


def _length(subject: Subject) -> Iterator[Hits]:
    schema = subject.dataset.schema
    edges = limbs(schema)
    worst = np.zeros(len(subject.dataset.annotations))
    which = np.zeros(len(worst), np.int64)
    people = np.flatnonzero(subject.labelled_body > OTHERS)
    for begin in range(0, len(people) if edges else 0, _BLOCK):
        block = people[begin : begin + _BLOCK]
        squares = _squares(subject.xy.take(block, axis=2), edges)
        at = _uneven(squares, edges)
        ratio = _ratios(squares[:, at], edges)
        worst[block[at]], which[block[at]] = ratio.max(axis=0), ratio.argmax(axis=0)

    def describe(row: int) -> str:
        start, end = (schema.names[k] for k in edges[which[row]])
        return (
            f"{start} to {end} is {worst[row] ** 0.5:.1f} times as long as any limb that does "
            "not touch it; is a keypoint on another person?"
        )

    rows = np.flatnonzero(worst > LONGEST**2)
    yield Hits("annotations", rows, describe, "impossible limb", "keypoints")


def _squares(xy: Floats, edges: tuple[tuple[int, int], ...]) -> Floats:
    """(E, N) squared lengths; NaN where an end is not labelled."""
    squares = np.empty((len(edges), xy.shape[2]))
    for row, (start, end) in enumerate(edges):  # one at a time, the gaps stay in the cache
        across, down = xy[:, start] - xy[:, end]
        np.add(across * across, down * down, out=squares[row])
    return squares


def _uneven(squares: Floats, edges: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """Instances that may have a long limb: as few limbs are long as touch one another."""
    touching = max(sum(bool(set(a) & set(b)) for b in edges) for a in edges)
    longest = np.fmax.reduce(squares, axis=0)
    long = np.count_nonzero(squares * LONGEST**2 >= longest, axis=0)
    return np.flatnonzero((long <= touching) & (longest > 0))


def _ratios(squares: Floats, edges: tuple[tuple[int, int], ...]) -> Floats:
    """(E, N) each limb's length over the longest that shares no keypoint, squared."""
    ratios = np.zeros_like(squares)
    for row, edge in enumerate(edges):
        apart = [i for i, other in enumerate(edges) if not set(other) & set(edge)]
        if len(apart) < OTHERS:
            continue
        others = squares[apart]
        longest = np.fmax.reduce(others, axis=0)
        enough = np.count_nonzero(others > 0, axis=0) >= OTHERS
        usable = enough & np.isfinite(squares[row])
        np.divide(squares[row], longest, out=ratios[row], where=usable)
    return ratios


def _torso(subject: Subject) -> tuple[Floats, Floats, Floats] | None:
    """Length of the torso in px, and shoulders' and hips' left minus right x in torsos."""
    found = named(
        subject.dataset.schema, "left_shoulder", "right_shoulder", "left_hip", "right_hip"
    )
    if found is None:
        return None
    shoulder, other_shoulder, hip, other_hip = (subject.xy[:, k] for k in found)
    spine = (shoulder + other_shoulder - hip - other_hip) / 2
    length = np.hypot(spine[0], spine[1])
    known = length > 0
    unit = np.where(known, length, np.nan)
    return (
        np.asarray(length),
        np.asarray((shoulder - other_shoulder)[0] / unit),
        np.asarray((hip - other_hip)[0] / unit),
    )


def _crossed(subject: Subject) -> Iterator[Hits]:
    torso = _torso(subject)
    if torso is None:
        return
    _, shoulders, hips = torso
    wrong = (np.abs(shoulders) > SHOULDERS) & (np.abs(hips) > HIPS)
    wrong &= shoulders * hips < 0

    def describe(row: int) -> str:
        side = "right" if shoulders[row] > 0 else "left"
        other = "left" if shoulders[row] > 0 else "right"
        return (
            f"left_shoulder lies to the {side} of right_shoulder, left_hip to the {other} of "
            "right_hip; one pair was labelled the wrong way round"
        )

    yield Hits("annotations", np.flatnonzero(wrong), describe, "sides crossed", "keypoints")


def _swapped(subject: Subject) -> Iterator[Hits]:
    torso = _torso(subject)
    face = named(subject.dataset.schema, "nose", "left_eye", "right_eye")
    if torso is None or face is None:
        return
    length, shoulders, hips = torso
    nose, left_eye, right_eye = (subject.xy[:, k] for k in face)
    # A face that is seen, above its hips, has its left eye on the picture's right.
    seen = (subject.dataset.annotations.visibility[:, list(face)] == 2).all(axis=1)
    hip = named(subject.dataset.schema, "left_hip", "right_hip") or (0, 0)
    drop = (subject.xy[1, hip[0]] + subject.xy[1, hip[1]]) / 2 - nose[1]
    upright = drop > 0.8 * length
    eyes = np.divide(left_eye[0] - right_eye[0], length, where=length > 0, out=0 * length)
    eyes[~np.isfinite(eyes)] = 0
    mirrored = (eyes < -EYES) & (shoulders < -SHOULDERS) & (hips < 0)
    contrary = (eyes > EYES) & (shoulders < -SHOULDERS) & (hips < -HIPS)

    def describe(row: int) -> str:
        if eyes[row] < 0:
            return (
                "the face is seen, and left eye, shoulder and hip lie on the picture's left: "
                "left and right seem swapped in the whole body"
            )
        return "the face looks at the camera, shoulders and hips away from it: sides swapped?"

    rows = np.flatnonzero(seen & upright & (mirrored | contrary))
    yield Hits("annotations", rows, describe, "left and right swapped", "keypoints")


LIMB_LENGTH = Check(
    "limb-length",
    "No limb is 2.5 times as long as every limb that shares no keypoint with it: then a "
    "keypoint lies on another person, or far off.",
    everywhere(WARNING),
    _length,
    family="keypoints",
    repair="Look at the two keypoints in the picture and move the one that is off.",
)
SIDES_CROSSED = Check(
    "sides-crossed",
    "Shoulders and hips agree on which side is left: seen widely in opposite orders, one "
    "pair was labelled the wrong way round.",
    everywhere(WARNING),
    _crossed,
    family="keypoints",
    repair="Swap left and right in the pair that is wrong.",
)
SIDES_SWAPPED = Check(
    "sides-swapped",
    "Somebody upright whose face is seen has the left eye, shoulder and hip on the "
    "picture's right; the reverse means that left is the person's and not the viewer's.",
    everywhere(WARNING),
    _swapped,
    family="keypoints",
    repair="Swap left and right in the whole body: left is the person's own left.",
)
