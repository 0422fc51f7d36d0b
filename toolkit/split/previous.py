"""A former version of a split: what was held out stays held out.

`train` is what models learn from; every other split is held out. What was in `train` may go
anywhere, what was in `val` may also go to `test`, and anything else that was held out stays
where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.dataset import Dataset
from toolkit.errors import ReadError, UsageError
from toolkit.files import sha256_file
from toolkit.images import one_name, one_text
from toolkit.split.manifest import NAME, Manifest, read_manifest
from toolkit.split.people import people_of, same_poses
from toolkit.split.settings import SplitSettings

LEARNT = "train"
_ORDER = (LEARNT, "val", "test")  # a group of several goes to the last


@dataclass(frozen=True)
class Previous:
    """A former version.

    Attributes:
        folder: Where it lies.
        manifest: Its manifest.
        sha256: Of the manifest.
    """

    folder: Path
    manifest: Manifest
    sha256: str

    @classmethod
    def load(cls, folder: Path) -> Previous:
        """Read it.

        Raises:
            ReadError: There is no manifest, or it cannot be read.
            InvalidDataError: It is no manifest of a split.
        """
        return cls(folder, read_manifest(folder), sha256_file(folder / NAME))

    def part(self, name: str) -> Dataset:
        """The annotations of one of its splits.

        Raises:
            ReadError: The file is gone.
        """
        from toolkit import formats

        path = self.folder / self.manifest.parts[name].file
        if not path.is_file():
            raise ReadError(f"{path}: missing; restore the former version as published")
        return formats.read(path, self.manifest.schema)

    def held_out_clips(self) -> dict[str, str]:
        """The split of each clip that was held out, whatever its images were grouped by.

        A split by frame has clips on all sides, so that none of them is held out.

        Raises:
            ReadError: A file that says the clips is gone.
        """
        clips: dict[str, str] = {}
        if self.manifest.by_frame:
            return clips
        for name, part in self.manifest.parts.items():
            if name != LEARNT:
                by_clip = self.manifest.group == "clip"
                told = (
                    (entry.group for entry in part.images)
                    if by_clip
                    else self.part(name).images.clips
                )
                for clip in told:
                    if clip is not None:
                        _raise_to(clips, one_text(clip), name)
        return clips


def may_move(old: str, new: str) -> bool:
    """Whether something of split `old` may be in split `new` of the next version."""
    return old in (new, LEARNT) or (old == "val" and new == "test")


def settled_groups(
    dataset: Dataset, groups: list[str], previous: Previous, settings: SplitSettings
) -> dict[str, str]:
    """The split of each group that the former version had, by name, images or held-out clips.

    Raises:
        UsageError: The former version has a split that is not asked for.
        ReadError: A file of the former version is gone.
    """
    missing = [name for name in previous.manifest.parts if name not in settings.fractions]
    if missing:
        raise UsageError(
            f"{previous.folder} has split '{missing[0]}', which --fractions does not name; "
            "name the same splits, or pass --break to assign all anew"
        )
    by_group: dict[str, str] = {}
    by_file: dict[str, str] = {}
    for old, part in previous.manifest.parts.items():
        for entry in part.images:
            _raise_to(by_group, one_text(entry.group), old)
            _raise_to(by_file, one_name(entry.file_name), old)
    by_clip = {} if settings.by_frame else previous.held_out_clips()
    fixed: dict[str, str] = {}
    images = dataset.images
    for group, name, clip in zip(groups, images.file_names, images.clips, strict=True):
        known = None if clip is None else by_clip.get(one_text(clip))
        for settled in (by_group.get(group), by_file.get(one_name(name)), known):
            if settled is not None:
                _raise_to(fixed, group, settled)
    return fixed


def _raise_to(split_of: dict[str, str], key: str, split: str) -> None:
    """What has been in several splits belongs to the last of them."""
    split_of[key] = max(split_of.get(key, split), split, key=_rank)


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def moved_instances(
    dataset: Dataset, of_image: NDArray[np.int64], names: list[str], previous: Previous
) -> tuple[list[str], list[str]]:
    """Images of held-out splits that would leave, by name, group or the poses in them.

    Returns:
        A description of each that would leave, and the names of those that are gone.
    """
    images = dataset.images
    now = [names[at] for at in of_image.tolist()]
    row_of = {one_name(name): row for row, name in enumerate(images.file_names)}
    moved: dict[int, str] = {}
    gone = []
    for old, part in previous.manifest.parts.items():
        if old == LEARNT:
            continue
        lost = [e.file_name for e in part.images if one_name(e.file_name) not in row_of]
        for entry in part.images:
            row = row_of.get(one_name(entry.file_name))
            if row is not None and not may_move(old, now[row]):
                moved[row] = f"{entry.file_name!r} from '{old}' to '{now[row]}'"
        if not lost:
            continue
        found = _same_people(dataset, previous.part(old))
        for row, name in found.items():
            if row not in moved and not may_move(old, now[row]):
                shown = f"{images.file_names[row]!r} (people of {name!r})"
                moved[row] = f"{shown} from '{old}' to '{now[row]}'"
        still = set(found.values())
        gone += [name for name in lost if name not in still]
    return [moved[row] for row in sorted(moved)], sorted(gone)


def _same_people(dataset: Dataset, old: Dataset) -> Mapping[int, str]:
    """Images that show people of the old data set: row, and the old image's name."""
    shared = tuple(name for name in dataset.schema.names if name in old.schema.names)
    new_people, old_people = people_of(dataset, shared), people_of(old, shared)
    rows, columns = same_poses(new_people, old_people)
    return {
        int(new_people.image[row]): old.images.file_names[int(old_people.image[column])]
        for row, column in zip(rows, columns, strict=True)
    }
