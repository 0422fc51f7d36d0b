"""Which frames to push, and what the annotator is told: all, a queue, or a selection."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.formats.compare import identity
from toolkit.formats.foreign import CocoDocument, records_of
from toolkit.views.queues import entries_of, instance_row


def all_frames(document: CocoDocument) -> dict[int, str]:
    """Every row of `images`, without a word."""
    return dict.fromkeys(range(len(records_of(document, "images"))), "")


def frames_of_images(
    document: CocoDocument, ids: Iterable[int], note: str = ""
) -> dict[int, str]:
    """Rows of images by their ids.

    Raises:
        InvalidDataError: An image does not exist.
    """
    rows = _rows(document)
    found = {}
    for image_id in ids:
        row = rows.get(identity(image_id))
        if row is None:
            raise InvalidDataError(f"there is no image {image_id} in the file")
        found[row] = note
    return found


def frames_of_queue(
    path: Path, dataset: Dataset, document: CocoDocument, top: int | None = None
) -> dict[int, str]:
    """Rows of the frames of a queue, worst first, and what to look at in each.

    An entry whose `annotation_id` is null is somebody whom the first annotator lacks: its
    frame is taken by `image_id`.

    Args:
        path: What `toolkit rank` or `toolkit agreement` wrote.
        dataset: The file that is pushed.
        document: The same as a document.
        top: How many people of the queue; None for all.

    Raises:
        ReadError: The file cannot be read.
        InvalidDataError: It is no queue, or of another file; or an annotation of it has no
            image.
    """
    entries = entries_of(path)
    rows = _rows(document)
    people = {int(key): i for i, key in enumerate(dataset.annotations.instance_id)}
    notes: dict[int, list[str]] = {}
    for entry in entries[:top]:
        why = entry.get("reason") or entry.get("why") or ""
        why = "; ".join(map(str, why)) if isinstance(why, list) else str(why)
        row = instance_row(entry, people, dataset)
        if row is None:
            frame = rows.get(identity(entry.get("image_id")))
            if frame is not None and entry.get("annotation_id", 0) is None:
                notes.setdefault(frame, []).append(f"Somebody: {why}" if why else "Somebody")
            continue
        number = int(dataset.annotations.instance_id[row])
        image = int(dataset.annotations.image_id[row])
        frame = rows.get(identity(image))
        if frame is None:
            raise InvalidDataError(
                f"{path.name}: names annotation {number} of {dataset.name}, and no image has "
                f"its image_id {image}; add the image, or correct the reference"
            )
        notes.setdefault(frame, []).append(
            f"Person {number}: {why}" if why else f"Person {number}"
        )
    if entries and not notes:
        raise InvalidDataError(
            f"{path.name}: none of its {len(entries):,} entries names an annotation of "
            f"{dataset.name}; is it a queue of another file?"
        )
    return {frame: " | ".join(texts) for frame, texts in notes.items()}


def _rows(document: CocoDocument) -> dict[object, int]:
    rows: dict[object, int] = {}
    for row, image in enumerate(records_of(document, "images")):
        rows.setdefault(identity(image.get("id")), row)
    return rows
