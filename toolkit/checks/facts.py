"""What only the file's own text says: licences, splits, what stands beside the lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

if TYPE_CHECKING:
    from toolkit.formats.document import Document

Scalar = int | float | str | None


class _Fields(Struct, gc=False):
    license: Scalar = None
    split: Scalar = None


class _RawFields(Struct, gc=False):
    license: Raw = Raw(b"null")
    split: Raw = Raw(b"null")


class _Record(Struct, gc=False):
    id: int


_ID = msgspec.json.Decoder(_Record)
_MANY = msgspec.json.Decoder(list[_Fields])
_ONE = msgspec.json.Decoder(_RawFields)
_SCALAR = msgspec.json.Decoder(Scalar)


@dataclass(frozen=True)
class FileFacts:
    """A file's values outside the arrays, decoded when they are asked for.

    Attributes:
        document: The file's bytes and where its records lie.
    """

    document: Document

    @cached_property
    def top(self) -> Mapping[str, object]:
        """Top-level values by key; images and annotations are left out as empty lists."""
        at, rest = 0, []
        for section in sorted(self.document.sections.values(), key=lambda s: s.begin):
            if section.name in ("images", "annotations"):
                rest.append(self.document.data[at : section.begin])
                at = section.end
        rest.append(self.document.data[at:])
        try:
            value = json.loads(b"".join(rest))
        except ValueError:  # a number of thousands of digits: the reader has told so
            return {}
        return value if isinstance(value, dict) else {}

    def records(self, key: str) -> Iterator[tuple[int, Mapping[str, object]]]:
        """Index and fields of each object of a top-level list."""
        values = self.top.get(key)
        for index, value in enumerate(values if isinstance(values, list) else []):
            if isinstance(value, dict):
                yield index, value

    def annotation_ids(self, without: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Index and id of each record of `annotations`, but for these and unusable ids."""
        section = self.document.sections.get("annotations")
        found = []
        rest = np.ones(0 if section is None else len(section), dtype=bool)
        rest[without] = False
        for index in np.flatnonzero(rest).tolist():
            try:
                found.append((index, _ID.decode(self.document.record("annotations", index)).id))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # the reader has told of it
        return found

    @cached_property
    def licences(self) -> list[Scalar]:
        """The `license` of each record of `images`; None where there is none."""
        return [fields.license for fields in self._images]

    @cached_property
    def splits(self) -> list[Scalar]:
        """The `split` of each record of `images`; None where there is none."""
        return [fields.split for fields in self._images]

    @cached_property
    def _images(self) -> list[_Fields]:
        section = self.document.sections.get("images")
        if section is None:
            return []
        data = self.document.data
        try:
            # Nothing of it is needed by most files, and looking for a word is quick.
            if b'"license"' not in data and b'"split"' not in data:
                return [_Fields()] * len(section)
            return _MANY.decode(memoryview(data)[section.begin - 1 : section.end + 1])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [
                _fields(data[begin:end])
                for begin, end in zip(section.starts, section.ends, strict=True)
            ]


def _fields(record: bytes) -> _Fields:
    try:
        raw = _ONE.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Fields()
    return _Fields(_scalar(raw.license), _scalar(raw.split))


def _scalar(raw: Raw) -> Scalar:
    try:
        value: Scalar = _SCALAR.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return bytes(raw).decode("utf-8", "replace")
    return value
