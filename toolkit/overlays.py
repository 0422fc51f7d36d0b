"""Overlays of a data set: a folder of pictures, and the gallery that shows them.

`write_overlays` draws every chosen image into a folder, at full size, with `index.html`
beside them, or writes the page alone. The pictures of the page are drawn at its own size,
so that lines stay lines where a photograph of 4000 px becomes a thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count as count_from
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.files import atomic_directory, write_text
from toolkit.gallery import MAX_JPEG_BYTES, GalleryText, Picture, gallery_page
from toolkit.images import load_image, resolve_images
from toolkit.ink import encode_jpeg
from toolkit.overlay_painter import (
    CLOSE_SIDE,
    GALLERY_SIDE,
    Drawn,
    Look,
    Overlay,
    Painter,
    count,
)
from toolkit.tags import Tags, tag

__all__ = ["Look", "Overlay", "Overlays", "choose_images", "write_overlays"]

SMALL_SIDE, MANY = 640, 100  # px, where there are more pictures than that
GALLERY_LIMIT = 400  # pictures in the page; a browser chokes on thousands
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Overlays:
    """What was written, and what could not be drawn.

    Attributes:
        written: In file order: the files, or the page's pictures where there are no files.
        damaged: One line for each image that could not be decoded.
        in_gallery: How many pictures the page holds.
        left_out: Pictures that it has no room for.
    """

    written: tuple[Overlay, ...]
    damaged: tuple[str, ...]
    in_gallery: int
    left_out: int


def choose_images(
    dataset: Dataset,
    predictions: Predictions | None,
    limit: int | None,
    wanted: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Rows of the images to draw: those that hold somebody, in file order.

    Args:
        dataset: Images and annotations.
        predictions: Images of predictions count too, unless `wanted` is given.
        limit: At most this many.
        wanted: (N,) annotations that are asked for; None for all.

    Raises:
        InvalidDataError: there is no image with such an instance.
    """
    people = [dataset.annotations.image_id]
    if wanted is not None:
        people = [dataset.annotations.image_id[wanted]]
    elif predictions is not None:
        people.append(predictions.image_id)
    rows = np.flatnonzero(np.isin(dataset.images.ids, np.concatenate(people)))
    if not len(rows):
        what = "an instance" if wanted is None else "an instance that was asked for"
        raise InvalidDataError(
            f"{dataset.name}: no image holds {what}, so there is nothing to draw"
        )
    return rows[:limit]


