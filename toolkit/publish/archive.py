"""The archive of a release: one tar file whose every byte follows from its manifest.

The members stand in the manifest's order after the manifest itself; owner, mode and times
are the same for all, and nothing is compressed (what a compressor writes depends on its
version; pictures would not shrink anyway). So two builds give the same bytes on any
machine, and `check_archive` can say of every single byte whether it is what it must be.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import InvalidDataError
from toolkit.publish.manifest import LARGEST, MANIFEST, FileEntry, Manifest

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20


def header(path: str, size: int) -> bytes:
    """The tar header of one member.

    Raises:
        InvalidDataError: The name does not fit a plain header, or the file is too large.
    """
    member = tarfile.TarInfo(path)
    member.size, member.mode, member.mtime = size, 0o644, 0
    try:
        if size > LARGEST:
            raise ValueError("it is larger than 8 GiB")
        return member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError as error:
        raise InvalidDataError(
            f"'{path}' cannot go into an archive: {error}; give it a shorter name or split it"
        ) from None


def write_archive(folder: Path, manifest: Manifest, target: Path) -> None:
    """Write the archive of a release folder.

    Raises:
        InvalidDataError: A name is too long for an archive.
    """
    content = manifest.to_bytes()
    with target.open("wb") as stream:
        own = FileEntry(MANIFEST, len(content), "", "")
        stream.write(header(f"{manifest.stem}/{MANIFEST}", own.bytes) + content)
        stream.write(_padding(own.bytes))
        for entry in manifest.files:
            stream.write(header(f"{manifest.stem}/{entry.path}", entry.bytes))
            with (folder / entry.path).open("rb") as source:
                while chunk := source.read(_CHUNK):
                    stream.write(chunk)
            stream.write(_padding(entry.bytes))
        stream.write(bytes(_end(stream.tell())))


@dataclass(frozen=True)
class Flaw:
    """Something in a release that is not what the manifest says.

    Attributes:
        path: The file it concerns.
        fault: `altered`, `missing`, `added` or `damaged`.
        message: What exactly.
    """

    path: str
    fault: str
    message: str


def check_archive(path: Path, manifest: Manifest) -> Iterator[Flaw]:
    """Compare an archive with a manifest, byte for byte.

    Args:
        path: The archive.
        manifest: What it has to hold, known from elsewhere.

    Yields:
        A flaw for every file that is altered, missing, added or out of place, and for bytes
        between and after the files.
    """
    content = manifest.to_bytes()
    digest = hashlib.sha256(content).hexdigest()
    wanted = {MANIFEST: FileEntry(MANIFEST, len(content), digest, "")}
    wanted |= {entry.path: entry for entry in manifest.files}
    waiting = list(wanted)
    size = path.stat().st_size
    with path.open("rb") as stream:
        while waiting or stream.tell() < size - 1:
            block = stream.read(_BLOCK)
            if not any(block):  # the end of a tar file, or bytes set to zero
                break
            known = _name_of(block, manifest.stem)
            entry = wanted.get(known) if known else None
            if entry is None or known not in waiting:
                guess = wanted[waiting[0]] if waiting else None
                if known:
                    yield Flaw(known, "added", "it is in the archive and not in the manifest")
                    _skip(stream, _size_of(block), size)
                    continue
                if guess is None:
                    break
                yield Flaw(guess.path, "damaged", "its header in the archive is damaged")
                entry = guess
            elif block != header(f"{manifest.stem}/{entry.path}", entry.bytes):
                yield Flaw(entry.path, "altered", "its header in the archive was changed")
            if entry.path != waiting[0]:
                yield Flaw(entry.path, "altered", "it does not stand where it belongs")
            waiting.remove(entry.path)
            yield from _check_member(stream, entry)
        for missing in waiting:
            yield Flaw(missing, "missing", "it is not in the archive")
        yield from _check_end(stream, path, manifest, size)


def _check_member(stream: BinaryIO, entry: FileEntry) -> Iterator[Flaw]:
    digest, left = hashlib.sha256(), entry.bytes
    while left and (chunk := stream.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    if left:
        yield Flaw(entry.path, "altered", f"the archive ends {left:,} bytes before its end")
        return
    if digest.hexdigest() != entry.sha256:
        yield Flaw(
            entry.path,
            "altered",
            f"SHA-256 {digest.hexdigest()[:16]}..., the manifest says {entry.sha256[:16]}...",
        )
    padding = _padding(entry.bytes)
    if stream.read(len(padding)) != padding:
        yield Flaw(entry.path, "altered", "the filling after it was changed")


def _check_end(stream: BinaryIO, path: Path, manifest: Manifest, size: int) -> Iterator[Flaw]:
    last = manifest.files[-1].path if manifest.files else MANIFEST
    expected = _length(manifest)
    if size != expected:
        yield Flaw(
            path.name, "altered", f"{size:,} bytes; the manifest's files need {expected:,}"
        )
    stream.seek(max(0, expected - _end(_length(manifest, end=False))))
    while chunk := stream.read(_CHUNK):
        if any(chunk):
            yield Flaw(path.name, "altered", f"there are bytes after its last file '{last}'")
            return


def _length(manifest: Manifest, *, end: bool = True) -> int:
    sizes = [len(manifest.to_bytes()), *(entry.bytes for entry in manifest.files)]
    length = sum(_BLOCK + size + len(_padding(size)) for size in sizes)
    return length + _end(length) if end else length


def _end(length: int) -> int:
    """Zeros that end a tar file: two blocks, then up to a full record."""
    return 2 * _BLOCK + -(length + 2 * _BLOCK) % tarfile.RECORDSIZE


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _name_of(block: bytes, stem: str) -> str | None:
    """Path of the member that a header announces, without the archive's own folder."""
    try:
        name = tarfile.TarInfo.frombuf(block, "utf-8", "strict").name
    except (tarfile.HeaderError, UnicodeDecodeError):
        return None
    return name.removeprefix(f"{stem}/")


def _size_of(block: bytes) -> int:
    # A forged header can say less than nothing, which would lead back to itself.
    return max(0, tarfile.TarInfo.frombuf(block, "utf-8", "strict").size)


def _skip(stream: BinaryIO, size: int, end: int) -> None:
    stream.seek(min(stream.tell() + size + len(_padding(size)), end))
