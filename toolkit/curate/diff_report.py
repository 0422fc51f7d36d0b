"""A diff as JSON and as lines of text: counts, keypoints, the largest moves."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from toolkit.curate.diff import Diff, Indices
from toolkit.curate.fields import FieldChange
from toolkit.curate.records import MISSING
from toolkit.dataset import Dataset
from toolkit.errors import counted
from toolkit.printed import printable

Json = dict[str, object]
_SHOWN = 60  # characters of a value in a line of text
_IDS_SHOWN = 12
COUNTED = {
    "keypoints_moved": "keypoints moved",
    "visibility_changed": "visibilities changed",
    "boxes_changed": "boxes changed",
    "annotations_added": "instances added",
    "annotations_removed": "instances removed",
    "annotations_renumbered": "instances with another id",
    "annotation_fields_changed": "other fields of annotations",
    "images_added": "images added",
    "images_removed": "images removed",
    "image_fields_changed": "fields of images",
    "category_fields_changed": "fields of categories",
    "document_fields_changed": "fields beside the lists",
}


@dataclass(frozen=True)
class KeypointSummary:
    """What happened to one keypoint over all paired people.

    Attributes:
        name: Its name.
        compared: People in whom both files label it.
        moved: How many of these moved by more than the tolerance.
        median_px: Of those that moved; None where none did.
        max_px: Of those that moved; None where none did.
        labelled: How many were labelled in the new file only.
        unlabelled: How many were labelled in the old file only.
        visibility: How many are labelled in both with another visibility.
    """

    name: str
    compared: int
    moved: int
    median_px: float | None
    max_px: float | None
    labelled: int
    unlabelled: int
    visibility: int

    @property
    def changed(self) -> bool:
        """Whether anything happened to it."""
        return bool(self.moved or self.labelled or self.unlabelled or self.visibility)


def keypoint_summaries(result: Diff) -> list[KeypointSummary]:
    """One line for each keypoint that both files have, in the schema's order."""
    moved = result.moved
    before, after = result.old_visibility > 0, result.new_visibility > 0
    flags = before & after & result.relabelled
    lines = []
    for k, name in enumerate(result.shared.names):
        moves = result.moved_px[moved[:, k], k]
        lines.append(
            KeypointSummary(
                name=name,
                compared=int((before[:, k] & after[:, k]).sum()),
                moved=len(moves),
                median_px=float(np.median(moves)) if len(moves) else None,
                max_px=float(moves.max()) if len(moves) else None,
                labelled=int((after[:, k] & ~before[:, k]).sum()),
                unlabelled=int((before[:, k] & ~after[:, k]).sum()),
                visibility=int(flags[:, k].sum()),
            )
        )
    return lines


def counts(result: Diff) -> dict[str, int]:
    """How often each kind of difference occurs."""
    by_section = {"images": 0, "annotations": 0, "categories": 0, "": 0}
    for change in result.fields:
        by_section[change.section] += 1
    return {
        "keypoints_moved": int(result.moved.sum()),
        "visibility_changed": int(result.relabelled.sum()),
        "boxes_changed": int(result.boxes.sum()),
        "annotations_added": len(result.added),
        "annotations_removed": len(result.removed),
        "annotations_renumbered": result.renumbered,
        "annotation_fields_changed": by_section["annotations"],
        "images_added": len(result.added_images),
        "images_removed": len(result.removed_images),
        "image_fields_changed": by_section["images"],
        "category_fields_changed": by_section["categories"],
        "document_fields_changed": by_section[""],
    }


def to_json(result: Diff, limit: int | None = 1000) -> Json:
    """The diff as a JSON document; every list holds at most `limit` entries."""
    old, new = result.old, result.new
    gone, come = result.keypoints_changed
    return {
        "old": str(old.path or old.name),
        "new": str(new.path or new.name),
        "equal": result.equal,
        "same_bytes": result.same_bytes,
        "reordered": list(result.reordered),
        "settings": {
            "tolerance_px": result.tolerance,
            "oks_threshold": result.threshold,
            "limit": limit,
        },
        "matched": {"images": result.images.counts(), "annotations": result.people.counts()},
        "counts": counts(result),
        "keypoints": {"added": list(come), "removed": list(gone)},
        "per_keypoint": {
            line.name: {key: value for key, value in vars(line).items() if key != "name"}
            for line in keypoint_summaries(result)
        },
        "moves": [move_json(result, *at) for at in result.largest_moves(limit)],
        "visibility": _visibility(result, limit),
        "boxes": _boxes(result, limit),
        "fields": [field_json(change) for change in result.fields[:limit]],
        "added": _people(result, result.added[:limit], new=True),
        "removed": _people(result, result.removed[:limit], new=False),
        "images": {
            "added": _images(result, result.added_images[:limit], new=True),
            "removed": _images(result, result.removed_images[:limit], new=False),
        },
    }


def field_json(change: FieldChange) -> Json:
    """A changed field; `old` or `new` is left out where there was none."""
    found: Json = {"section": change.section, "id": change.key, "field": change.field}
    for name, value in (("old", change.old), ("new", change.new)):
        if value is not MISSING:
            found[name] = finite(value)
    return found


