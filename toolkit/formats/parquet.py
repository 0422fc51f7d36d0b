"""Parquet: one row an instance, for pandas, polars and DuckDB, with nothing lost.

The typed columns are for computing. Column `record` holds each annotation as it stood in
the file, and the file's metadata the rest of the document, so that the original comes back
byte for byte. A typed cell that was edited wins over the record; rows that were removed or
added are so in the document.

The metadata are written twice: as the file's own, and where pandas keeps `DataFrame.attrs`,
which survive `read_parquet` and `to_parquet`. polars and DuckDB drop both; then images
without instances and the other top-level keys are gone, and reading says so.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from toolkit.dataset import Dataset
from toolkit.errors import MissingExtraError, ReadError
from toolkit.files import atomic_file
from toolkit.formats.adapter import document_bytes, path_hash
from toolkit.formats.base import Format, Scan, collector_off
from toolkit.formats.coco import scan_text
from toolkit.formats.coco_write import CocoSource, coco_bytes
from toolkit.formats.document import Document
from toolkit.formats.foreign import ASSUMED, CocoDocument, foreign_finding
from toolkit.formats.patch import patched_bytes
from toolkit.formats.sidecar import text_of
from toolkit.formats.table import (
    FIXED,
    TEXT,
    WHOLE,
    Column,
    Columns,
    Table,
    columns_left_out,
    document_of_table,
    keypoint_names,
    table_of,
)
from toolkit.formats.table_edits import apply_edits, edited_rows
from toolkit.formats.text import Text, check_memory
from toolkit.report import Finding
from toolkit.schema import Schema

if TYPE_CHECKING:
    import pyarrow

_KEY, _PANDAS = b"toolkit", b"PANDAS_ATTRS"
_RECORD = "record"
_MAGIC = b"PAR1"


class _Rest(msgspec.Struct):
    """A document without its annotations: what is before, between and after them."""

    version: int
    before: str
    gap: str
    after: str
    gaps: list[str] = []


def write_parquet(dataset: Dataset, path: Path, force: bool) -> None:
    """Write a data set as Parquet; the same data give the same bytes.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    parquet = _pyarrow()
    dataset, source = _as_read(dataset)
    table, packed = _arrow_table(dataset, source), _packed(_rest_of(source.document))
    attributes = json.dumps({_KEY.decode(): packed}).encode()
    # Without Arrow's own copy of the schema: it would hold the metadata once more.
    with (
        atomic_file(path, force=force) as temporary,
        parquet.ParquetWriter(
            temporary, table.schema, compression="zstd", store_schema=False
        ) as writer,
    ):
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: packed, _PANDAS: attributes})


def _as_read(dataset: Dataset) -> tuple[Dataset, CocoSource]:
    """The data set as it is after writing and reading it as COCO."""
    source = dataset.source
    if (
        isinstance(source, CocoSource)
        and dataset.annotations is source.annotations
        and dataset.images is source.images
        and dataset.schema is source.schema
    ):
        return dataset, source
    path = dataset.path or Path(f"{dataset.schema.name}.json")
    found = scan_text(text_of(path, coco_bytes(dataset)), dataset.schema).dataset
    assert isinstance(found.source, CocoSource)
    return found, found.source


def _arrow_table(dataset: Dataset, source: CocoSource) -> pyarrow.Table:
    import pyarrow  # lazy: pyarrow costs 0.2 s

    document = source.document
    section = document.sections["annotations"]
    arrays = {name: _arrow(name, values) for name, values in table_of(dataset).items()}
    table = pyarrow.table(arrays)
    if len(section) != len(dataset.annotations):
        # Records that are not in the arrays have a row with nothing but their record.
        rows: list[int | None] = [None] * len(section)
        for row, index in enumerate(source.annotation_records.tolist()):
            rows[index] = row
        table = table.take(pyarrow.array(rows, pyarrow.int64()))
    data, starts, ends = document.data, section.starts.tolist(), section.ends.tolist()
    records = [data[begin:end] for begin, end in zip(starts, ends, strict=True)]
    column = pyarrow.array(records, pyarrow.binary()).cast(pyarrow.string())
    return table.append_column(_RECORD, column)


