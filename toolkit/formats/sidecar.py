"""What a foreign format cannot hold, kept in a file beside it.

A sidecar holds the original's bytes and what the foreign file held when it was written. On
the way home only what a person changed in between is applied to the original, so that an
untouched file comes back byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from toolkit.errors import ReadError, UsageError
from toolkit.files import write_bytes
from toolkit.formats.changes import Changes, find_changes
from toolkit.formats.compare import image_names
from toolkit.formats.foreign import CocoDocument
from toolkit.formats.patch import patched_bytes
from toolkit.formats.text import BOM, Text, load_text

_VERSION = 1


class _Content(msgspec.Struct):
    toolkit_sidecar: int
    format: str
    target_sha256: str
    dropped: list[int]
    written: CocoDocument
    document: str


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar holds.

    Attributes:
        format: Name of the foreign format.
        target_sha256: Of the foreign file (or folder) when it was written.
        document: The original's bytes.
        written: What the foreign file held, as a COCO document.
        dropped: Indices of the original's annotations that the format had no place for.
    """

    format: str
    target_sha256: str
    document: bytes
    written: CocoDocument
    dropped: tuple[int, ...] = ()

    def original(
        self, path: Path, now: CocoDocument, numbered: Collection[str] = ()
    ) -> tuple[Text, Changes]:
        """The original with what changed in the foreign file since.

        Args:
            path: The foreign file, which messages name.
            now: What it holds, as a COCO document.
            numbered: Sections whose ids the format does not keep, see `Format.numbered`.

        Raises:
            UsageError: It has pictures, and none of those that it was written with.
        """
        before, after = (set(image_names(d).values()) for d in (self.written, now))
        if before and after and not before & after:
            raise UsageError(
                f"{path.name}: has none of the {len(before):,} pictures that its sidecar was "
                "written with, so that is another file's; remove it, or name the right one "
                "with --sidecar FILE"
            )
        text = text_of(path, self.document)
        kept: CocoDocument = msgspec.json.decode(text.data)
        changes = find_changes(kept, self.written, now, self.dropped, numbered)
        return text_of(path, patched_bytes(text, changes)), changes


def text_of(path: Path, content: bytes) -> Text:
    """A file's bytes that are in memory already."""
    prefix = BOM if content.startswith(BOM) else b""
    return Text(path, prefix, content.removeprefix(BOM))


def sidecar_path(target: Path) -> Path:
    """Where a target's sidecar lies: `labels.xml.sidecar.json` beside `labels.xml`."""
    return target.with_name(f"{target.name}.sidecar.json")


def new_path(sidecar: Path) -> Path:
    """Where a sidecar lies until its target is replaced."""
    return sidecar.with_name(f"{sidecar.name}.new")


def write_sidecar(path: Path, sidecar: Sidecar, *, force: bool = False) -> None:
    """Write a sidecar; the same content gives the same bytes."""
    content = {
        "toolkit_sidecar": _VERSION,
        "format": sidecar.format,
        "target_sha256": sidecar.target_sha256,
        "dropped": list(sidecar.dropped),
        "written": sidecar.written,
        "document": sidecar.document.decode("utf-8"),
    }
    write_bytes(path, msgspec.json.encode(content) + b"\n", force=force)


class _Named(msgspec.Struct):
    format: str


def sidecar_format(target: Path) -> str | None:
    """The format that a target's sidecar, if it has one, was written for."""
    beside = sidecar_path(target)
    path = beside if beside.exists() else new_path(beside)
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(load_text(path).data, type=_Named).format
    except (msgspec.DecodeError, RecursionError):
        return None  # `read_sidecar` says what is wrong with it


def read_sidecar(path: Path, format_name: str | None = None) -> Sidecar:
    """Read a sidecar of a format; of any by default.

    Raises:
        ReadError: It cannot be read, is no sidecar, or is a newer version's.
        UsageError: It belongs to a file of another format.
    """
    text = load_text(path)
    try:
        found = msgspec.json.decode(text.data, type=_Content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ReadError(
            f"{path.name}: no sidecar of 'toolkit convert --sidecar' ({error}); remove it or "
            "name another one with --sidecar FILE"
        ) from error
    if found.toolkit_sidecar != _VERSION:
        raise ReadError(
            f"{path.name}: a sidecar of version {found.toolkit_sidecar}; this toolkit reads "
            f"version {_VERSION}"
        )
    if format_name is not None and found.format != format_name:
        raise UsageError(
            f"{path.name}: belongs to a file of format '{found.format}', not "
            f"'{format_name}'; name another one with --sidecar FILE"
        )
    return Sidecar(
        found.format,
        found.target_sha256,
        found.document.encode("utf-8"),
        found.written,
        tuple(found.dropped),
    )
