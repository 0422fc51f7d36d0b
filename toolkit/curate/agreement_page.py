"""The page of an agreement: who differs how, and pictures of the people to look at again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from toolkit.annotations import Annotations, Predictions
from toolkit.curate.agreement import Agreement, Disagreement
from toolkit.curate.annotators import Panel
from toolkit.curate.habits import FLAGS, AnnotatorHabits
from toolkit.draw import draw_image, instance_view
from toolkit.errors import InvalidDataError
from toolkit.images import load_image, resolve_image
from toolkit.ink import encode_jpeg
from toolkit.page import data_uri, escape, html_page

PICTURES = 24
_LONG_SIDE = 520
_NAMES = 5  # keypoints named in a remark


def agreement_page(
    result: Agreement,
    panel: Panel,
    images_dir: Path | None,
    progress: Callable[[int, int], None],
) -> str:
    """The whole page; pictures only where images are given.

    Raises:
        UnsafeInputError: A file name leads out of the folder.
    """
    oks = "no sigma is known" if result.oks is None else f"mean OKS {100 * result.oks:.1f} %"
    head = (
        f"<header><h1>Agreement of {len(panel.names)} annotators</h1><p class=lead>"
        f"{result.people:,} people, {result.shared:,} labelled by all; {oks}. Nobody is taken "
        "for the truth: all are compared with each other.</p></header>"
    )
    body = (
        f"{head}<main>{_annotators(result)}{_keypoints(result)}{_visibility(result)}"
        f"{_queue(result, panel, images_dir, progress)}</main>"
    )
    return html_page("Agreement", body)


def percent(value: float | None, digits: int = 1) -> str:
    """A share as text; a dash for none."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def bias_text(row: AnnotatorHabits) -> str:
    """The mean offset in words: per cent of the size and px."""
    if row.bias_of_size is None or row.bias_px is None:
        return "-"
    x, y = (100 * part for part in row.bias_of_size)
    return f"{x:+.1f}, {y:+.1f} % ({row.bias_px[0]:+.1f}, {row.bias_px[1]:+.1f} px)"


def remarks(row: AnnotatorHabits) -> list[str]:
    """What is no chance about an annotator, in words."""
    found = ["labels off to one side"] if row.biased else []
    if row.biased_keypoints:
        names = row.biased_keypoints
        shown = ", ".join(names[:_NAMES])
        more = len(names) - _NAMES
        found.append(f"off at {shown}" + (f" and {more} more keypoints" if more > 0 else ""))
    return [*found, *row.habits]


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, last_is_text: bool = False
) -> str:
    last = len(head) - 1 if last_is_text else -1

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = ["".join((tag, " class=text" * (at == last))) for at in range(len(cells))]
        cells_of = zip(kinds, cells, strict=True)
        return "".join(f"<{kind}>{escape(cell)}</{tag}>" for kind, cell in cells_of)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    table = f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=wide>{table}</div>"


def _annotators(result: Agreement) -> str:
    rows = [
        [row.annotator, f"{row.people:,}", f"{row.missing:,}", f"{row.extra:,}",
         bias_text(row), f"{row.swaps:,}", "; ".join(remarks(row)) or "none"]
        for row in result.annotators
    ]  # fmt: skip
    head = ["annotator", "people", "missing", "extra", "mean offset (x, y)", "swaps", "remarks"]
    return f"<section><h2>Annotators</h2>{_table(head, rows, last_is_text=True)}</section>"


def _keypoints(result: Agreement) -> str:
    rows = [
        [row.keypoint, f"{row.pairs:,}",
         "-" if row.median_px is None else f"{row.median_px:.1f}",
         "-" if row.p90_px is None else f"{row.p90_px:.1f}",
         percent(row.mean_of_size, 2),
         "-" if row.interval is None
         else f"{100 * row.interval[0]:.2f} to {100 * row.interval[1]:.2f} %",
         percent(row.same_visibility)]
        for row in result.keypoints
    ]  # fmt: skip
    head = [
        "keypoint", "pairs", "median, px", "90 %, px", "mean of size", "95 %", "same flag",
    ]  # fmt: skip
    return f"<section><h2>Distances between two labels</h2>{_table(head, rows)}</section>"