def _arrow(name: str, values: Column) -> pyarrow.Array:
    import pyarrow  # lazy: pyarrow costs 0.2 s

    if name in TEXT:
        return pyarrow.array(values, pyarrow.string())
    if name in WHOLE:
        return pyarrow.array(values, pyarrow.int64())
    if isinstance(values, np.ndarray) and values.dtype == np.int64:
        return pyarrow.array(values.astype(np.uint8))  # visibility
    return pyarrow.array(np.asarray(values, np.float64), from_pandas=True)


def _rest_of(document: Document) -> _Rest:
    section = document.sections["annotations"]
    text, starts, ends = document.data, section.starts.tolist(), section.ends.tolist()
    prefix = document.prefix.decode()
    if not starts:
        return _Rest(
            1, prefix + text[: section.begin].decode(), "", text[section.end :].decode()
        )
    gaps = [text[a:b].decode() for a, b in zip(ends[:-1], starts[1:], strict=True)]
    same = len(set(gaps)) <= 1
    return _Rest(
        version=1,
        before=prefix + text[: starts[0]].decode(),
        gap=gaps[0] if gaps else ", ",
        after=text[ends[-1] :].decode(),
        gaps=[] if same else gaps,
    )


def _packed(rest: _Rest) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(rest), 9)).decode()


def scan_parquet(path: Path, schema: Schema | None) -> tuple[Dataset, list[Finding]]:
    """Read a Parquet file of instances, ours or one with the same columns.

    Raises:
        ReadError: It is no Parquet file, or has no column `image_id` or no keypoints.
        MissingExtraError: pyarrow is not installed.
    """
    check_memory(path, path.stat().st_size)
    read = _read(path)
    with collector_off():
        content, told = _content(path, read)
        scan = scan_text(text_of(path, content), schema)
        scan, more = _with_edits(path, read, scan, schema)
    dataset = replace(scan.dataset, digest=partial(path_hash, path))
    others = columns_left_out(read.names, [_RECORD])
    seen = {(finding.rule, finding.message) for finding in told}
    more = [one for one in more if (one.rule, one.message) not in seen]
    return dataset, [*others, *told, *more, *scan.findings]


@dataclass(frozen=True)
class _Read:
    """A Parquet file: its columns, each row's record (None for a new row), and the rest."""

    names: list[str]
    columns: Columns
    records: list[str | None]
    rest: _Rest | None


def _read(path: Path) -> _Read:
    import pyarrow  # lazy: pyarrow costs 0.2 s

    parquet = _pyarrow()
    try:
        table = parquet.read_table(path, thrift_string_size_limit=1 << 30)
    except (pyarrow.ArrowException, OSError) as error:
        raise ReadError(f"{path.name}: not a readable Parquet file: {error}") from error
    names = table.column_names
    points = keypoint_names(names)
    if "image_id" not in names or not points:
        raise ReadError(
            f"{path.name}: no table of instances: expected columns 'image_id' and, for each "
            "keypoint, 'NAME_x', 'NAME_y', 'NAME_v'; got "
            + ", ".join(f"'{name}'" for name in names[:8])
        )
    wanted = {*FIXED, *(f"{name}_{part}" for name in points for part in "xyv")}
    columns = {
        name: _values(path, name, table.column(name)) for name in names if name in wanted
    }
    records: list[str | None] = [None] * len(table)
    if _RECORD in names:
        told = table.column(_RECORD).cast(pyarrow.string()).to_pylist()
        records = [text if text and text.strip() else None for text in told]
    return _Read(names, columns, records, _unpacked(path, table.schema.metadata or {}))


