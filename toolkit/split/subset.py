"""A part of an annotation file, every kept record byte for byte."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats import CocoSource
from toolkit.formats.document import Edit


class _Owner(Struct):
    image_id: int


_OWNER = msgspec.json.Decoder(_Owner)


class Subsets:
    """Cuts a file into parts by image.

    Records keep their bytes and their order; all other top-level keys stay as they are.
    Annotations of other categories, which are not in the arrays, follow their image.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Find the image of every annotation record.

        Raises:
            UsageError: The data set was not read from a file.
            InvalidDataError: Two images have one id, or a record cannot be placed.
        """
        source = dataset.source
        if not isinstance(source, CocoSource):
            raise UsageError("only a data set that was read from a file can be split")
        self._name, self._document = dataset.name, source.document
        ids = dataset.images.ids
        if len(source.image_records) != len(source.document.sections["images"]):
            raise InvalidDataError(
                f"{dataset.name}: some image records cannot be read; run 'toolkit validate'"
            )
        self._image_records = source.image_records
        self._row: dict[int, int] = {int(image): row for row, image in enumerate(ids)}
        if len(self._row) != len(ids):
            raise InvalidDataError(
                f"{dataset.name}: {len(ids) - len(self._row)} images repeat an id, so that "
                "annotations cannot be placed; run 'toolkit validate' for the list"
            )
        self._owner = np.array([self._place(at) for at in self._records()], np.int64)

    def _records(self) -> range:
        section = self._document.sections.get("annotations")
        return range(0 if section is None else len(section))

    def _place(self, index: int) -> int:
        record = self._document.record("annotations", index)
        try:
            return self._row[_OWNER.decode(record).image_id]
        except (msgspec.DecodeError, KeyError) as error:
            raise InvalidDataError(
                f"{self._name}: annotations[{index}]: its image cannot be told ({error}); "
                "run 'toolkit validate'"
            ) from error

    def part(self, images: NDArray[np.bool_]) -> bytes:
        """The file with only these images and their annotations.

        Args:
            images: (I,) which images.
        """
        kept = np.flatnonzero(images[self._owner]) if len(self._owner) else self._owner
        edits: Mapping[str, Edit] = {
            "images": Edit(order=[int(at) for at in self._image_records[images]]),
            "annotations": Edit(order=[int(at) for at in kept]),
        }
        return b"".join(bytes(piece) for piece in self._document.render(edits))
