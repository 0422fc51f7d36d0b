"""Checking a frozen split: its files against the manifest, and its sides for leaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from toolkit import formats
from toolkit.dataset import Dataset
from toolkit.errors import ReadError, ToolkitError, counted
from toolkit.files import sha256_bytes
from toolkit.imagehash import fingerprints
from toolkit.images import resolve_images
from toolkit.parallel import Progress
from toolkit.split.leaks import Leak, Side, equal_clips, find_leaks
from toolkit.split.manifest import Manifest, Part, read_manifest
from toolkit.split.previous import LEARNT, Previous, may_move


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        altered: What is no longer as the manifest says, in words.
        leaks: Every leak.
        notes: What could not be checked, or only in part.
        compared: Names of the pairs of sides that were compared.
    """

    altered: tuple[str, ...]
    leaks: tuple[Leak, ...]
    notes: tuple[str, ...]
    compared: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.altered and not self.leaks


@dataclass(frozen=True)
class Other:
    """Another data set to look for the split's images and people in.

    Attributes:
        dataset: What it holds.
        images: Folder of its images, or None.
    """

    dataset: Dataset
    images: Path | None = None


def verify_split(
    folder: Path,
    *,
    images: Path | None = None,
    against: Other | None = None,
    previous: Previous | None = None,
    skip: frozenset[str] = frozenset(),
    progress: Progress | None = None,
) -> Verdict:
    """Check a split.

    Args:
        folder: What `toolkit split` wrote.
        images: Folder of its images, to compare pictures and not only annotations.
        against: Another data set, compared with every split.
        previous: A former version: what it held out must not be in train now.
        skip: Kinds of leak not to look for.
        progress: Called with (done, total) images that were read.

    Raises:
        ReadError: The manifest or a file cannot be read.
        InvalidDataError: It is no split, or images are missing.
    """
    manifest = read_manifest(folder)
    altered, sides = [], []
    for name, part in manifest.parts.items():
        problem, dataset = _part(folder, manifest, part)
        altered += problem
        if dataset is not None:
            side, changed = _side(name, dataset, part, images, progress)
            sides.append(side)
            altered += changed
    leaks: list[Leak] = []
    compared = []
    torn: set[str] = set()

    def compare_clips(one: Side, two: Side, *, by_frame: bool) -> None:
        clips = equal_clips(one, two)
        if by_frame:
            torn.update(clips)
        elif "group" not in skip:
            leaks.extend(clips.values())

    for one, two in combinations(sides, 2):
        leaks += find_leaks(one, two, skip=skip)
        compare_clips(one, two, by_frame=manifest.by_frame)
        compared.append((one.name, two.name))
    if against is not None:
        other = _other(against, manifest.group, progress)
        for side in sides:
            pictures = side.prints is not None and other.prints is not None
            leaks += find_leaks(side, other, one_set=False, names=not pictures, skip=skip)
            compare_clips(side, other, by_frame=False)
            compared.append((side.name, other.name))
    if previous is not None:
        by_frame = manifest.by_frame or previous.manifest.by_frame
        for former, side in _against_previous(sides, previous):
            leaks += find_leaks(former, side, one_set=False, skip=skip)
            compare_clips(former, side, by_frame=by_frame)
            compared.append((former.name, side.name))
    notes = [*_notes(images, against), *_torn(torn)]
    return Verdict(tuple(altered), tuple(leaks), tuple(notes), tuple(compared))


def _torn(clips: set[str]) -> Iterator[str]:
    if clips:
        yield (
            f"{counted(len(clips), 'clip')} on more than one side, the first {min(clips)!r}: "
            "this split was made by frame, and a test on it measures memory"
        )


def _notes(images: Path | None, against: Other | None) -> Iterator[str]:
    if images is None:
        yield "pictures were not compared; pass --images DIR to find copies by their pixels"
    elif against is not None and against.images is None:
        yield (
            "pictures of the other data set were not compared; pass --against-images DIR. "
            "Without them equal file names count"
        )


def _part(folder: Path, manifest: Manifest, part: Part) -> tuple[list[str], Dataset | None]:
    path = folder / part.file
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [f"{part.file}: missing; the manifest names it"], None
    except OSError as error:
        raise ReadError(f"{path}: cannot read it: {error.strerror}") from error
    problems = []
    if sha256_bytes(content) != part.sha256:
        problems.append(
            f"{part.file}: SHA-256 {sha256_bytes(content)[:16]}..., the manifest says "
            f"{part.sha256[:16]}..."
        )
    try:
        dataset = formats.read(path, manifest.schema)
    except ToolkitError as error:
        if not problems:
            raise
        return [*problems, f"{part.file}: cannot be read any more: {error}"], None
    listed = {(entry.id, entry.file_name) for entry in part.images}
    held = set(zip(dataset.images.ids.tolist(), dataset.images.file_names, strict=True))
    for image, name in sorted(held - listed)[:20]:
        problems.append(f"{part.file}: image id={image} {name!r} is not in the manifest")
    for image, name in sorted(listed - held)[:20]:
        problems.append(f"{part.file}: image id={image} {name!r} of the manifest is gone")
    return problems, dataset


def _side(
    name: str, dataset: Dataset, part: Part, images: Path | None, progress: Progress | None
) -> tuple[Side, list[str]]:
    entries = {(entry.id, entry.file_name): entry for entry in part.images}
    keys = zip(dataset.images.ids.tolist(), dataset.images.file_names, strict=True)
    known = [entries.get(key) for key in keys]
    clips = dataset.images.clips
    groups = tuple(c if e is None else e.group for e, c in zip(known, clips, strict=True))
    hashes = tuple(None if e is None else e.sha256 for e in known)
    if images is None:
        return Side(name, dataset, groups, hashes), []
    ids = [int(image) for image in dataset.images.ids]
    paths = resolve_images(images, dataset.images.file_names, ids)
    prints = fingerprints(paths, progress=progress)
    altered = [
        f"image id={image} {file!r}: another picture than when the split was frozen"
        for image, file, old, new in zip(
            ids, dataset.images.file_names, hashes, prints, strict=True
        )
        if old is not None and old != new.sha256
    ]
    return Side(name, dataset, groups, tuple(p.sha256 for p in prints), prints), altered


def _other(against: Other, group: str, progress: Progress | None) -> Side:
    from toolkit.split.groups import plain_values

    dataset = against.dataset
    values = plain_values(dataset, group)
    name = dataset.name
    if against.images is None:
        return Side(name, dataset, values)
    ids = [int(image) for image in dataset.images.ids]
    names = dataset.images.file_names
    paths = resolve_images(against.images, names, ids, option="--against-images")
    prints = fingerprints(paths, progress=progress)
    return Side(name, dataset, values, tuple(p.sha256 for p in prints), prints)


def _against_previous(sides: list[Side], previous: Previous) -> Iterator[tuple[Side, Side]]:
    """A former held-out side with each side of now that may not hold anything of it."""
    for old, part in previous.manifest.parts.items():
        if old == LEARNT:
            continue
        former, _ = _side(f"former {old}", previous.part(old), part, None, None)
        for side in sides:
            if not may_move(old, side.name):
                yield former, side
