"""Queues of instances to look at, as `toolkit agreement` and `toolkit rank` print them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ReadError

_LISTS = ("queue", "ranking", "instances", "annotations")
_IDS = ("annotation_id", "instance_id", "id")


@dataclass(frozen=True)
class Queue:
    """The place of each of N instances in a queue.

    Attributes:
        score: (N,) as the file gives it; NaN where an instance is not in the queue.
        rank: (N,) from 1; 0 where an instance is not in the queue.
    """

    score: NDArray[np.float64]
    rank: NDArray[np.int64]


def read_queue(path: Path, dataset: Dataset) -> Queue:
    """Read a queue: a list of objects with an annotation id and a score, worst first.

    The list is the document itself or its key `queue`, `ranking` or `instances`; ids are
    `annotation_id`, `instance_id` or `id`, or several in `instance_ids` (one for each
    annotator), of which those of this file count.

    Raises:
        ReadError: The file cannot be read or is not JSON.
        InvalidDataError: It holds no such list, or nothing of this data set.
    """
    entries = entries_of(path)
    people = dataset.annotations
    row_of = {int(key): row for row, key in enumerate(people.instance_id)}
    score = np.full(len(people), np.nan)
    rank = np.zeros(len(people), np.int64)
    place = 0
    for entry in entries:
        row = instance_row(entry, row_of, dataset)
        if row is None or rank[row]:
            continue
        place += 1
        rank[row] = place
        value = entry.get("score")
        score[row] = float(value) if isinstance(value, int | float) else np.nan
    if entries and not place:
        raise InvalidDataError(
            f"{path.name}: none of its {len(entries):,} entries names an annotation of "
            f"{dataset.name}; is it a queue of another file?"
        )
    return Queue(score, rank)


def entries_of(path: Path) -> list[dict[str, object]]:
    """The entries of a queue file, worst first; see `read_queue`."""
    try:
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ReadError(f"{path}: cannot read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ReadError(f"{path.name}: is not JSON: {error}") from error
    found = document
    if isinstance(document, dict):
        lists = (document.get(key) for key in _LISTS)
        found = next((each for each in lists if isinstance(each, list)), None)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InvalidDataError(
            f"{path.name}: no list of instances; wanted what 'toolkit agreement --json' or "
            "'toolkit rank --json' prints: a list 'queue' of objects with 'annotation_id' "
            "and 'score'"
        )
    return found


def instance_row(
    entry: dict[str, object], row_of: dict[int, int], dataset: Dataset
) -> int | None:
    """The row of the instance that an entry names, in its image where it names that."""
    several = entry.get("instance_ids")
    if isinstance(several, dict):
        several = list(several.values())
    ids = [entry.get(key) for key in _IDS]
    ids += several if isinstance(several, list) else []
    image = entry.get("image_id")
    for value in ids:
        row = row_of.get(value) if isinstance(value, int) else None
        if row is None:
            continue
        if image is None or int(dataset.annotations.image_id[row]) == image:
            return row
    return None
