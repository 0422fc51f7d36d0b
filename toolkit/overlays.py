"""A folder of overlays and one gallery page, from a data set and its images.

`write_overlays` draws every chosen image, writes one JPEG each, and `index.html`: a page
that carries its pictures inside itself and asks nothing of the network, so that it can be
mailed or archived. All text from files is escaped.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions
from toolkit.dataset import Dataset
from toolkit.draw import draw_image
from toolkit.errors import InvalidDataError
from toolkit.files import atomic_directory
from toolkit.geometry import inside_box, inside_image
from toolkit.images import load_image, resolve_images
from toolkit.ink import encode_jpeg, fit_within, legend

GALLERY_SIDE = 900  # px, long side of a picture in the page
GALLERY_LIMIT = 200  # pictures in the page; a browser chokes on thousands


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
    """

    written: tuple[Overlay, ...]
    damaged: tuple[str, ...]


def choose_images(
    dataset: Dataset, predictions: Predictions | None, limit: int | None
) -> NDArray[np.int64]:
    """Rows of the images to draw: those that hold somebody, in file order.

    Raises:
        InvalidDataError: there is no image with an instance.
    """
    people = [dataset.annotations.image_id]
    if predictions is not None:
        people.append(predictions.image_id)
    rows = np.flatnonzero(np.isin(dataset.images.ids, np.concatenate(people)))
    if not len(rows):
        raise InvalidDataError(
            f"{dataset.name}: no image holds an instance, so there is nothing to draw"
        )
    return rows[:limit]


