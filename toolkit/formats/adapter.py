"""From a foreign format to a format that every command can use.

The foreign file becomes a COCO document, the document becomes bytes, and the COCO reader
decodes those: so arrays, findings and edits are those of COCO, whatever the file was.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import orjson

from toolkit.dataset import Dataset
from toolkit.errors import ReadError
from toolkit.files import atomic_directory, atomic_file, sha256_file
from toolkit.formats.base import Format
from toolkit.formats.coco import scan_text
from toolkit.formats.coco_write import CocoSource, coco_bytes
from toolkit.formats.encode import list_lines
from toolkit.formats.foreign import CocoDocument, Foreign
from toolkit.formats.text import Text
from toolkit.report import Finding
from toolkit.schema import Schema


def adapt(foreign: Foreign) -> Format[Dataset]:
    """The format that reads and writes data sets through a foreign one."""

    def scan(path: Path, schema: Schema | None) -> tuple[Dataset, list[Finding]]:
        try:
            document, told = foreign.to_coco(path, schema)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ReadError(f"{path}: cannot read: {reason}") from error
        dataset, findings = scanned(path, document, schema, foreign.name)
        return dataset, [*told, *findings]

    def write(dataset: Dataset, path: Path, force: bool) -> None:
        document: CocoDocument = orjson.loads(coco_bytes(dataset))
        making = atomic_directory if foreign.is_folder else atomic_file
        with making(path, force=force) as temporary:
            if foreign.is_folder:
                # The format makes its folder itself, from a path that is fresh.
                temporary.rmdir()
            foreign.from_coco(document, temporary, dataset.schema)

    def loses(dataset: Dataset) -> Counter[str]:
        document: CocoDocument = orjson.loads(coco_bytes(dataset))
        return +foreign.loses(document, dataset.schema)

    def dropped(dataset: Dataset) -> set[int]:
        document: CocoDocument = orjson.loads(coco_bytes(dataset))
        return foreign.dropped(document, dataset.schema)

    return Format(
        name=foreign.name,
        suffixes=foreign.suffixes,
        description=foreign.description,
        detect=foreign.detect,
        scan=scan,
        write=write,
        loses=loses,
        is_folder=foreign.is_folder,
        dropped=dropped,
    )


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
            text = list_lines(orjson.dumps(record) for record in value)
        else:
            text = orjson.dumps(value)
        parts.append(orjson.dumps(key) + b": " + text)
    return b"{\n" + b",\n".join(parts) + b"\n}\n"


def path_hash(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents."""
    if not path.is_dir():
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