def finite(value: object) -> object:
    """JSON has no infinity: a number like 1e999 becomes text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return value


def pair_json(result: Diff, pair: int) -> Json:
    """Which person a pair is, in both files."""
    a, b = int(result.people.old[pair]), int(result.people.new[pair])
    people, after = result.old.annotations, result.new.annotations
    return {
        "id": int(people.instance_id[a]),
        "new_id": int(after.instance_id[b]),
        "image_id": int(people.image_id[a]),
        "file_name": file_name(result.old, int(people.image_id[a])),
        "matched_by": result.people.rules[int(result.people.rule[pair])],
    }


def file_name(dataset: Dataset, image_id: int) -> str | None:
    """The file name of an image; None where the file does not have it."""
    rows = np.flatnonzero(dataset.images.ids == image_id)
    return dataset.images.file_names[int(rows[0])] if len(rows) else None


def move_json(result: Diff, pair: int, column: int) -> Json:
    """One moved keypoint."""
    a, b = int(result.people.old[pair]), int(result.people.new[pair])
    before = result.old.annotations.keypoints[a, result.shared.old[column]]
    after = result.new.annotations.keypoints[b, result.shared.new[column]]
    return {
        **pair_json(result, pair),
        "keypoint": result.shared.names[column],
        "px": float(result.moved_px[pair, column]),
        "old": before.tolist(),
        "new": after.tolist(),
    }


def _visibility(result: Diff, limit: int | None) -> list[Json]:
    rows, columns = np.nonzero(result.relabelled)
    return [
        {
            **pair_json(result, pair),
            "keypoint": result.shared.names[column],
            "old": int(result.old_visibility[pair, column]),
            "new": int(result.new_visibility[pair, column]),
        }
        for pair, column in zip(rows[:limit].tolist(), columns[:limit].tolist(), strict=True)
    ]


def _boxes(result: Diff, limit: int | None) -> list[Json]:
    found = []
    for pair in np.flatnonzero(result.boxes)[:limit].tolist():
        a, b = int(result.people.old[pair]), int(result.people.new[pair])
        boxes = result.old.annotations.bbox_xywh[a], result.new.annotations.bbox_xywh[b]
        old, new = (None if np.isnan(box).any() else box.tolist() for box in boxes)
        px = float(result.box_px[pair])
        edge = px if math.isfinite(px) else None
        found.append({**pair_json(result, pair), "px": edge, "old": old, "new": new})
    return found


def _people(result: Diff, rows: Indices, *, new: bool) -> list[Json]:
    people = (result.new if new else result.old).annotations
    return [
        {"id": int(people.instance_id[row]), "image_id": int(people.image_id[row])}
        for row in rows
    ]


def _images(result: Diff, rows: Indices, *, new: bool) -> list[Json]:
    images = (result.new if new else result.old).images
    return [{"id": int(images.ids[row]), "file_name": images.file_names[row]} for row in rows]


def _ids(result: Diff, rows: Indices, *, new: bool) -> str:
    people = (result.new if new else result.old).annotations
    more = ", ..." if len(rows) > _IDS_SHOWN else ""
    return "id " + ", ".join(str(i) for i in people.instance_id[rows[:_IDS_SHOWN]]) + more


def summary_lines(result: Diff) -> list[str]:
    """The diff in a few lines: what was matched how, and what differs how often."""
    lines = [_matched(result)]
    if result.equal:
        return [*lines, _no_differences(result)]
    found = counts(result)
    gone, come = result.keypoints_changed
    lines += [f"{found[key]:>9,}  {words}" for key, words in COUNTED.items() if found[key]]
    for names, word in ((come, "new"), (gone, "lost")):
        if names:
            lines.append(f"{len(names):>9,}  {word} keypoints: {', '.join(names)}")
    for rows, word, new in ((result.added, "added", True), (result.removed, "removed", False)):
        if len(rows):
            lines.append(f"instances {word}: {_ids(result, rows, new=new)}")
    if result.reordered:
        lines.append(f"also in another order: {', '.join(result.reordered)}")
    return lines


def _matched(result: Diff) -> str:
    by = result.people.counts()
    total = len(result.people.old)
    parts = [f"{by['id']:,} by id"]
    if by["oks"]:
        parts.append(f"{by['oks']:,} by OKS of at least {result.threshold:g}")
    images = result.images.counts()
    how = ", ".join(f"{number:,} by {rule}" for rule, number in images.items() if number)
    return (
        f"matched {counted(total, 'instance')} ({', '.join(parts)}) in "
        f"{counted(len(result.images.old), 'image')}" + (f" ({how})" if how else "")
    )


def _no_differences(result: Diff) -> str:
    within = f" beyond {result.tolerance:g} px" if result.tolerance else ""
    if result.same_bytes:
        return "no differences: the files are equal byte for byte"
    if result.reordered:
        return f"no differences{within} but the order of {' and '.join(result.reordered)}"
    return f"no differences{within}; the files are spelled differently"


def _value_text(value: object) -> str:
    """As JSON has it (`null`, `true`); a text in quotes, and words for what is missing."""
    if isinstance(value, str):
        return repr(value)
    return (
        str(value) if value is MISSING else json.dumps(value, ensure_ascii=False, default=str)
    )


def shown(value: object) -> str:
    """A value in a line of text, cut where it is long."""
    text = printable(_value_text(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
