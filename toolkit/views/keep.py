"""What a FiftyOne data set remembers of the file that it was built from.

The file itself is kept beside the labels (packed, in FiftyOne's store for results), so that
edits can go home from any machine that reaches the database, and so that they are compared
with exactly what was shown.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import UsageError
from toolkit.schema import Schema
from toolkit.schema_facts import read_schema, schema_to_facts

if TYPE_CHECKING:
    from fiftyone import Dataset as FiftyOneDataset

KEY = "toolkit"
VERSION = 1
LEVEL = 6  # of zlib: annotation files shrink to a fifth, at 30 MB/s


@dataclass(frozen=True)
class Kept:
    """The origin of a view.

    Attributes:
        file: Name of the annotation file.
        coco: Its bytes; of other formats, the same content as COCO.
        sha256: Of `coco`.
        schema: What the keypoints are.
        images: Folder of the images, as it was given.
        prefix: First seven bytes of the ids of all labels.
        recipe: What the view was made from, by name, for comparing.
        fields: Names of the attributes and fields that the toolkit wrote.
    """

    file: str
    coco: bytes
    sha256: str
    schema: Schema
    images: str
    prefix: bytes
    recipe: Mapping[str, str]
    fields: tuple[str, ...]


def save(view: FiftyOneDataset, kept: Kept) -> None:
    """Store the origin in a data set."""
    config = view.init_run(
        version=VERSION,
        file=kept.file,
        sha256=kept.sha256,
        schema=json.dumps(schema_to_facts(kept.schema)),
        images=kept.images,
        prefix=kept.prefix.hex(),
        recipe=dict(kept.recipe),
        fields=list(kept.fields),
    )
    view.register_run(KEY, config)
    packed = base64.b64encode(zlib.compress(kept.coco, LEVEL)).decode("ascii")
    results = view.init_run_results(KEY, coco=packed)
    view.save_run_results(KEY, results, cache=False)


def recipe_of(view: FiftyOneDataset) -> Mapping[str, str] | None:
    """What a data set was made from, or None where the toolkit did not make it."""
    if not view.has_run(KEY):
        return None
    return dict(view.get_run_info(KEY).config.recipe)


def images_of(view: FiftyOneDataset) -> str:
    """The folder of the images.

    Raises:
        UsageError: The toolkit did not make this data set.
    """
    _require(view)
    return str(view.get_run_info(KEY).config.images)


def load(view: FiftyOneDataset) -> Kept:
    """The origin of a data set.

    Raises:
        UsageError: The toolkit did not make it.
        ReadError: Its schema cannot be read.
    """
    _require(view)
    config = view.get_run_info(KEY).config
    packed = view.load_run_results(KEY, cache=False).coco
    return Kept(
        file=config.file,
        coco=zlib.decompress(base64.b64decode(packed)),
        sha256=config.sha256,
        schema=read_schema(json.loads(config.schema), where=f"FiftyOne data set '{view.name}'"),
        images=config.images,
        prefix=bytes.fromhex(config.prefix),
        recipe=dict(config.recipe),
        fields=tuple(config.fields),
    )


def _require(view: FiftyOneDataset) -> None:
    if not view.has_run(KEY):
        raise UsageError(
            f"FiftyOne data set '{view.name}' was not made by 'toolkit view'; only those know "
            "the file that edits belong to"
        )