def _values(path: Path, name: str, column: pyarrow.ChunkedArray) -> Column:
    import pyarrow  # lazy: pyarrow costs 0.2 s

    try:
        if name in TEXT:
            return column.cast(pyarrow.string()).to_pylist()  # type: ignore[no-any-return]
        if column.null_count == 0 and pyarrow.types.is_integer(column.type):
            return np.asarray(column.cast(pyarrow.int64()).to_numpy(), np.int64)
        if pyarrow.types.is_integer(column.type):
            return column.to_pylist()  # type: ignore[no-any-return]
        found = column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    except pyarrow.ArrowException as error:
        raise ReadError(f"{path.name}: column '{name}': {error}") from error
    return np.asarray(found, np.float64)


def _unpacked(path: Path, metadata: dict[bytes, bytes]) -> _Rest | None:
    packed: str | bytes | None = metadata.get(_KEY)
    try:
        if packed is None and _PANDAS in metadata:
            attributes = json.loads(metadata[_PANDAS])  # pandas writes NaN, which is no JSON
            packed = attributes.get(_KEY.decode()) if isinstance(attributes, dict) else None
        if packed is None:
            return None
        text = zlib.decompress(base64.b64decode(packed))
        return msgspec.json.decode(text, type=_Rest)
    except (ValueError, zlib.error, msgspec.DecodeError) as error:
        raise ReadError(f"{path.name}: metadata 'toolkit' are damaged: {error}") from error


def _content(path: Path, read: _Read) -> tuple[bytes, list[Finding]]:
    """The bytes of the document that the records of the rows make, edits not yet applied."""
    records = [record for record in read.records if record is not None]
    rest, told = read.rest, list[Finding]()
    if rest is None:
        document, told = document_of_table(Table(read.columns))
        if not records:
            return document_bytes(document), told
        rest, told = _rest_of_columns(document), [*told, _GONE]
    if not records:
        return (rest.before + rest.after).encode(), told
    gaps: Iterable[str] = [rest.gap] * (len(records) - 1)
    if len(rest.gaps) == len(records) - 1:
        gaps = rest.gaps
    pieces = [rest.before]
    for gap, record in zip([*gaps, rest.after], records, strict=True):
        pieces += [record, gap]
    return "".join(pieces).encode(), told


_GONE = foreign_finding(
    ASSUMED,
    "metadata",
    "a program that wrote this file left them out: images without instances, fields of "
    "images, info and licenses are not in it (pandas keeps them)",
)


def _rest_of_columns(document: CocoDocument) -> _Rest:
    shell = document_bytes(document | {"annotations": []}).decode()
    before, after = shell.split('"annotations": [', 1)
    return _Rest(1, before + '"annotations": [\n', ",\n", "\n" + after)


def _with_edits(
    path: Path, read: _Read, scan: Scan, schema: Schema | None
) -> tuple[Scan, list[Finding]]:
    """The scan with typed cells that differ from the records, and with new rows."""
    if read.rest is None and all(record is None for record in read.records):
        return scan, []  # the document was made from the cells
    edits = edited_rows(read.columns, read.records, scan.dataset)
    source = scan.dataset.source
    if not edits or not isinstance(source, CocoSource):
        return scan, []
    changes, told = apply_edits(read.columns, edits, scan.dataset)
    text = Text(path, source.document.prefix, source.document.data)
    return scan_text(text_of(path, patched_bytes(text, changes)), schema), told


def detect_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def _loses_nothing(dataset: Dataset) -> Counter[str]:
    return Counter()


def _pyarrow() -> ModuleType:
    try:
        import pyarrow.parquet  # lazy: pyarrow costs 0.2 s
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pyarrow; install it with: pip install 'extension-keypoints[tables]'"
        ) from error
    parquet: ModuleType = pyarrow.parquet
    return parquet


PARQUET = Format(
    name="parquet",
    suffixes=(".parquet",),
    description="Parquet, one row an instance, with the records as they were",
    detect=detect_parquet,
    scan=scan_parquet,
    write=write_parquet,
    loses=_loses_nothing,
)
