"""One image of a data set drawn: as a file, as a picture of the gallery, and in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions
from toolkit.dataset import Dataset
from toolkit.draw import (
    CROP_ASPECT,
    MIN_CANVAS,
    Canvas,
    draw_image,
    instance_view,
    whole_view,
)
from toolkit.gallery import Person, Picture
from toolkit.geometry import expand_to_aspect, inside_box, inside_image
from toolkit.ink import Floats, Pixels, corners_of, encode_jpeg, fit_within, legend
from toolkit.tags import Tags

GALLERY_SIDE = 900  # px, long side of a picture in the page
CLOSE_SIDE, CLOSE_MARGIN = 480, 0.15  # px of a close-up in the page; free space round it


@dataclass(frozen=True)
class Look:
    """How overlays look.

    Attributes:
        crop_padding: Of the network's crop, None to leave it out.
        crop_aspect: Its width over height.
        labels: Whether ids are written at the boxes.
        close: A close-up of each person in place of a picture of each image.
    """

    crop_padding: float | None = None
    crop_aspect: float = CROP_ASPECT
    labels: bool = True
    close: bool = False


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
class Drawn:
    """One image drawn at full size, and as the page shows it (None: not in the page).

    `worst` is the severity of the worst finding in it, see `Tags.worst`.
    """

    overlay: Overlay
    full: Pixels | None
    picture: Picture | None
    worst: int


@dataclass(frozen=True)
class Painter:
    """Draws the images of one data set in one look.

    Attributes:
        dataset: Images and annotations.
        predictions: Drawn over the annotations, or None.
        tags: What is special about each instance.
        look: Crop and labels.
    """

    dataset: Dataset
    predictions: Predictions | None
    tags: Tags
    look: Look

    def draw(
        self, row: int, member: int, image: Pixels, side: int | None, *, full: bool
    ) -> Drawn:
        """Draw one image, or one of its people.

        Args:
            row: Of the image in the data set.
            member: Of the annotation to show close up, -1 for the whole image.
            image: (H, W, 3) RGB.
            side: Long side of the picture for the page in px; None for no such picture.
            full: Whether the file is wanted.
        """
        members = np.array([member])
        if member < 0:
            image_id = self.dataset.images.ids[row]
            members = np.flatnonzero(self.dataset.annotations.image_id == image_id)
        truth = self.dataset.annotations[members]
        found = self._predicted(row, member)
        view = None if member < 0 else self._view(member)
        canvas = self._canvas(image, truth, found, view, MIN_CANVAS if full else side)
        drawn = self._with_legend(canvas.pixels) if full else None
        overlay = _describe(self.dataset, row, truth, found, close=member >= 0)
        if side is None:
            return Drawn(overlay, drawn, None, 0)
        if max(canvas.pixels.shape[:2]) > 1.2 * side:
            if view is None:
                view = whole_view(image, truth, found)
            canvas = self._canvas(image, truth, found, view, side)
        picture = self._picture(row, members, canvas, overlay, close=member >= 0)
        return Drawn(overlay, drawn, picture, self.worst(row, member))

    def _predicted(self, row: int, member: int) -> Predictions | None:
        """Predictions of an image; of one person those that name it, if they name any."""
        if self.predictions is None:
            return None
        found = self.predictions[self.predictions.image_id == self.dataset.images.ids[row]]
        if member < 0 or not found.has_annotation_id.any():
            return found
        return found[found.annotation_id == self.dataset.annotations.instance_id[member]]

    def worst(self, row: int, member: int) -> int:
        """Severity of the worst finding in an image, or about one person (not -1)."""
        worst = self.tags.worst[row] if member < 0 else self.tags.worst_of_person[member]
        return int(worst)

    def _view(self, member: int) -> Floats | None:
        """The region that shows a person (and the crop) whole; None where it is unknown."""
        people = self.dataset.annotations
        box, points = people.bbox_xywh[member], people.keypoints[member]
        points = points[np.isfinite(points).all(axis=1)]
        if not np.isfinite(box).all():
            if not len(points):
                return None
            box = np.concatenate([points[0], [0.0, 0.0]])
        elif self.look.crop_padding is not None and (box[2:] > 0).all():
            seen = expand_to_aspect(box[None], self.look.crop_aspect, self.look.crop_padding)
            points = np.concatenate([points, corners_of(seen[0])])
        return instance_view(box, points, margin=CLOSE_MARGIN)

    def _canvas(
        self,
        image: Pixels,
        truth: Annotations,
        found: Predictions | None,
        view: Floats | None,
        side: int | None,
    ) -> Canvas:
        """The drawing: of a view with exactly this long side, or of all at its own size."""
        look = self.look
        return draw_image(
            image,
            truth,
            found,
            view_xywh=view,
            long_side=MIN_CANVAS if view is None or side is None else side,
            crops=look.crop_padding is not None,
            crop_padding=look.crop_padding or 1.0,
            crop_aspect=look.crop_aspect,
            labels=look.labels,
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
        self,
        row: int,
        members: NDArray[np.int64],
        canvas: Canvas,
        overlay: Overlay,
        *,
        close: bool,
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
            close_up=(int(self.dataset.annotations.instance_id[members[0]]) if close else None),
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
    facts = [count(overlay.people, "person", "people")]
    if overlay.predicted:
        facts.append(f"{overlay.predicted} predicted")
    if overlay.outside_box:
        facts.append(f"{overlay.outside_box} outside the box")
    if overlay.outside_image:
        facts.append(f"{overlay.outside_image} outside the image")
    return " · ".join(facts)


def _describe(
    dataset: Dataset,
    row: int,
    truth: Annotations,
    found: Predictions | None,
    *,
    close: bool,
) -> Overlay:
    image_id = int(dataset.images.ids[row])
    source = dataset.images.file_names[row]
    size = np.broadcast_to(dataset.images.size_wh[row], (len(truth), 2))
    boxed = np.isfinite(truth.bbox_xywh).all(axis=1, keepdims=True)
    in_box = inside_box(truth.keypoints, truth.bbox_xywh)
    in_image = inside_image(truth.keypoints, size)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem)[:60].strip(".-")
    who = f"_{int(truth.instance_id[0])}" if close else ""
    return Overlay(
        file_name=f"{image_id}_{stem or 'image'}{who}.jpg",
        image_id=image_id,
        source=source,
        people=len(truth),
        predicted=0 if found is None else len(found),
        outside_box=int((truth.labelled & boxed & ~in_box).sum()),
        outside_image=int((truth.labelled & ~in_image & (size[:, :1] > 0)).sum()),
    )


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun, such as `1 person` and `1,200 people`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
