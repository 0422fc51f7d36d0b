"""A ranking as a page of HTML: a picture of each of the first, and why it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.curate.rank import Entry
from toolkit.curate.rank_report import score
from toolkit.dataset import Dataset
from toolkit.draw import Canvas, draw_image, instance_view
from toolkit.errors import InvalidDataError
from toolkit.images import load_image, resolve_image
from toolkit.ink import (
    DARK,
    PREDICTED_BODY,
    PREDICTED_STICK,
    TRUTH_BODY,
    TRUTH_STICK,
    encode_jpeg,
)
from toolkit.metrics.pairing import keypoint_extent
from toolkit.page import data_uri, escape, html_page

PICTURES = 60
_LONG_SIDE = 520
_RING = (235, 45, 45)
_MOST_RINGS = 8  # more would hide the person
_PAPER = 232
_MOST_PX = 4096
_STYLE = """
.key{display:inline-block;width:14px;height:4px;border-radius:2px;margin:0 5px 3px 12px}
.queue{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr))}
.queue figure{margin:0;border:1px solid var(--edge);border-radius:8px;overflow:hidden}
.queue img{display:block;width:100%;height:auto}
.queue figcaption{padding:8px 12px 10px;font-size:13.5px;line-height:1.4;overflow-wrap:anywhere}
.queue figcaption b{display:block}.queue ul{margin:4px 0 0;padding-left:18px}
.queue small{color:var(--soft)}
"""
_SAMPLE = '<i class="key" style="background:rgb{}"></i>{}'


def rank_page(
    dataset: Dataset,
    predictions: Predictions,
    entries: Sequence[Entry],
    images_dir: Path | None,
    progress: Callable[[int, int], None],
) -> str:
    """The whole page; it carries its pictures inside itself.

    Args:
        dataset: The labels.
        predictions: The model's answers.
        entries: The queue, worst first; the first are drawn, the others listed.
        images_dir: Folder of the images; None draws on plain paper.
        progress: Called with (done, total) pictures.

    Raises:
        UnsafeInputError: A file name leads out of the folder.
    """
    shown = entries[:PICTURES]
    figures = []
    for place, entry in enumerate(shown):
        answer = entry.prediction
        one = None if answer is None else predictions[np.array([answer])]
        figures.append(_figure(dataset, one, entry, place + 1, images_dir))
        progress(place + 1, len(shown))
    title = f"Labels to look at: {dataset.name}"
    body = (
        f"<header><h1>{escape(title)}</h1>{_lead(dataset, entries)}</header><main>"
        f'<section>{_key()}<div class="queue">{"".join(figures)}</div></section>'
        f"{_rest(entries[PICTURES:])}</main>"
    )
    return html_page(title, body, style=_STYLE)


def _lead(dataset: Dataset, entries: Sequence[Entry]) -> str:
    total = len(dataset.annotations)
    return (
        f'<p class="lead">The {len(entries):,} of {total:,} instances whose labels are '
        "likeliest wrong, worst first. The score is the logarithm of the odds of an error; "
        "a model can be wrong, too, so look before you change anything.</p>"
    )


def _key() -> str:
    return (
        f'<p class="lead">Label: {_SAMPLE.format(TRUTH_BODY, "body")}'
        f"{_SAMPLE.format(TRUTH_STICK, 'extension')}. "
        f"Model: {_SAMPLE.format(PREDICTED_BODY, 'body')}"
        f"{_SAMPLE.format(PREDICTED_STICK, 'extension')}. "
        f"{_SAMPLE.format(_RING, 'Rings')} mark the keypoints concerned.</p>"
    )


def _figure(
    dataset: Dataset,
    answer: Predictions | None,
    entry: Entry,
    place: int,
    images_dir: Path | None,
) -> str:
    pixels, name, note = _picture(dataset, answer, entry, images_dir)
    why = "".join(f"<li>{escape(reason.words)}</li>" for reason in entry.reasons)
    where = f"annotation {entry.annotation_id}, image {entry.image_id}, {name}"
    source = data_uri(encode_jpeg(pixels))
    return (
        f'<figure><img alt="{escape(where)}" src="{source}"><figcaption>'
        f"<b>{place}. annotation {entry.annotation_id}, score {score(entry):.1f}</b>"
        f"<small>image {entry.image_id}: {escape(name)}{escape(note)}</small>"
        f"<ul>{why}</ul></figcaption></figure>"
    )


def _picture(
    dataset: Dataset, answer: Predictions | None, entry: Entry, images_dir: Path | None
) -> tuple[NDArray[np.uint8], str, str]:
    """The drawing, the image's name, and why the photograph is not shown."""
    person = dataset.annotations[np.array([entry.row])]
    points = person.keypoints[0]
    if answer is not None:
        points = np.concatenate([points, answer.keypoints[0]])
    box = person.bbox_xywh[0]
    if not np.isfinite(box).all():
        finite = points[np.isfinite(points).all(axis=1)]
        box = keypoint_extent(finite[None])[0] if len(finite) else np.array([0.0, 0, 64, 64])
    image = int(dataset.image_row[entry.row])
    name = dataset.images.file_names[image]
    ground, note = _ground(dataset, image, images_dir)
    canvas = draw_image(
        ground,
        person,
        answer,
        view_xywh=instance_view(box, points),
        long_side=_LONG_SIDE,
        crops=False,
    )
    for keypoint in entry.keypoints if len(entry.keypoints) <= _MOST_RINGS else ():
        k = dataset.schema.index(keypoint)
        at = person.keypoints[0, k]
        if np.isnan(at).any() and answer is not None:
            at = answer.keypoints[0, k]
        _ring(canvas, at)
    return canvas.pixels, name, note


def _ground(
    dataset: Dataset, image: int, images_dir: Path | None
) -> tuple[NDArray[np.uint8], str]:
    """The photograph, or plain paper of its size and why."""
    note = " (no --images given)"
    if images_dir is not None:
        try:
            name, key = dataset.images.file_names[image], int(dataset.images.ids[image])
            return load_image(resolve_image(images_dir, name, key)), ""
        except InvalidDataError as error:
            note = f" ({error})"
    width, height = np.clip(dataset.images.size_wh[image], 1, _MOST_PX).tolist()
    return np.full((height, width, 3), _PAPER, np.uint8), note


def _ring(canvas: Canvas, point: NDArray[np.float64]) -> None:
    import cv2  # lazy: opencv

    at = canvas.locate(point)
    if not np.isfinite(at).all() or np.abs(at).max() > 8 * _LONG_SIDE:
        return
    centre = (round(float(at[0])), round(float(at[1])))
    cv2.circle(canvas.pixels, centre, 15, DARK, 4, cv2.LINE_AA)
    cv2.circle(canvas.pixels, centre, 15, _RING, 2, cv2.LINE_AA)


def _rest(entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    rows = "".join(
        f"<tr><td>{place}</td><td>{entry.annotation_id}</td><td>{entry.image_id}</td>"
        f"<td>{score(entry):.1f}</td><td class=text>{escape(entry.reason)}</td></tr>"
        for place, entry in enumerate(entries, PICTURES + 1)
    )
    heads = "<th>place<th>annotation<th>image<th>score<th class=text>reason"
    return (
        '<section><h2>The rest of the queue</h2><div class="wide"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
