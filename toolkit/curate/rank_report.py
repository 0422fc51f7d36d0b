"""A ranking as JSON, and as a queue of annotation ids."""

from __future__ import annotations

import json
from collections.abc import Sequence

from toolkit.curate.rank import Entry
from toolkit.dataset import Dataset


def queue_text(dataset: Dataset, entries: Sequence[Entry]) -> str:
    """The queue file: which annotations of which file to look at, worst first."""
    document = {
        "file": dataset.name,
        "sha256": dataset.sha256,
        "queue": [
            {
                "image_id": entry.image_id,
                "annotation_id": entry.annotation_id,
                "score": score(entry),
                "reason": entry.reason,
            }
            for entry in entries
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def entry_json(dataset: Dataset, entry: Entry) -> dict[str, object]:
    """One entry with its evidence."""
    return {
        "image_id": entry.image_id,
        "annotation_id": entry.annotation_id,
        "file_name": dataset.images.file_names[int(dataset.image_row[entry.row])],
        "score": score(entry),
        "reason": entry.reason,
        "keypoints": list(entry.keypoints),
        "evidence": [
            {
                "kind": reason.kind,
                "score": round(reason.score, 2),
                "reason": reason.words,
                "keypoints": list(reason.keypoints),
            }
            for reason in entry.reasons
        ],
    }


def score(entry: Entry) -> float:
    """The score to two digits: more would differ from machine to machine."""
    return round(entry.score, 2)
