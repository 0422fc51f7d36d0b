"""Overlays of a data set: a folder of pictures, and the gallery that shows them.

`write_overlays` draws every chosen image into a folder, at full size, with `index.html`
beside them, or writes the page alone. The pictures of the page are drawn at its own size,
so that lines stay lines where a photograph of 4000 px becomes a thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from toolkit.overlay_painter import GALLERY_SIDE, Drawn, Look, Overlay, Painter, count
from toolkit.tags import Tags, tag

__all__ = ["Look", "Overlay", "Overlays", "choose_images", "write_overlays"]

SMALL_SIDE, MANY = 640, 100  # px, where there are more pictures than that
GALLERY_LIMIT = 400  # pictures in the page; a browser chokes on thousands
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Overlays:
    """What was written, and what could not be drawn.

    Attributes:
        written: In file order.
        damaged: One line for each image that could not be decoded.
        in_gallery: How many pictures the page holds.
        left_out: Images that it has no room for.
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
        wanted: (N,) annotations whose images are drawn; None for all.
        look: crop and labels.
        limit: at most this many images; None for all.
        force: replace outputs that exist.
        progress: called with (images done, images in all).

    Raises:
        InvalidDataError: nothing to draw, images missing (all are listed), or all damaged.
        UnsafeInputError: a file name leads out of the images folder.
        OutputExistsError: an output exists and `force` was not given.
    """
    rows = choose_images(dataset, predictions, limit, wanted)
    names = [dataset.images.file_names[row] for row in rows]
    paths = resolve_images(images_dir, names, dataset.images.ids[rows])
    painter = Painter(dataset, predictions, tags or tag(dataset), look or Look())
    job = _Job(painter, rows, paths, wanted is not None, out is not None)
    damaged: list[str] = []
    drawing = job.draw(damaged, progress)
    if out is None:
        result, pictures = _collect(drawing, None, damaged, len(rows))
    else:
        with atomic_directory(out, force=force) as folder:
            result, pictures = _collect(drawing, folder, damaged, len(rows))
            (folder / "index.html").write_text(job.page(result, pictures), encoding="utf-8")
    if gallery is not None:
        write_text(gallery, job.page(result, pictures), force=force)
    return result


def _collect(
    drawing: Iterator[Drawn], folder: Path | None, damaged: list[str], total: int
) -> tuple[Overlays, list[Picture]]:
    """Write the files as they come and keep the page's pictures, as many as it may hold."""
    written: list[Overlay] = []
    pictures: list[tuple[int, Picture]] = []
    for drawn in drawing:
        if folder is not None and drawn.full is not None:
            (folder / drawn.overlay.file_name).write_bytes(encode_jpeg(drawn.full))
        written.append(drawn.overlay)
        if drawn.picture is not None:
            pictures.append((drawn.worst, drawn.picture))
    if not written:
        raise InvalidDataError(f"{damaged[0]} (and no other image can be drawn)")
    kept = _fitting(pictures)
    left_out = total - len(damaged) - len(kept)
    return Overlays(tuple(written), tuple(damaged), len(kept), left_out), kept


def _fitting(pictures: list[tuple[int, Picture]]) -> list[Picture]:
    """Pictures within the page's budget, those with errors first; in their old order."""
    kept, size = [], 0
    for index in sorted(range(len(pictures)), key=lambda i: (-pictures[i][0], i)):
        size += len(pictures[index][1].jpeg)
        if size > MAX_JPEG_BYTES:
            break
        kept.append(index)
    return [pictures[index][1] for index in sorted(kept)]


@dataclass(frozen=True)
class _Job:
    """The images to draw, and how.

    Attributes:
        painter: Draws one of them.
        rows: Of the images.
        paths: Their files.
        chosen: Whether they were picked from a larger set.
        full: Whether files are wanted beside the page.
    """

    painter: Painter
    rows: NDArray[np.int64]
    paths: list[Path]
    chosen: bool
    full: bool

    def draw(self, damaged: list[str], progress: Progress | None) -> Iterator[Drawn]:
        """Draw image after image; those that cannot be decoded go to `damaged`."""
        shown = self._for_page()
        side = GALLERY_SIDE if len(shown) <= MANY else SMALL_SIDE
        pairs = zip(self.rows.tolist(), self.paths, strict=True)
        for done, (row, path) in enumerate(pairs, start=1):
            if not self.full and row not in shown:
                continue
            try:
                image = load_image(path)
            except InvalidDataError as error:
                damaged.append(str(error))
                continue
            yield self.painter.draw(row, image, side if row in shown else None, full=self.full)
            if progress is not None:
                progress(done, len(self.rows))

    def page(self, result: Overlays, pictures: list[Picture]) -> str:
        """The gallery."""
        written, schema = result.written, self.painter.dataset.schema
        outside = sum(overlay.outside_box for overlay in written)
        people = sum(overlay.people for overlay in written)
        some = ", chosen from a larger set" if self.chosen else ""
        text = GalleryText(
            title=self.painter.dataset.name,
            summary=f"{schema.title or schema.name}: {count(len(written), 'image')}{some}, "
            f"{count(people, 'person', 'people')}, {count(outside, 'keypoint')} outside "
            "their own box",
            left_out=result.left_out,
            predicted=self.painter.predictions is not None,
            crop=self.painter.look.crop_padding is not None,
        )
        return gallery_page(schema, text, pictures)

    def _for_page(self) -> set[int]:
        """Rows for the page: where it cannot hold all, images with errors come first."""
        order = np.argsort(-self.painter.tags.worst[self.rows], kind="stable")
        return set(self.rows[order[:GALLERY_LIMIT]].tolist())