def write_overlays(
    dataset: Dataset,
    images_dir: Path,
    out: Path | None,
    *,
    gallery: Path | None = None,
    predictions: Predictions | None = None,
    tags: Tags | None = None,
    wanted: NDArray[np.bool_] | None = None,
    look: Look | None = None,
    limit: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Overlays:
    """Draw images into a folder, a page, or both; each whole or not at all.

    An image that cannot be decoded is named, and the others go on.

    Args:
        dataset: images and annotations.
        images_dir: where the image files lie.
        out: folder to make; overlays are named `IMAGEID_NAME.jpg`. None for the page alone.
        gallery: file to write the page to; with a folder it is `index.html` there too.
        predictions: drawn over the annotations in colours of their own.
        tags: what the page filters by; None tags the data set under profile `coco`.
        wanted: (N,) annotations whose images (or close-ups) are drawn; None for all.
        look: crop, labels, close-ups.
        limit: at most this many images; None for all.
        force: replace outputs that exist.
        progress: called with (images done, images in all).

    Raises:
        ReadError: there is no such folder of images.
        InvalidDataError: nothing to draw, images missing (all are listed), or all damaged.
        UnsafeInputError: a file name leads out of the images folder.
        UsageError: `out` is or holds the images or their annotations.
        OutputExistsError: an output exists and `force` was not given.
    """
    rows = choose_images(dataset, predictions, limit, wanted)
    names = [dataset.images.file_names[row] for row in rows]
    paths = resolve_images(images_dir, names, dataset.images.ids[rows])
    painter = Painter(dataset, predictions, tags or tag(dataset), look or Look())
    units = _units(dataset, rows, wanted, close=painter.look.close)
    job = _Job(painter, units, dict(zip(rows.tolist(), paths, strict=True)), out is not None)
    damaged: dict[int, str] = {}
    drawing = job.draw(damaged, progress)
    if out is None:
        result, pictures = _collect(drawing, None, damaged, job)
    else:
        given = (images_dir, dataset.path)
        page = "index.html"
        with atomic_directory(out, force=force, inputs=given, holds=(page,)) as folder:
            result, pictures = _collect(drawing, folder, damaged, job)
            (folder / page).write_text(job.page(result, pictures), encoding="utf-8")
    if gallery is not None:
        write_text(gallery, job.page(result, pictures), force=force)
    return result


def _collect(
    drawing: Iterator[Drawn], folder: Path | None, damaged: dict[int, str], job: _Job
) -> tuple[Overlays, list[Picture]]:
    """Write the files as they come and keep the page's pictures, as many as it may hold."""
    written: list[Overlay] = []
    entries: list[tuple[int, Overlay, Picture]] = []
    taken: set[str] = set()
    for drawn in drawing:
        overlay = replace(drawn.overlay, file_name=_free_name(drawn.overlay.file_name, taken))
        if folder is not None and drawn.full is not None:
            (folder / overlay.file_name).write_bytes(encode_jpeg(drawn.full))
        written.append(overlay)
        if drawn.picture is not None:
            entries.append((drawn.worst, overlay, drawn.picture))
    if not written:
        first = next(iter(damaged.values()))
        raise InvalidDataError(f"{first} (and no other image can be drawn)")
    kept = _fitting(entries)
    drawable = int((~np.isin(job.units[:, 0], list(damaged))).sum())
    if folder is None:
        written = [overlay for _, overlay, _ in kept]
    result = Overlays(tuple(written), tuple(damaged.values()), len(kept), drawable - len(kept))
    return result, [picture for _, _, picture in kept]


def _free_name(name: str, taken: set[str]) -> str:
    """The name, with a number where another picture has it: of ids that occur twice."""
    stem, found = name.removesuffix(".jpg"), name
    for number in count_from(2):
        if found.lower() not in taken:
            break
        found = f"{stem}-{number}.jpg"
    taken.add(found.lower())
    return found


def _fitting(
    entries: list[tuple[int, Overlay, Picture]],
) -> list[tuple[int, Overlay, Picture]]:
    """What fits into the page's budget, errors first; in the old order."""
    kept, size = [], 0
    for index in sorted(range(len(entries)), key=lambda i: (-entries[i][0], i)):
        size += len(entries[index][2].jpeg)
        if size > MAX_JPEG_BYTES:
            break
        kept.append(index)
    return [entries[index] for index in sorted(kept)]


def _units(
    dataset: Dataset,
    rows: NDArray[np.int64],
    wanted: NDArray[np.bool_] | None,
    *,
    close: bool,
) -> NDArray[np.int64]:
    """(U, 2) what to draw: row of the image, and row of the person or -1 for all of it.

    Raises:
        InvalidDataError: Close-ups are asked for, and nobody is annotated.
    """
    if not close:
        return np.stack([rows, np.full(len(rows), -1)], axis=1)
    chosen = np.ones(len(dataset.annotations), bool) if wanted is None else wanted
    ids = dataset.annotations.image_id
    pairs = [
        (row, member)
        for row in rows.tolist()
        for member in np.flatnonzero(chosen & (ids == dataset.images.ids[row])).tolist()
    ]
    if not pairs:
        raise InvalidDataError(
            f"{dataset.name}: no annotated person to show close up; predictions alone are "
            "shown by image"
        )
    return np.array(pairs, np.int64)


@dataclass(frozen=True)
class _Job:
    """What to draw, and how.

    Attributes:
        painter: Draws one image or person.
        units: (U, 2) what to draw, see `_units`; those of an image stand together.
        paths: Files of the images by row.
        full: Whether files are wanted beside the page.
    """

    painter: Painter
    units: NDArray[np.int64]
    paths: dict[int, Path]
    full: bool

    def draw(self, damaged: dict[int, str], progress: Progress | None) -> Iterator[Drawn]:
        """Draw one after the other; images that cannot be decoded go to `damaged`."""
        shown = self._for_page()
        side = GALLERY_SIDE if len(shown) <= MANY else SMALL_SIDE
        side = CLOSE_SIDE if self.painter.look.close else side
        for done, (row, path) in enumerate(self.paths.items(), start=1):
            members = self.units[self.units[:, 0] == row, 1].tolist()
            members = [m for m in members if self.full or (row, m) in shown]
            if not members:
                continue
            try:
                image = load_image(path)
            except InvalidDataError as error:
                damaged[row] = str(error)
                continue
            for member in members:
                small = side if (row, member) in shown else None
                yield self.painter.draw(row, member, image, small, full=self.full)
            if progress is not None:
                progress(done, len(self.paths))

    def page(self, result: Overlays, pictures: list[Picture]) -> str:
        """The gallery."""
        written, schema = result.written, self.painter.dataset.schema
        outside = sum(overlay.outside_box for overlay in written)
        people = sum(overlay.people for overlay in written)
        images = len({overlay.image_id for overlay in written})
        text = GalleryText(
            title=self.painter.dataset.name,
            summary=f"{schema.title or schema.name}: {count(images, 'image')}, "
            f"{count(people, 'person', 'people')}, {count(outside, 'keypoint')} outside "
            "their own box",
            left_out=result.left_out,
            predicted=self.painter.predictions is not None,
            crop=self.painter.look.crop_padding is not None,
        )
        return gallery_page(schema, text, pictures)

    def _for_page(self) -> set[tuple[int, int]]:
        """Units for the page: where it cannot hold all, those with errors come first."""
        units = [(row, member) for row, member in self.units.tolist()]
        ranked = sorted(units, key=lambda unit: -self.painter.worst(*unit))
        return set(ranked[:GALLERY_LIMIT])
