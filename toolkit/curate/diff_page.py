"""A diff as a page of HTML: summary, keypoints, the largest moves with pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from toolkit.curate.diff import Diff
from toolkit.curate.diff_pictures import MovePicture, move_pictures
from toolkit.curate.diff_report import (
    COUNTED,
    counts,
    keypoint_summaries,
    pair_json,
    shown,
    summary_lines,
)
from toolkit.ink import (
    PREDICTED_BODY,
    PREDICTED_STICK,
    TRUTH_BODY,
    TRUTH_STICK,
    encode_jpeg,
)
from toolkit.page import data_uri, escape, html_page

LISTED = 200  # rows of each table on the page
_STYLE = """
.facts{display:grid;gap:10px;grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
.facts div{border:1px solid var(--edge);border-radius:8px;padding:8px 12px}
.facts b{display:block;font-size:22px;line-height:1.2;font-variant-numeric:tabular-nums}
.facts span{color:var(--soft);font-size:13px}
.key{display:inline-block;width:14px;height:4px;border-radius:2px;margin:0 5px 3px 12px}
.more{color:var(--soft);margin:10px 0 0;font-size:13px}
"""
_SAMPLE = '<i class="key" style="background:rgb{}"></i>{}'
_KEY = (
    f'<p class="lead">New: {_SAMPLE.format(TRUTH_BODY, "body")}'
    f"{_SAMPLE.format(TRUTH_STICK, 'extension')}. "
    f"Old: {_SAMPLE.format(PREDICTED_BODY, 'body')}"
    f"{_SAMPLE.format(PREDICTED_STICK, 'extension')}. The yellow arrow leads from the old "
    "place to the new one.</p>"
)


def diff_page(
    result: Diff, images_dir: Path | None, progress: Callable[[int, int], None]
) -> str:
    """The whole page; it carries its pictures inside itself.

    Args:
        result: What differs.
        images_dir: Folder of the new file's images; None draws on plain paper.
        progress: Called with (done, total) pictures.

    Raises:
        UnsafeInputError: A file name leads out of the folder.
    """
    pictures = [
        _figure(result, picture) for picture in move_pictures(result, images_dir, progress)
    ]
    title = f"{result.old.name} → {result.new.name}"
    parts = [_summary(result), _keypoints(result)]
    if pictures:
        panels = f'{_KEY}<div class="panels">{"".join(pictures)}</div>'
        parts.append(_section("Pictures of the largest moves", panels))
    parts += [_moves(result), _visibility(result), _boxes(result), _fields(result)]
    header = f"<header><h1>{escape(title)}</h1>{_lead(result)}</header>"
    return html_page(title, f"{header}<main>{''.join(parts)}</main>", style=_STYLE)


def _lead(result: Diff) -> str:
    lines = summary_lines(result)
    words = lines[:2] if result.equal else lines[:1]
    return f'<p class="lead">{escape("; ".join(words))}.</p>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], texts: int) -> str:
    """A table of texts that are escaped here; the first `texts` columns stand left."""

    def row(cells: Iterable[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=text' if at < texts else ''}>{escape(cell)}</{tag}>"
            for at, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return (
        f'<div class="wide"><table><thead><tr>{row(heads, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _listed(
    title: str, heads: tuple[str, ...], rows: list[list[str]], total: int, texts: int
) -> str:
    if not total:
        return ""
    more = ""
    if total > len(rows):
        more = f'<p class="more">The first {len(rows):,} of {total:,}.</p>'
    return _section(title, _table(heads, rows, texts) + more)


def _summary(result: Diff) -> str:
    found = counts(result)
    facts = "".join(
        f"<div><b>{found[key]:,}</b><span>{escape(words)}</span></div>"
        for key, words in COUNTED.items()
        if found[key]
    )
    lines = [line for line in summary_lines(result)[1:] if not line.startswith(" ")]
    notes = "".join(f'<p class="more">{escape(line)}</p>' for line in lines)
    return _section("Summary", f'<div class="facts">{facts}</div>{notes}')


def _keypoints(result: Diff) -> str:
    heads = (
        *("keypoint", "compared", "moved", "median px", "max px"),
        *("labelled", "unlabelled", "visibility"),
    )
    rows = [
        [
            *(line.name, f"{line.compared:,}", f"{line.moved:,}"),
            *(_px(line.median_px), _px(line.max_px)),
            *(f"{line.labelled:,}", f"{line.unlabelled:,}", f"{line.visibility:,}"),
        ]
        for line in keypoint_summaries(result)
        if line.changed
    ]
    return _listed("Keypoints that changed", heads, rows, len(rows), 1)


def _person(result: Diff, pair: int) -> list[str]:
    who = pair_json(result, pair)
    ids = f"{who['id']}" if who["id"] == who["new_id"] else f"{who['id']} → {who['new_id']}"
    return [ids, f"{who['image_id']}", f"{who['file_name'] or ''}"]


def _moves(result: Diff) -> str:
    heads = ("id", "image", "file", "keypoint", "px")
    rows = [
        [*_person(result, pair), result.shared.names[k], _px(float(result.moved_px[pair, k]))]
        for pair, k in result.largest_moves(LISTED)
    ]
    return _listed("Largest moves", heads, rows, int(result.moved.sum()), 4)


def _visibility(result: Diff) -> str:
    heads = ("id", "image", "file", "keypoint", "before", "after")
    pairs, columns = np.nonzero(result.relabelled)
    rows = [
        [
            *(*_person(result, pair), result.shared.names[k]),
            *(str(result.old_visibility[pair, k]), str(result.new_visibility[pair, k])),
        ]
        for pair, k in zip(pairs[:LISTED].tolist(), columns[:LISTED].tolist(), strict=True)
    ]
    return _listed("Visibility", heads, rows, len(pairs), 4)


def _boxes(result: Diff) -> str:
    heads = ("id", "image", "file", "before", "after", "px")
    found = np.flatnonzero(result.boxes)
    rows = []
    for pair in found[np.argsort(-result.box_px[found], kind="stable")][:LISTED].tolist():
        a, b = int(result.people.old[pair]), int(result.people.new[pair])
        boxes = (result.old.annotations.bbox_xywh[a], result.new.annotations.bbox_xywh[b])
        texts = [
            "(none)" if np.isnan(box).any() else ", ".join(map(_exact, box.tolist()))
            for box in boxes
        ]
        rows.append([*_person(result, pair), *texts, _px(float(result.box_px[pair]))])
    return _listed("Boxes", heads, rows, len(found), 5)


def _fields(result: Diff) -> str:
    heads = ("where", "before", "after")
    rows = [
        [change.place, shown(change.old), shown(change.new)]
        for change in result.fields[:LISTED]
    ]
    return _listed("Other fields", heads, rows, len(result.fields), 3)


def _figure(result: Diff, picture: MovePicture) -> str:
    who = pair_json(result, picture.pair)
    name = result.shared.names[picture.column]
    px = _px(float(result.moved_px[picture.pair, picture.column]))
    others = int(result.moved[picture.pair].sum()) - 1
    more = f" and {others} more" if others else ""
    caption = f"id {who['id']}, {who['file_name'] or 'image ' + str(who['image_id'])}: "
    note = f" ({picture.note})" if picture.note else ""
    text = escape(f"{caption}{name} moved by {px} px{more}{note}")
    source = data_uri(encode_jpeg(picture.pixels))
    return (
        f'<figure><img loading="lazy" alt="{text}" src="{source}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _exact(value: float) -> str:
    """Every digit: two boxes that differ must not look alike."""
    return repr(value).removesuffix(".0")


def _px(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.1f}" if value >= 0.05 else f"{value:.2g}"
