"""From a foreign format to a format that every command can use.

The foreign file becomes a COCO document, the document becomes bytes, and the COCO reader
decodes those: so arrays, findings and edits are those of COCO, whatever the file was.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import msgspec

from toolkit.dataset import Dataset
from toolkit.errors import ReadError
from toolkit.files import atomic_directory, atomic_file, sha256_file
from toolkit.formats.base import Format
from toolkit.formats.coco import scan_text
from toolkit.formats.coco_write import CocoSource
from toolkit.formats.compare import measured_loss
from toolkit.formats.encode import list_lines
from toolkit.formats.foreign import CocoDocument, Files, Foreign, contents, save
from toolkit.formats.prepared import Prepared
from toolkit.formats.text import Text
from toolkit.report import Finding
from toolkit.schema import Schema


def adapt(foreign: Foreign) -> Format[Dataset]:
    """The format that reads and writes data sets through a foreign one."""

    def scan(path: Path, schema: Schema | None) -> tuple[Dataset, list[Finding]]:
        if foreign.is_folder and path.is_file():
            path = path.parent  # a file that describes the folder stands for it
        try:
            document, told = foreign.to_coco(path, schema)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ReadError(f"{path}: cannot read: {reason}") from error
        dataset, findings = scanned(path, document, schema, foreign.name)
        return dataset, [*told, *findings]

    def prepare(dataset: Dataset) -> PreparedForeign:
        return PreparedForeign(made, foreign, dataset)

    made = Format(
        name=foreign.name,
        suffixes=foreign.suffixes,
        description=foreign.description,
        detect=foreign.detect,
        scan=scan,
        write=lambda dataset, path, force: prepare(dataset).write(path, force=force),
        loses=lambda dataset: prepare(dataset).lost,
        is_folder=foreign.is_folder,
        dropped=lambda dataset: prepare(dataset).dropped,
        numbered=foreign.numbered,
        prepare=prepare,
    )
    return made


class PreparedForeign(Prepared):
    """A data set on its way into a foreign format: encoded once, decoded once."""

    def __init__(self, end: Format[Dataset], foreign: Foreign, dataset: Dataset) -> None:
        """Prepare the way of a data set into a foreign format."""
        super().__init__(end, dataset)
        self.foreign = foreign

    @cached_property
    def files(self) -> Files:
        """The contents of the target's files."""
        return self.foreign.encode(self.document, self.dataset.schema)

    @cached_property
    def back(self) -> CocoDocument:
        """What these contents say."""
        return self.foreign.decode(self.files)

    @cached_property
    def lost(self) -> Counter[str]:
        """What changes there and back: the contents are read again, in memory."""
        return measured_loss(self.document, self.back, self.dropped)

    @cached_property
    def dropped(self) -> set[int]:
        """Indices of the annotations that have no place."""
        return self.foreign.dropped(self.document, self.dataset.schema)

    @property
    def notes(self) -> list[str]:
        """What the target's user should know though nothing of it is lost, a line each."""
        return self.foreign.notes(self.document, self.dataset.schema)

    def write(self, path: Path, *, force: bool = False) -> None:
        """Write the target."""
        making = atomic_directory if self.foreign.is_folder else atomic_file
        with making(path, force=force) as temporary:
            save(self.files, temporary)

    def read_back(self, path: Path) -> CocoDocument:
        """What the target says; it is decoded again only if it is not what was written."""
        if contents(path) != self.files:
            return super().read_back(path)
        found: CocoDocument = msgspec.json.decode(document_bytes(self.back))
        return found


def foreign_loss(foreign: Foreign, document: CocoDocument, schema: Schema) -> Counter[str]:
    """What changes if a document goes into a foreign format and back, in memory."""
    back = foreign.decode(foreign.encode(document, schema))
    return measured_loss(document, back, foreign.dropped(document, schema))


def scanned(
    path: Path, document: CocoDocument, schema: Schema | None, name: str
) -> tuple[Dataset, list[Finding]]:
    """A COCO document that was made from a file of format `name`, decoded."""
    found = scan_text(Text(path, b"", document_bytes(document)), schema)
    source = found.dataset.source
    if isinstance(source, CocoSource):
        source = replace(source, format=name)
    return replace(
        found.dataset, digest=partial(path_hash, path), source=source
    ), found.findings


def document_bytes(document: CocoDocument) -> bytes:
    """A document with one record a line, its keys in their order: same data, same bytes."""
    parts = []
    for key, value in document.items():
        if key in ("images", "annotations", "categories") and isinstance(value, list):
            text = list_lines(msgspec.json.encode(record) for record in value)
        else:
            text = msgspec.json.encode(value)
        parts.append(msgspec.json.encode(key) + b": " + text)
    return b"{\n" + b",\n".join(parts) + b"\n}\n"


def path_hash(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents."""
    if not path.is_dir():
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
