"""Making a split: grouped, balanced, and frozen in a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import toolkit
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError
from toolkit.files import atomic_directory, sha256_bytes
from toolkit.imagehash import Fingerprint, fingerprints
from toolkit.images import resolve_images
from toolkit.parallel import Progress
from toolkit.split.assign import FRACTION_LIMIT, STRATUM_LIMIT, assign
from toolkit.split.groups import group_values
from toolkit.split.manifest import (
    NAME,
    ImageEntry,
    Manifest,
    Part,
    manifest_text,
    read_manifest,
    rounded,
)
from toolkit.split.previous import Previous, moved_instances, settled_groups
from toolkit.split.settings import SplitSettings
from toolkit.split.strata import IMAGES, INSTANCES, STRATA, Counts, count_groups, shares
from toolkit.split.subset import Subsets


@dataclass(frozen=True)
class Split:
    """A split that is ready to be written.

    Attributes:
        manifest: What goes where.
        files: Bytes of each split's annotation file, by name.
        notes: What a person should know: what was not reached, what is gone, what moved.
    """

    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)
    notes: tuple[str, ...] = ()

    def write(self, folder: Path, *, force: bool = False) -> None:
        """Write the folder whole or not at all.

        Raises:
            OutputExistsError: It exists and `force` was not given.
            UsageError: It exists and is no split: it would be replaced as a whole.
            WriteError: It cannot be written; what stood there before is intact.
        """
        if force and folder.is_dir() and any(folder.iterdir()):
            known = {NAME} | {f"{name}.json" for name in self.files}
            try:
                known |= {part.file for part in read_manifest(folder).parts.values()}
            except Exception as error:
                raise UsageError(
                    f"{folder}: --force replaces the whole folder, and it holds no split; "
                    "choose another folder"
                ) from error
            others = sorted(path.name for path in folder.iterdir() if path.name not in known)
            if others:
                raise UsageError(
                    f"{folder}: --force replaces the whole folder, and it also holds "
                    f"{', '.join(others[:5])}; choose another folder"
                )
        with atomic_directory(folder, force=force) as temporary:
            for name, content in self.files.items():
                (temporary / f"{name}.json").write_bytes(content)
            # a byte of the input's name that is no UTF-8 becomes a JSON escape, \udcXX
            (temporary / NAME).write_text(
                manifest_text(self.manifest), "utf-8", "backslashreplace", "\n"
            )


def make_split(
    dataset: Dataset,
    settings: SplitSettings,
    *,
    images: Path | None = None,
    previous: Previous | None = None,
    progress: Progress | None = None,
) -> Split:
    """Split a data set.

    Args:
        dataset: Read from a file.
        settings: How.
        images: Folder of the images, to put their hashes into the manifest.
        previous: The former version: its groups keep their split.
        progress: Called with (done, total) images that were hashed.

    Raises:
        UsageError: See `group_values`; the former version has other splits.
        InvalidDataError: Images without a group, or what was in a held-out split of the
            former version would leave it.
    """
    if not len(dataset.images):
        raise InvalidDataError(f"{dataset.name}: no images; there is nothing to split")
    spec, groups = group_values(
        dataset,
        settings.group if settings.group or not previous else previous.manifest.group,
        own=settings.ungrouped_own,
        by_frame=settings.by_frame,
    )
    counts = count_groups(dataset, groups)
    kept = previous is not None and not settings.allow_moves
    fixed = settled_groups(dataset, groups, previous, settings) if previous and kept else {}
    of_group = assign(counts, settings.fractions, settings.seed, fixed)
    of_image = of_group[counts.of_image]
    notes = _not_reached(counts, of_group, settings.fractions)
    if previous is not None:
        notes += _moves(dataset, of_image, settings, previous)
    prints = None
    if images is not None:
        names, ids = dataset.images.file_names, dataset.images.ids
        paths = resolve_images(images, names, [int(image) for image in ids])
        prints = fingerprints(paths, progress=progress)
    files, parts = _parts(dataset, counts, groups, of_image, settings, prints)
    whole = counts.table.sum(axis=0)
    document = {
        "toolkit": toolkit.__version__,
        "source": {
            "file": None if dataset.path is None else dataset.path.name,
            "sha256": dataset.sha256,
        },
        "schema": dataset.schema.name,
        "group": spec,
        "ungrouped_own": settings.ungrouped_own,
        "by_frame": settings.by_frame,
        "seed": settings.seed,
        "fractions": dict(settings.fractions),
        "previous_sha256": None if previous is None else previous.sha256,
        "broke": settings.allow_moves and previous is not None,
        "size_edges_px": [round(edge, 3) for edge in counts.size_edges],
        "images": int(whole[IMAGES]),
        "instances": int(whole[INSTANCES]),
        "groups": len(counts.names),
        "strata": _shares(whole),
    }
    return Split(Manifest(document, parts), files, tuple(notes))


def _moves(
    dataset: Dataset, of_image: NDArray[np.int64], settings: SplitSettings, previous: Previous
) -> list[str]:
    moved, gone = moved_instances(dataset, of_image, list(settings.fractions), previous)
    if moved and not settings.allow_moves:
        shown = "; ".join(moved[:20]) + (
            f"; and {len(moved) - 20} more" if len(moved) > 20 else ""
        )
        raise InvalidDataError(
            f"{len(moved)} images of a held-out split of {previous.folder} would leave it: "
            f"{shown}; models that were compared on it would have seen them. Keep them "
            "there, or pass --break and publish the version as a new benchmark"
        )
    notes = [f"{len(moved)} images left a held-out split: {m}" for m in moved[:1]]
    if gone:
        notes.append(
            f"{len(gone)} images of the former version's held-out splits are not in this "
            f"file, the first {gone[0]!r}: the held-out splits shrink"
        )
    return notes


def _parts(
    dataset: Dataset,
    counts: Counts,
    groups: list[str],
    of_image: NDArray[np.int64],
    settings: SplitSettings,
    prints: list[Fingerprint] | None,
) -> tuple[dict[str, bytes], dict[str, Part]]:
    cutter = Subsets(dataset)
    instances: list[list[int]] = [[] for _ in groups]
    people = zip(dataset.image_row.tolist(), dataset.annotations.instance_id, strict=True)
    for row, instance in people:
        instances[row].append(int(instance))
    whole = counts.table.sum(axis=0)
    files, parts = {}, {}
    for index, (name, asked) in enumerate(settings.fractions.items()):
        mine = of_image == index
        files[name] = cutter.part(mine)
        held = np.unique(counts.of_image[mine])
        figures = _figures(counts.table[held].sum(axis=0), whole, asked, len(held))
        entries = tuple(
            ImageEntry(
                id=int(dataset.images.ids[row]),
                file_name=dataset.images.file_names[row],
                group=groups[row],
                instances=tuple(instances[row]),
                sha256=None if prints is None else prints[row].sha256,
                hash64=None if prints is None else f"{prints[row].hash64:016x}",
            )
            for row in np.flatnonzero(mine).tolist()
        )
        parts[name] = Part(f"{name}.json", sha256_bytes(files[name]), figures, entries)
    return files, parts


def _figures(
    table: NDArray[np.int64], whole: NDArray[np.int64], asked: float, groups: int
) -> dict[str, object]:
    difference = (shares(table) - shares(whole)) * 100
    return {
        "images": int(table[IMAGES]),
        "groups": groups,
        "instances": int(table[INSTANCES]),
        "fraction": {
            "asked": asked,
            "images": rounded(table[IMAGES] / max(int(whole[IMAGES]), 1)),
            "instances": rounded(table[INSTANCES] / max(int(whole[INSTANCES]), 1)),
        },
        "strata": _shares(table),
        "difference_points": {
            name: rounded(value) for name, value in zip(STRATA, difference, strict=True)
        },
    }


def _shares(table: NDArray[np.int64]) -> dict[str, float | None]:
    return {name: rounded(v) for name, v in zip(STRATA, shares(table), strict=True)}


def _not_reached(
    counts: Counts, of_group: NDArray[np.int64], fractions: Mapping[str, float]
) -> list[str]:
    """What is farther from the whole than the limits, in words."""
    whole = counts.table.sum(axis=0)
    notes = []
    for index, (name, asked) in enumerate(fractions.items()):
        table = counts.table[of_group == index].sum(axis=0)
        if asked and not table[IMAGES]:
            notes.append(f"split '{name}' is empty: {len(counts.names)} groups do not go round")
            continue
        for column, what in ((IMAGES, "images"), (INSTANCES, "instances")):
            reached = table[column] / max(int(whole[column]), 1)
            if whole[column] and abs(reached - asked) > FRACTION_LIMIT:
                notes.append(f"'{name}' holds {reached:.1%} of the {what}; asked {asked:.1%}")
        for stratum, value in zip(STRATA, shares(table) - shares(whole), strict=True):
            if abs(value) > STRATUM_LIMIT:
                notes.append(
                    f"'{name}' has {value * 100:+.1f} points of '{stratum}' against the whole"
                )
    if notes:
        largest = int(counts.table[:, IMAGES].max())
        notes.append(
            f"{len(counts.names)} groups, the largest with {largest} images, cannot be parted "
            "more evenly without tearing one apart, as far as the search went"
        )
    return notes
