"""Checks that open the image files: all of them, on all cores or on a Dask cluster.

Every file is opened once, read whole and decoded; only a thumbnail and a few numbers are
kept of it. A file that is damaged is a finding and the others go on; a file that is unsafe
to decode ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.checks.files import (
    IMAGE_DUPLICATE,
    IMAGE_EXIF_ORIENTATION,
    IMAGE_EXIF_ROTATED,
    IMAGE_MISSING,
    IMAGE_NEAR_DUPLICATE,
    IMAGE_SIZE_MISMATCH,
    IMAGE_UNREADABLE,
    image_finding,
    image_paths,
    missing_images,
)
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.files import sha256_file
from toolkit.imagehash import SIDE, Fingerprint, Near, fingerprint_of, near
from toolkit.images import Looked, look_at, one_text
from toolkit.parallel import Progress, map_in_order
from toolkit.report import Finding


@dataclass(frozen=True)
class Seen:
    """What one look at an image file gave; small, because it travels from a worker.

    Attributes:
        problem: Why it cannot be read, or None.
        looked: Its sizes and orientation, where it can.
        fingerprint: To know it again, where it can be read.
    """

    problem: str | None = None
    looked: Looked | None = None
    fingerprint: Fingerprint | None = None


def check_images(
    dataset: Dataset,
    images_dir: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Look at every image file that the records name.

    Args:
        dataset: The records: file names, sizes, clips.
        images_dir: The folder that the names are relative to.
        workers: Threads; None is one for each core.
        scheduler: Address of a Dask scheduler whose workers see the same paths, or None.
        progress: Called with (done, total).

    Returns:
        Findings by rule in the order of `IMAGE_RULES`, then in file order; the same
        whoever did the work.

    Raises:
        ReadError: The folder does not exist.
        UnsafeInputError: A name leads out of the folder, or a file must not be decoded;
            the first in file order is named.
        ServiceError: The cluster does not answer.
    """
    paths = image_paths(dataset, images_dir)
    there = [row for row, path in enumerate(paths) if path is not None and path.is_file()]
    seen = map_in_order(
        look,
        [path for row in there if (path := paths[row]) is not None],
        workers=workers,
        scheduler=scheduler,
        progress=progress,
    )
    by_row = dict(zip(there, seen, strict=True))
    found = missing_images(dataset, images_dir, paths)
    for row, each in by_row.items():
        found += _readable(dataset, row, each)
    found += _duplicates(dataset, paths, by_row, workers, progress)
    order = (
        IMAGE_MISSING,
        IMAGE_UNREADABLE,
        IMAGE_SIZE_MISMATCH,
        IMAGE_EXIF_ROTATED,
        IMAGE_EXIF_ORIENTATION,
        IMAGE_DUPLICATE,
        IMAGE_NEAR_DUPLICATE,
    )
    return sorted(found, key=lambda finding: order.index(finding.rule))


def look(path: Path) -> Seen:
    """Read and decode one file.

    Raises:
        UnsafeInputError: It must not be decoded.
    """
    try:
        looked = look_at(path, SIDE)
        return Seen(None, looked, fingerprint_of(looked.grey, sha256_file(path)))
    except InvalidDataError as error:
        return Seen(problem=str(error))
    except OSError as error:
        return Seen(problem=f"{path}: cannot be read: {error.strerror or error}")


def _readable(dataset: Dataset, row: int, seen: Seen) -> list[Finding]:
    """Whether it could be read, and has the size that its record states."""
    if seen.looked is None:
        message = seen.problem or "cannot be read"
        return [image_finding(dataset, row, IMAGE_UNREADABLE, message, "file_name")]
    looked, (width, height) = seen.looked, dataset.images.size_wh[row].tolist()
    name = dataset.images.file_names[row]
    upright = f"{looked.upright_wh[0]} x {looked.upright_wh[1]}"
    if width > 0 and height > 0 and (width, height) != looked.upright_wh:
        if (width, height) == looked.size_wh:
            message = (
                f"the record says {width} x {height}, the size before EXIF orientation "
                f"{looked.orientation} turns '{name}' to {upright}"
            )
            return [image_finding(dataset, row, IMAGE_EXIF_ROTATED, message, "width")]
        message = f"the record says {width} x {height}, '{name}' has {upright}"
        return [image_finding(dataset, row, IMAGE_SIZE_MISMATCH, message, "width")]
    if looked.orientation != 1:
        message = f"'{name}' has EXIF orientation {looked.orientation}; wanted 1 or none"
        return [image_finding(dataset, row, IMAGE_EXIF_ORIENTATION, message, "file_name")]
    return []


def _duplicates(
    dataset: Dataset,
    paths: Sequence[Path | None],
    by_row: dict[int, Seen],
    workers: int | None,
    progress: Progress | None,
) -> list[Finding]:
    """One finding for each image that an earlier one equals or looks like."""
    images = dataset.images
    found: list[Finding] = []
    first_path: dict[Path | None, int] = {}
    first_bytes: dict[str, int] = {}
    rows: list[int] = []
    prints: list[Fingerprint] = []
    for row, seen in by_row.items():
        # One file named twice is a fault of the names, which has a rule of its own.
        if seen.fingerprint is None or first_path.setdefault(paths[row], row) != row:
            continue
        earlier = first_bytes.setdefault(seen.fingerprint.sha256, row)
        if earlier == row:
            rows.append(row)
            prints.append(seen.fingerprint)
        else:
            message = f"'{images.file_names[row]}' is {_other(dataset, earlier)}, byte for byte"
            found.append(image_finding(dataset, row, IMAGE_DUPLICATE, message, "file_name"))
    clips = [None if (c := images.clips[row]) is None else one_text(c) for row in rows]
    nearest: dict[int, Near] = {}
    for pair in near(prints, first_groups=clips, workers=workers, progress=progress):
        if pair.second not in nearest or pair.distance < nearest[pair.second].distance:
            nearest[pair.second] = pair
    for second, pair in sorted(nearest.items()):
        row, earlier = rows[second], rows[pair.first]
        turned = ", mirrored" if pair.mirrored else ""
        message = (
            f"'{images.file_names[row]}'{_clip(dataset, row)} looks like "
            f"{_other(dataset, earlier)}{_clip(dataset, earlier)}{turned} "
            f"(distance {pair.distance:.2f}; 0 is the same picture)"
        )
        found.append(image_finding(dataset, row, IMAGE_NEAR_DUPLICATE, message, "file_name"))
    return found


def _other(dataset: Dataset, row: int) -> str:
    return f"'{dataset.images.file_names[row]}' (id={int(dataset.images.ids[row])})"


def _clip(dataset: Dataset, row: int) -> str:
    clip = dataset.images.clips[row]
    return "" if clip is None else f" of clip '{clip}'"
