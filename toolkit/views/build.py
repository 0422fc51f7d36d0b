"""From an annotation file to a data set in FiftyOne."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from toolkit.errors import OutputExistsError, UsageError
from toolkit.files import sha256_bytes
from toolkit.formats.base import collector_off
from toolkit.views.declare import declare, dress, field_names
from toolkit.views.documents import Content, LabelIds, frames
from toolkit.views.home import bring_home, is_pulled
from toolkit.views.keep import Kept, recipe_of, save
from toolkit.views.saved import save_views

if TYPE_CHECKING:
    from fiftyone import Dataset as FiftyOneDataset

BATCH = 500  # frames
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        name: Of the data set.
        frames: Number of frames.
        people: Number of people.
        views: Names of the saved views.
        reused: Whether it was there already, made from the same files.
    """

    name: str
    frames: int
    people: int
    views: tuple[str, ...]
    reused: bool = False


def build(
    content: Content,
    name: str,
    images: Path,
    recipe: Mapping[str, str],
    *,
    coco: bytes,
    queues: tuple[str, ...] = (),
    force: bool = False,
    discard: bool = False,
    progress: Progress | None = None,
) -> Built:
    """Build a persistent data set, whole or not at all; `engine.connect` comes first.

    Args:
        content: What to show.
        name: Of the data set.
        images: Folder of the images.
        recipe: What it is made from: a view with the same recipe is taken as it is.
        coco: The annotation file's bytes.
        queues: Which queues the content holds.
        force: Replace a data set of that name.
        discard: Replace it even where it holds edits that are not home yet.
        progress: Called with (done, total) frames.

    Raises:
        OutputExistsError: A data set of that name is made from other files.
    """
    import fiftyone as fo  # lazy: 2 to 7 s

    existing = existing_view(name, recipe, force=force, discard=discard)
    if existing is not None:
        return existing
    building = f"{name} being built {os.getpid()}"
    if fo.dataset_exists(building):
        fo.delete_dataset(building)
    view = fo.Dataset(building)  # not persistent: FiftyOne removes what is left of it
    try:
        views = _fill(view, content, images, recipe, coco, queues, progress)
        if fo.dataset_exists(name):
            fo.delete_dataset(name)
        view.name = name
        view.persistent = True
    except BaseException:
        fo.delete_dataset(building)
        raise
    dataset = content.dataset
    return Built(name, len(dataset.images), len(dataset.annotations), tuple(views))


def existing_view(
    name: str, recipe: Mapping[str, str], *, force: bool, discard: bool = False
) -> Built | None:
    """The data set of that name, if it is made from the same files and nothing is forced.

    Raises:
        OutputExistsError: It is made from other files, or not by the toolkit.
        UsageError: FiftyOne allows no such name, or edits would be lost.
    """
    import fiftyone as fo  # lazy: 2 to 7 s

    if not name.strip() or not any(letter.isalnum() and letter.isascii() for letter in name):
        raise UsageError(f"option 'name': got {name!r}; FiftyOne wants letters or digits in it")
    if not fo.dataset_exists(name):
        return None
    view = fo.load_dataset(name)
    if force:
        _refuse_to_lose_edits(view, discard)
        return None
    if recipe_of(view) != dict(recipe):
        raise OutputExistsError(
            f"FiftyOne data set '{name}' exists already and is made from other files; pass "
            "--force to replace it, or another --name"
        )
    people = int(view.sum("instances") or 0)
    return Built(name, len(view), people, tuple(view.list_saved_views()), reused=True)


def _refuse_to_lose_edits(view: FiftyOneDataset, discard: bool) -> None:
    """A data set whose edits nobody has brought home is worth more than its space."""
    if discard or recipe_of(view) is None:
        return
    home = bring_home(view)
    if not home.unchanged and not is_pulled(view, home):
        raise UsageError(
            f"FiftyOne data set '{view.name}' holds edits that are not home yet; run "
            f"'toolkit view pull {view.name} --out NEW.json' first, or pass --discard-edits"
        )


def _fill(
    view: FiftyOneDataset,
    content: Content,
    images: Path,
    recipe: Mapping[str, str],
    coco: bytes,
    queues: tuple[str, ...],
    progress: Progress | None,
) -> list[str]:
    dataset = content.dataset
    ids = LabelIds()
    view.media_type = "image"
    declare(view, content)
    _insert(view, content, ids, progress)
    view.reload()
    dress(view, dataset.schema, content.predictions)
    kept = Kept(
        file=dataset.name,
        coco=coco,
        sha256=sha256_bytes(coco),
        schema=dataset.schema,
        images=str(images.resolve()),
        prefix=ids.prefix,
        recipe=recipe,
        fields=field_names(content),
    )
    save(view, kept)
    return save_views(view, dataset.schema, content.predictions, queues)


def _insert(
    view: FiftyOneDataset, content: Content, ids: LabelIds, progress: Progress | None
) -> None:
    """Insert all frames as plain documents, past FiftyOne's objects: fifty times as quick."""
    from fiftyone.core.odm import get_db_conn  # lazy: 2 to 7 s

    now = datetime.now(UTC).replace(tzinfo=None)
    common = {
        "_media_type": "image",
        "_dataset_id": view._doc.id,
        "created_at": now,
        "last_modified_at": now,
    }
    collection = get_db_conn()[view._sample_collection_name]
    chance = Random(0).random  # FiftyOne shuffles by it
    total, done = len(content.dataset.images), 0
    with collector_off():
        documents = frames(content, ids, common)
        while batch := [{**each, "_rand": chance()} for each in islice(documents, BATCH)]:
            collection.insert_many(batch, ordered=False)
            done += len(batch)
            if progress is not None:
                progress(done, total)
