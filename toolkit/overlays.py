"""Overlays of a data set: a folder of pictures, and the gallery that shows them.

`write_overlays` draws every chosen image into a folder, at full size, with `index.html`
beside them; `write_gallery` writes the page alone. The pictures of the page are drawn at
its own size, so that lines stay lines where a photograph of 4000 px becomes a thumbnail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions
from toolkit.dataset import Dataset
from toolkit.draw import CROP_ASPECT, Canvas, draw_image, whole_view
from toolkit.errors import InvalidDataError
from toolkit.files import atomic_directory, write_text
from toolkit.gallery import MAX_JPEG_BYTES, GalleryText, Person, Picture, gallery_page
from toolkit.geometry import inside_box, inside_image
from toolkit.images import load_image, resolve_images
from toolkit.ink import Floats, Pixels, encode_jpeg, fit_within, legend
from toolkit.tags import Tags, tag

GALLERY_SIDE = 900  # px, long side of a picture in the page
SMALL_SIDE, MANY = 640, 100  # px, where there are more pictures than that
GALLERY_LIMIT = 400  # pictures in the page; a browser chokes on thousands
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Look:
    """How overlays look.

    Attributes:
        crop_padding: Of the network's crop, None to leave it out.
        crop_aspect: Its width over height.
        labels: Whether ids are written at the boxes.
    """

    crop_padding: float | None = None
    crop_aspect: float = CROP_ASPECT
    labels: bool = True


@dataclass(frozen=True)
class Overlay:
    """One picture that was written.

    Attributes:
        file_name: of the overlay, inside the output folder.
        image_id: which image it shows.
        source: the image's own file name.
        people: annotated instances in it.
        predicted: predicted instances in it.
        outside_box: labelled keypoints outside their own box.
        outside_image: labelled keypoints outside the image.
    """

    file_name: str
    image_id: int
    source: str
    people: int
    predicted: int
    outside_box: int
    outside_image: int


@dataclass(frozen=True)
class Overlays:
    """What was written, and what could not be drawn.

    Attributes:
        written: In file order.
        damaged: One line for each image that could not be decoded.
        in_gallery: How many pictures the page holds.
    """

    written: tuple[Overlay, ...]
    damaged: tuple[str, ...]
    in_gallery: int


@dataclass(frozen=True)
class _Drawn:
    """One image drawn at full size, and as the page shows it (None: not in the page)."""

    overlay: Overlay
    full: Pixels | None
    picture: Picture | None


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
    job = _Job(dataset, predictions, tags or tag(dataset), look or Look(), wanted is not None)
    rows = choose_images(dataset, predictions, limit, wanted)
    names = [dataset.images.file_names[row] for row in rows]
    paths = resolve_images(images_dir, names, dataset.images.ids[rows])
    damaged: list[str] = []
    drawing = job.draw(rows, paths, damaged, full=out is not None, progress=progress)
    if out is None:
        written, pictures = _collect(drawing, None, damaged)
    else:
        with atomic_directory(out, force=force) as folder:
            written, pictures = _collect(drawing, folder, damaged)
            page = job.page(written, pictures)
            (folder / "index.html").write_text(page, encoding="utf-8")
    if gallery is not None:
        write_text(gallery, job.page(written, pictures), force=force)
    return Overlays(tuple(written), tuple(damaged), len(pictures))


def _collect(
    drawing: Iterator[_Drawn], folder: Path | None, damaged: list[str]
) -> tuple[list[Overlay], list[Picture]]:
    """Write the files as they come and keep the page's pictures, as many as it may hold."""
    written: list[Overlay] = []
    pictures: list[Picture] = []
    size = 0
    for drawn in drawing:
        if folder is not None and drawn.full is not None:
            (folder / drawn.overlay.file_name).write_bytes(encode_jpeg(drawn.full))
        written.append(drawn.overlay)
        if drawn.picture is not None and size + len(drawn.picture.jpeg) <= MAX_JPEG_BYTES:
            size += len(drawn.picture.jpeg)
            pictures.append(drawn.picture)
    if not written:
        raise InvalidDataError(f"{damaged[0]} (and no other image can be drawn)")
    return written, pictures