def _visibility(result: Agreement) -> str:
    names = [*FLAGS, "missing person"]
    rows = [
        [name, *[f"{count:,}" for count in line]]
        for name, line in zip(names, result.confusion.tolist(), strict=True)
    ]
    text = "Pairs of flags: the earlier annotator down, the later across."
    return (
        f"<section><h2>Visibility</h2><p class=lead>{text}</p>"
        f"{_table(['', *names], rows)}</section>"
    )


def _queue(
    result: Agreement,
    panel: Panel,
    images_dir: Path | None,
    progress: Callable[[int, int], None],
) -> str:
    rows = [
        [f"{item.image_id}", ", ".join("-" if i is None else str(i) for i in item.instance_ids),
         f"{item.score:.3f}", "; ".join(item.why)]
        for item in result.queue[:PICTURES]
    ]  # fmt: skip
    figures = []
    if images_dir is not None:
        for done, item in enumerate(result.queue[:PICTURES], 1):
            figures.append(_figure(item, panel, images_dir))
            progress(done, min(PICTURES, len(result.queue)))
    key = f"Green and orange: {escape(panel.names[0])}. Blue: the annotator farthest from it."
    pictures = f"<p class=lead>{key}</p><div class=panels>{''.join(figures)}</div>"
    return (
        "<section><h2>To look at again</h2>"
        f"{pictures if figures else ''}"
        f"{_table(['image', 'ids', '1 - OKS', 'why'], rows, last_is_text=True)}</section>"
    )


def _figure(item: Disagreement, panel: Panel, images_dir: Path) -> str:
    images = panel.reference.images
    row = int(np.flatnonzero(images.ids == item.image_id)[0])
    try:
        path = resolve_image(images_dir, images.file_names[row], item.image_id)
        pixels = load_image(path)
    except InvalidDataError as error:
        return f"<figure><figcaption>{escape(error)}</figcaption></figure>"
    present = np.flatnonzero(panel.present[:, item.row])
    first = int(present[0])
    points = panel.keypoints[:, item.row]
    apart = np.linalg.norm(points - points[first], axis=2)
    far = [float(np.nan_to_num(apart[a]).max()) for a in present]
    other = int(present[int(np.argmax(far))])
    canvas = draw_image(
        pixels,
        _one(panel, first, item.row),
        _as_predictions(panel, other, item.row) if other != first else None,
        view_xywh=instance_view(panel.bbox_xywh[first, item.row], points[[first, other]]),
        long_side=_LONG_SIDE,
        crops=False,
    )
    names = escape(panel.names[first]) + (
        f" and {escape(panel.names[other])}" * (other != first)
    )
    return (
        f'<figure><img alt="" src="{data_uri(encode_jpeg(canvas.pixels, 85))}"><figcaption>'
        f"<b>image {item.image_id}</b>, {names}: {escape('; '.join(item.why))}"
        "</figcaption></figure>"
    )


def _one(panel: Panel, annotator: int, row: int) -> Annotations:
    flags = panel.visibility[annotator, row][None]
    return Annotations.from_arrays(
        panel.schema,
        panel.image_id[row : row + 1],
        panel.keypoints[annotator, row][None],
        flags,
        panel.bbox_xywh[annotator, row][None],
    )


def _as_predictions(panel: Panel, annotator: int, row: int) -> Predictions:
    return Predictions.from_arrays(
        panel.schema,
        panel.image_id[row : row + 1],
        panel.keypoints[annotator, row][None],
        bbox_xywh=panel.bbox_xywh[annotator, row][None],
    )