def write_overlays(
    dataset: Dataset,
    images_dir: Path,
    out: Path,
    *,
    predictions: Predictions | None = None,
    limit: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Overlays:
    """Draw images into `out`, whole or not at all.

    An image that cannot be decoded is named, and the others go on.

    Args:
        dataset: images and annotations.
        images_dir: where the image files lie.
        out: folder to make; overlays are named `IMAGEID_NAME.jpg`.
        predictions: drawn over the annotations in colours of their own.
        limit: at most this many images; None for all.
        force: replace `out` where it exists.
        progress: called with (images done, images in all).

    Raises:
        InvalidDataError: nothing to draw, images missing (all are listed), or all damaged.
        UnsafeInputError: a file name leads out of the images folder.
        OutputExistsError: `out` exists and `force` was not given.
    """
    rows = choose_images(dataset, predictions, limit)
    names = [dataset.images.file_names[row] for row in rows]
    ids = dataset.images.ids[rows]
    paths = resolve_images(images_dir, names, ids)
    written: list[Overlay] = []
    pictures: list[bytes] = []
    damaged: list[str] = []
    with atomic_directory(out, force=force) as folder:
        for done, (row, path) in enumerate(zip(rows, paths, strict=True), start=1):
            try:
                image = load_image(path)
            except InvalidDataError as error:
                damaged.append(str(error))
                continue
            overlay, pixels = _draw_one(dataset, int(row), image, predictions)
            key = legend(dataset.schema, pixels.shape[1], predicted=predictions is not None)
            content = encode_jpeg(np.concatenate([pixels, key]))
            (folder / overlay.file_name).write_bytes(content)
            written.append(overlay)
            if len(pictures) < GALLERY_LIMIT:
                pictures.append(encode_jpeg(fit_within(pixels, GALLERY_SIDE), 82))
            if progress is not None:
                progress(done, len(rows))
        if not written:
            raise InvalidDataError(f"{damaged[0]} (and no other image can be drawn)")
        page = gallery_html(dataset, written, pictures, predictions is not None)
        (folder / "index.html").write_text(page, encoding="utf-8")
    return Overlays(tuple(written), tuple(damaged))


def _draw_one(
    dataset: Dataset, row: int, image: NDArray[np.uint8], predictions: Predictions | None
) -> tuple[Overlay, NDArray[np.uint8]]:
    """One image drawn, and what is said about it."""
    image_id = int(dataset.images.ids[row])
    truth = dataset.annotations[dataset.annotations.image_id == image_id]
    found = None
    if predictions is not None:
        found = predictions[predictions.image_id == image_id]
    canvas = draw_image(image, truth, found)
    return _describe(dataset, row, truth, found), canvas.pixels


def gallery_html(
    dataset: Dataset, overlays: list[Overlay], pictures: list[bytes], predicted: bool
) -> str:
    """One self-contained page: no script, nothing fetched, every name escaped.

    Overlays beyond the number of pictures are counted, not shown.
    """
    key = base64.b64encode(
        encode_jpeg(legend(dataset.schema, 880, predicted=predicted), 92)
    ).decode("ascii")
    cards = "\n".join(
        _card(overlay, picture) for overlay, picture in zip(overlays, pictures, strict=False)
    )
    rest = len(overlays) - len(pictures)
    more = f"; {_count(rest, 'more overlay')} beside this page" if rest else ""
    people = sum(overlay.people for overlay in overlays)
    outside = sum(overlay.outside_box for overlay in overlays)
    return _PAGE.format(
        title=html.escape(dataset.name),
        schema=html.escape(dataset.schema.title or dataset.schema.name),
        images=_count(len(overlays), "image"),
        more=more,
        people=_count(people, "person", "people"),
        outside=_count(outside, "keypoint"),
        legend=key,
        cards=cards,
    )


def _card(overlay: Overlay, picture: bytes) -> str:
    facts = [_count(overlay.people, "person", "people")]
    if overlay.predicted:
        facts.append(f"{overlay.predicted} predicted")
    if overlay.outside_box:
        facts.append(f"{overlay.outside_box} outside the box")
    if overlay.outside_image:
        facts.append(f"{overlay.outside_image} outside the image")
    name = html.escape(overlay.source)
    return (
        f'<figure id="image-{overlay.image_id}"><img loading="lazy" alt="{name}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(picture).decode("ascii")}">'
        f"<figcaption><b>{name}</b> <span>id {overlay.image_id} · "
        f"{' · '.join(facts)}</span></figcaption></figure>"
    )


def _describe(
    dataset: Dataset, row: int, truth: Annotations, found: Predictions | None
) -> Overlay:
    image_id = int(dataset.images.ids[row])
    source = dataset.images.file_names[row]
    size = np.broadcast_to(dataset.images.size_wh[row], (len(truth), 2))
    in_box = inside_box(truth.keypoints, truth.bbox_xywh)
    in_image = inside_image(truth.keypoints, size)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem)[:60].strip(".-")
    return Overlay(
        file_name=f"{image_id}_{stem or 'image'}.jpg",
        image_id=image_id,
        source=source,
        people=len(truth),
        predicted=0 if found is None else len(found),
        outside_box=int((truth.labelled & ~in_box).sum()),
        outside_image=int((truth.labelled & ~in_image & (size[:, :1] > 0)).sum()),
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink:#1c2230; --soft:#5b6577; --paper:#f6f7f9;
 --card:#fff; --edge:#dfe3ea; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink:#e8ebf2; --soft:#9aa4b8;
 --paper:#12151c; --card:#1b202a; --edge:#2c3442; }} }}
* {{ box-sizing:border-box }}
body {{ margin:0; background:var(--paper); color:var(--ink);
 font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif }}
header,main {{ max-width:1500px; margin:0 auto; padding:24px 28px 0 }}
h1 {{ font-size:24px; margin:0 0 2px; overflow-wrap:anywhere }}
p {{ margin:0 0 14px; color:var(--soft) }}
header img {{ display:block; max-width:100%; border-radius:8px }}
main {{ display:grid; gap:20px; padding-bottom:40px;
 grid-template-columns:repeat(auto-fill,minmax(min(440px,100%),1fr)) }}
figure {{ margin:0; background:var(--card); border:1px solid var(--edge);
 border-radius:10px; overflow:hidden }}
figure img {{ display:block; width:100%; height:auto }}
figcaption {{ padding:9px 13px 11px; overflow-wrap:anywhere }}
figcaption span {{ display:block; color:var(--soft); font-size:13px }}
</style></head><body>
<header><h1>{title}</h1>
<p>{schema}: {images}, {people}, {outside} outside their own box{more}</p>
<img alt="legend" src="data:image/jpeg;base64,{legend}"></header>
<main>
{cards}
</main></body></html>
"""