@dataclass(frozen=True)
class _Job:
    """What stays the same from image to image."""

    dataset: Dataset
    predictions: Predictions | None
    tags: Tags
    look: Look
    chosen: bool

    def draw(
        self,
        rows: NDArray[np.int64],
        paths: list[Path],
        damaged: list[str],
        *,
        full: bool,
        progress: Progress | None,
    ) -> Iterator[_Drawn]:
        """Draw image after image; those that cannot be decoded go to `damaged`."""
        shown = self._for_page(rows)
        side = GALLERY_SIDE if len(shown) <= MANY else SMALL_SIDE
        for done, (row, path) in enumerate(zip(rows.tolist(), paths, strict=True), start=1):
            if not full and row not in shown:
                continue
            try:
                image = load_image(path)
            except InvalidDataError as error:
                damaged.append(str(error))
                continue
            yield self._one(row, image, side if row in shown else None, full=full)
            if progress is not None:
                progress(done, len(rows))

    def page(self, written: list[Overlay], pictures: list[Picture]) -> str:
        """The gallery."""
        people = sum(overlay.people for overlay in written)
        outside = sum(overlay.outside_box for overlay in written)
        schema = self.dataset.schema
        some = ", chosen from a larger set" if self.chosen else ""
        text = GalleryText(
            title=self.dataset.name,
            summary=f"{schema.title or schema.name}: {_count(len(written), 'image')}{some}, "
            f"{_count(people, 'person', 'people')}, {_count(outside, 'keypoint')} outside "
            "their own box",
            left_out=len(written) - len(pictures),
            predicted=self.predictions is not None,
            crop=self.look.crop_padding is not None,
        )
        return gallery_page(schema, text, pictures)

    def _for_page(self, rows: NDArray[np.int64]) -> set[int]:
        """Rows for the page: where it cannot hold all, images with errors come first."""
        order = np.argsort(-self.tags.worst[rows], kind="stable")
        return set(rows[order[:GALLERY_LIMIT]].tolist())

    def _one(self, row: int, image: Pixels, side: int | None, *, full: bool) -> _Drawn:
        image_id = int(self.dataset.images.ids[row])
        members = np.flatnonzero(self.dataset.annotations.image_id == image_id)
        truth = self.dataset.annotations[members]
        found = None
        if self.predictions is not None:
            found = self.predictions[self.predictions.image_id == image_id]
        overlay = _describe(self.dataset, row, truth, found)
        canvas = self._canvas(image, truth, found, None)
        drawn = self._with_legend(canvas.pixels) if full else None
        if side is None:
            return _Drawn(overlay, drawn, None)
        if max(canvas.pixels.shape[:2]) > 1.2 * side:
            canvas = self._canvas(image, truth, found, side)
        return _Drawn(overlay, drawn, self._picture(row, members, canvas, overlay))

    def _canvas(
        self,
        image: Pixels,
        truth: Annotations,
        found: Predictions | None,
        side: int | None,
    ) -> Canvas:
        """The drawing at its own size, or with exactly this long side."""
        look = self.look
        options = {} if side is None else {"long_side": side}
        return draw_image(
            image,
            truth,
            found,
            view_xywh=None if side is None else whole_view(image, truth, found),
            crops=look.crop_padding is not None,
            crop_padding=look.crop_padding or 1.0,
            crop_aspect=look.crop_aspect,
            labels=look.labels,
            **options,
        )

    def _with_legend(self, pixels: Pixels) -> Pixels:
        width = pixels.shape[1]
        strip = legend(
            self.dataset.schema,
            width,
            predicted=self.predictions is not None,
            crop=self.look.crop_padding is not None,
            scale=max(1.0, width / 1100),
        )
        return np.concatenate([pixels, strip])

    def _picture(
        self, row: int, members: NDArray[np.int64], canvas: Canvas, overlay: Overlay
    ) -> Picture:
        pixels = fit_within(canvas.pixels, GALLERY_SIDE)
        return Picture(
            image_id=overlay.image_id,
            source=overlay.source,
            clip=self.dataset.images.clips[row],
            caption=_caption(overlay),
            jpeg=encode_jpeg(pixels, 82),
            size_wh=(pixels.shape[1], pixels.shape[0]),
            people=tuple(
                Person(
                    int(self.dataset.annotations.instance_id[member]),
                    _place(canvas, self.dataset.annotations.bbox_xywh[member]),
                    self.tags.rules[member],
                    self.tags.strata[member],
                )
                for member in members.tolist()
            ),
            rules=self.tags.image_rules[row],
        )


def _place(canvas: Canvas, box: Floats) -> tuple[float, float, float, float] | None:
    """A box in per cent of the picture, cut at its edges; None where it cannot be shown."""
    if not np.isfinite(box).all():
        return None
    size = np.array(canvas.pixels.shape[1::-1], np.float64)
    low = np.clip(canvas.locate(box[:2]) / size, 0, 1)
    high = np.clip(canvas.locate(box[:2] + box[2:]) / size, 0, 1)
    if (high <= low).any():
        return None
    left, top, width, height = (100 * np.concatenate([low, high - low])).tolist()
    return left, top, width, height


def _caption(overlay: Overlay) -> str:
    facts = [_count(overlay.people, "person", "people")]
    if overlay.predicted:
        facts.append(f"{overlay.predicted} predicted")
    if overlay.outside_box:
        facts.append(f"{overlay.outside_box} outside the box")
    if overlay.outside_image:
        facts.append(f"{overlay.outside_image} outside the image")
    return " · ".join(facts)


def _describe(
    dataset: Dataset, row: int, truth: Annotations, found: Predictions | None
) -> Overlay:
    image_id = int(dataset.images.ids[row])
    source = dataset.images.file_names[row]
    size = np.broadcast_to(dataset.images.size_wh[row], (len(truth), 2))
    boxed = np.isfinite(truth.bbox_xywh).all(axis=1, keepdims=True)
    in_box = inside_box(truth.keypoints, truth.bbox_xywh)
    in_image = inside_image(truth.keypoints, size)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem)[:60].strip(".-")
    return Overlay(
        file_name=f"{image_id}_{stem or 'image'}.jpg",
        image_id=image_id,
        source=source,
        people=len(truth),
        predicted=0 if found is None else len(found),
        outside_box=int((truth.labelled & boxed & ~in_box).sum()),
        outside_image=int((truth.labelled & ~in_image & (size[:, :1] > 0)).sum()),
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
