"""A data set on its way into a format and back: everything is worked out once."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

from toolkit.dataset import Dataset
from toolkit.formats.base import Format
from toolkit.formats.coco_write import document_of_dataset
from toolkit.formats.foreign import CocoDocument


class Prepared:
    """A data set on its way into a format; nothing is written before `write`."""

    def __init__(self, end: Format[Dataset], dataset: Dataset) -> None:
        """Prepare the way of a data set into format `end`."""
        self.end, self.dataset = end, dataset

    @cached_property
    def document(self) -> CocoDocument:
        """The data set as a COCO document."""
        return document_of_dataset(self.dataset)

    @cached_property
    def lost(self) -> Counter[str]:
        """What changes there and back; see `Format.loses`."""
        return self.end.loses(self.dataset)

    @cached_property
    def dropped(self) -> set[int]:
        """Indices of the annotations that have no place; see `Format.dropped`."""
        return self.end.dropped(self.dataset)

    @property
    def notes(self) -> list[str]:
        """What the target's user should know though nothing of it is lost, a line each."""
        return []

    def write(self, path: Path, *, force: bool = False) -> None:
        """Write the target."""
        self.end.write(self.dataset, path, force)

    def read_back(self, path: Path) -> CocoDocument:
        """What a target that `write` has written says, as a COCO document."""
        dataset, _ = self.end.scan(path, None)
        return document_of_dataset(dataset)


def prepare(end: Format[Dataset], dataset: Dataset) -> Prepared:
    """The way of a data set into a format."""
    return Prepared(end, dataset) if end.prepare is None else end.prepare(dataset)
