"""The repairs, one for each rule that has one.

Adding a repair: write a function that gives the changes, add one `Repair` to `REPAIRS` and
a faulty file to its test; it is safe only as `toolkit.checks.fix_base` says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from msgspec import UNSET, Raw, UnsetType

from toolkit.checks.fix_base import Bench, Change, Repair, whole_id
from toolkit.formats.document import number_tokens, with_tokens
from toolkit.formats.encode import number_text


def _renumber(code: str) -> Callable[[Bench], Iterator[Change]]:
    def propose(bench: Bench) -> Iterator[Change]:
        fresh = bench.fresh_ids()
        for row in bench.rows(code).tolist():
            if row not in bench.renumbered:
                bench.renumbered.add(row)
                yield bench.annotation(row, "id", str(next(fresh)))

    return propose


class _Crowd(msgspec.Struct):
    iscrowd: Raw | UnsetType = UNSET


_CROWD = msgspec.json.Decoder(_Crowd)


def _no_crowd_flag(bench: Bench) -> Iterator[Change]:
    # The arrays hold False for a missing flag too, so the records are asked.
    for row in np.flatnonzero(~bench.dataset.annotations.is_crowd).tolist():
        index = int(bench.source.annotation_records[row])
        try:
            record = _CROWD.decode(bench.document.record("annotations", index))
            missing = record.iscrowd is UNSET
        except (msgspec.DecodeError, UnicodeDecodeError):
            missing = "iscrowd" not in bench.texts("annotations", index)
        if missing:
            yield bench.annotation(row, "iscrowd", "0")


def _byte_order_mark(bench: Bench) -> Iterator[Change]:
    if bench.document.prefix:
        yield Change(None, None, None, "byte order mark", "EF BB BF", None)


def _count(code: str) -> Callable[[Bench], Iterator[Change]]:
    def propose(bench: Bench) -> Iterator[Change]:
        labelled = bench.dataset.annotations.labelled.sum(axis=1)
        for row in bench.rows(code).tolist():
            yield bench.annotation(row, "num_keypoints", str(int(labelled[row])))

    return propose


def _area_of_box(code: str) -> Callable[[Bench], Iterator[Change]]:
    def propose(bench: Bench) -> Iterator[Change]:
        boxes = bench.dataset.annotations.bbox_xywh
        for row in bench.rows(code).tolist():
            width, height = boxes[row, 2:].tolist()
            if width > 0 and height > 0 and np.isfinite(width * height):
                yield bench.annotation(row, "area", number_text(width * height))

    return propose


def _absent_to_zero(bench: Bench) -> Iterator[Change]:
    for row in bench.rows("visibility-zero-coordinates").tolist():
        index = int(bench.source.annotation_records[row])
        old = bench.texts("annotations", index).get("keypoints")
        tokens = number_tokens(old)
        for at in range(0, len(tokens) - 2, 3):
            if float(tokens[at + 2]) == 0:
                tokens[at], tokens[at + 1] = "0", "0"
        new = with_tokens(old, tokens)
        if new != old:
            yield bench.annotation(row, "keypoints", new)


def _turned_boxes(bench: Bench) -> Iterator[Change]:
    boxes = bench.dataset.annotations.bbox_xywh
    for row in bench.rows("bbox-size").tolist():
        x, y, width, height = boxes[row].tolist()
        if width and height:
            turned = [min(x, x + width), min(y, y + height), abs(width), abs(height)]
            index = int(bench.source.annotation_records[row])
            old = bench.texts("annotations", index).get("bbox")
            tokens = number_tokens(old)
            same = [v == w for v, w in zip(turned, (x, y, width, height), strict=True)]
            spelled = [
                token if kept else number_text(value, token)
                for value, kept, token in zip(turned, same, tokens, strict=True)
            ]
            yield bench.annotation(row, "bbox", with_tokens(old, spelled))


def _edges(bench: Bench) -> Iterator[Change]:
    faulty = {at for _, _, at in bench.places("skeleton-index")}
    for category in bench.source.categories:
        if category.index not in faulty:
            continue
        old = bench.texts("categories", category.index).get("skeleton")
        good = [list(pair) for pair in category.skeleton]
        if old is not None and json.loads(old) != good:
            yield Change(
                "categories", category.index, category.id, "skeleton", old, json.dumps(good)
            )


def _whole_ids(bench: Bench) -> Iterator[Change]:
    for section, field, index in bench.places("id-type"):
        old = "" if field is None else bench.texts(section, index).get(field, "")
        new = whole_id(old)
        if field is not None and new is not None:
            yield Change(section, index, None, field, old, new)


_RECOUNT = "num_keypoints becomes the number of keypoints with visibility above 0"
_AREA = "area becomes width x height of the box (a larger scale than a segmented area)"
REPAIRS = (
    Repair("json-bom", "the byte order mark is left out", True, _byte_order_mark),
    Repair(
        "annotation-id-duplicate",
        "every later instance with a used id gets a new one after the largest; files that "
        "name the old id go on meaning the first",
        True,
        _renumber("annotation-id-duplicate"),
    ),
    Repair(
        "annotation-id-zero",
        "id 0 becomes a new id after the largest; files that name id 0 have to follow",
        True,
        _renumber("annotation-id-zero"),
    ),
    Repair("iscrowd-missing", "iscrowd 0, one person, is added", True, _no_crowd_flag),
    Repair("num-keypoints-missing", _RECOUNT, False, _count("num-keypoints-missing")),
    Repair("num-keypoints-mismatch", _RECOUNT, False, _count("num-keypoints-mismatch")),
    Repair("num-keypoints-zero", _RECOUNT, False, _count("num-keypoints-zero")),
    Repair("area-missing", _AREA, False, _area_of_box("area-missing")),
    Repair("area-value", _AREA, False, _area_of_box("area-value")),
    Repair(
        "bbox-size",
        "a box with a negative width or height is written from its other corner; a box "
        "without extent is left",
        False,
        _turned_boxes,
    ),
    Repair(
        "visibility-zero-coordinates",
        "coordinates under visibility 0 become 0",
        False,
        _absent_to_zero,
    ),
    Repair(
        "skeleton-index",
        "edges that do not name two keypoints are left out",
        False,
        _edges,
    ),
    Repair(
        "id-type",
        'an id or reference such as "12" or 12.0 becomes 12; others are left',
        False,
        _whole_ids,
    ),
)
