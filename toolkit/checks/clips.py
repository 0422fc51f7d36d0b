"""Clips and frames: what a split by clip, and everything about motion, relies on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.base import ERROR, WARNING, Check, Hits, Subject, everywhere
from toolkit.images import one_text


def _hits(rows: list[int], describe: object, summary: str, field: str) -> Hits:
    section: Literal["images"] = "images"
    assert callable(describe)
    return Hits(section, np.array(rows, dtype=np.int64), describe, summary, field)


def _has_clips(subject: Subject) -> bool:
    return any(clip is not None for clip in subject.dataset.images.clips)


def _frames(subject: Subject) -> Iterator[Hits]:
    images = subject.dataset.images
    earlier: dict[int, int] = {}
    if _has_clips(subject):
        first: dict[tuple[str, int], int] = {}
        for row, (clip, frame) in enumerate(
            zip(images.clips, images.frames.tolist(), strict=True)
        ):
            key = "" if clip is None else one_text(clip), frame
            if clip is not None and frame >= 0 and first.setdefault(key, row) != row:
                earlier[row] = first[key]

    def describe(row: int) -> str:
        at = subject.index("images", earlier[row])
        return f"frame {images.frames[row]} of clip '{images.clips[row]}' is images[{at}], too"

    yield _hits(sorted(earlier), describe, "frame number repeated in its clip", "frame")


def _no_frame(subject: Subject) -> Iterator[Hits]:
    images = subject.dataset.images
    rows = np.flatnonzero(images.frames < 0) if _has_clips(subject) else np.zeros(0, np.int64)
    kept = [row for row in rows.tolist() if images.clips[row] is not None]

    def describe(row: int) -> str:
        return f"no frame number in clip '{images.clips[row]}'; the order in time is lost"

    yield _hits(_told(subject, kept, "frame"), describe, "no frame number", "frame")


def _no_clip(subject: Subject) -> Iterator[Hits]:
    clips = subject.dataset.images.clips
    rows = [row for row, clip in enumerate(clips) if clip is None]
    if len(rows) == len(clips):
        rows = []
    with_clip = len(clips) - len(rows)

    def describe(row: int) -> str:
        return f"no clip, and {with_clip:,} other images have one; a split cannot place it"

    yield _hits(_told(subject, rows, "clip"), describe, "no clip", "clip")


def _told(subject: Subject, rows: list[int], field: str) -> list[int]:
    mask = np.zeros(len(subject.dataset.images), dtype=bool)
    mask[rows] = True
    return [int(row) for row in subject.unreported("images", mask, field)]


def _first_of_clip(
    subject: Subject, usable: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """(I,) row of the first (usable) image of each image's clip; its own without one."""
    names = [None if c is None else one_text(c) for c in subject.dataset.images.clips]
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if name is not None and (usable is None or usable[row]):
            first.setdefault(name, row)
    return np.array(
        [row if name is None else first.get(name, row) for row, name in enumerate(names)],
        dtype=np.int64,
    )


def _sizes(subject: Subject) -> Iterator[Hits]:
    if not _has_clips(subject):
        return
    sizes = subject.dataset.images.size_wh
    known = np.asarray((sizes > 0).all(axis=1))
    first = _first_of_clip(subject, known)
    wrong = np.asarray((sizes != sizes[first]).any(axis=1) & known)

    def describe(row: int) -> str:
        (width, height), (w, h) = sizes[row], sizes[first[row]]
        return f"{width} x {height} px, but its clip begins with {w} x {h} px"

    yield _hits(np.flatnonzero(wrong).tolist(), describe, "size unlike its clip's", "width")


def _splits(subject: Subject) -> Iterator[Hits]:
    if subject.facts is None or subject.image_index is None or not _has_clips(subject):
        return
    splits = [subject.facts.splits[index] for index in subject.image_index.tolist()]
    clips, first = subject.dataset.images.clips, _first_of_clip(subject)
    rows = [row for row, at in enumerate(first.tolist()) if splits[row] != splits[at]]

    def describe(row: int) -> str:
        return (
            f"clip '{clips[row]}' is in split '{splits[first[row]]}' and in '{splits[row]}': "
            "frames of one clip are nearly the same picture"
        )

    yield _hits(rows, describe, "clip in two splits", "split")


FRAME_DUPLICATE = Check(
    "frame-duplicate",
    "A frame number stands once in a clip: a second image with it is a copy, or misplaced.",
    everywhere(WARNING),
    _frames,
    family="sets",
    repair="Remove the copy, or correct the frame number.",
)
FRAME_MISSING = Check(
    "frame-missing",
    "An image of a clip says which frame it is: neighbours in time are found by it.",
    everywhere(WARNING),
    _no_frame,
    family="sets",
    repair="Number the frames of each clip in order of time.",
)
CLIP_MISSING = Check(
    "clip-missing",
    "In a file with clips every image belongs to one: without it a split cannot keep an "
    "image away from its neighbours.",
    everywhere(WARNING),
    _no_clip,
    family="sets",
    repair="Give the image the clip it was taken from, or a clip of its own.",
)
CLIP_SIZE = Check(
    "clip-size",
    "All frames of a clip have one size: another one is a wrong record, or another clip.",
    everywhere(WARNING),
    _sizes,
    family="sets",
    repair="Correct width and height, or the clip.",
)
CLIP_SPLIT = Check(
    "clip-split",
    "A clip is in one split: its frames are nearly the same picture, and a model that has "
    "seen one has seen all.",
    everywhere(ERROR),
    _splits,
    family="sets",
    repair="Move the whole clip into one split, or make the split again with 'toolkit split'.",
)
