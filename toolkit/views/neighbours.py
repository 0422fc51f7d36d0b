"""Groups of pictures that look like one another, or are one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.imagehash import fingerprints, near


def near_groups(
    paths: Sequence[Path],
    clips: Sequence[str | None],
    progress: Callable[[int, int], None] | None = None,
) -> list[int | None]:
    """The number of each picture's group, from 1 in the order of the first picture.

    Neighbouring frames of a clip look alike by nature: within a clip only equal files count.

    Args:
        paths: I image files.
        clips: I clips, None for none.
        progress: Called with (done, total) pictures.

    Returns:
        I numbers, None for a picture that is like no other.
    """
    prints = fingerprints(paths, progress=progress)
    parent = list(range(len(prints)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    pairs = [(pair.first, pair.second) for pair in near(prints, first_groups=clips)]
    first_of: dict[str, int] = {}
    for row, each in enumerate(prints):
        pairs.append((first_of.setdefault(each.sha256, row), row))
    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    roots = [root(at) for at in range(len(parent))]
    shared = sorted(at for at, count in Counter(roots).items() if count > 1)
    number = {at: place for place, at in enumerate(shared, start=1)}
    return [number.get(at) for at in roots]
