"""Taking archives apart without trusting them.

Only regular files and folders come out, only below the target folder, only under names
that stay there, and only as many bytes as were agreed on. Anything else refuses the whole
archive, and nothing of it stays behind.
"""

from __future__ import annotations

import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from toolkit.errors import ReadError, ResourceError, UnsafeInputError
from toolkit.files import atomic_directory
from toolkit.images import unsafe_name_reason

MAX_RATIO = 100  # bytes out for each byte of the archive; pictures stay below 2
MAX_BYTES = 200 << 30
_CHUNK = 1 << 20
# What unpackers raise for forged sizes (below 0, beyond what can be read) and cut files.
_DAMAGE = (OSError, EOFError, ValueError, OverflowError)
_ENCRYPTED = 1  # flag of a zip's member
_SMALL = 1 << 20  # below this no ratio is a danger


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: As the archive spells it.
        kind: `file`, `folder`, or what else it is, in words.
        size: Bytes that it claims to hold.
        packed: Bytes that it takes in the archive, or None where that is not known.
    """

    name: str
    kind: str
    size: int
    packed: int | None = None


def extract(
    archive: Path, target: Path, *, force: bool = False, max_bytes: int = MAX_BYTES
) -> list[str]:
    """Unpack a tar or zip archive into a new folder, whole or not at all.

    Args:
        archive: `.tar`, `.tar.gz`, `.tar.xz`, `.tar.bz2` or `.zip`, told by content.
        target: The folder to make.
        force: Replace a folder that exists.
        max_bytes: Most bytes that may come out.

    Returns:
        Names of the extracted files, in the archive's order.

    Raises:
        ReadError: It is no archive, or is damaged.
        UnsafeInputError: A member leads out of the folder, is a link or a device, stands
            twice, or the archive holds more than it should (a bomb).
        UsageError: The target holds the archive, or is a folder of something else.
        OutputExistsError: The target exists.
    """
    if not archive.is_file():
        raise ReadError(f"{archive}: no such file")
    with (
        atomic_directory(target, force=force, inputs=(archive,)) as folder,
        _opened(archive) as members,
    ):
        names: list[str] = []
        budget = min(max_bytes, max(_SMALL, MAX_RATIO * archive.stat().st_size))
        _require_room(archive, folder)
        for member, stream in members:
            _require_safe(archive, member)
            place = folder / member.name
            _make_folder(archive, member, place if member.kind == "folder" else place.parent)
            if member.kind == "folder":
                continue
            budget -= member.size
            if budget < 0 or _swollen(member):
                raise UnsafeInputError(
                    f"{archive}: member '{member.name}': {member.size:,} bytes out of an "
                    f"archive of {archive.stat().st_size:,}; more than {MAX_RATIO} times its "
                    f"size, or than {max_bytes:,} in all, is refused as a bomb"
                )
            _copy(archive, member, stream, place)
            names.append(member.name)
        return names


def _require_safe(archive: Path, member: Member) -> None:
    reason = unsafe_name_reason(member.name.rstrip("/"))
    if member.kind not in ("file", "folder"):
        reason = f"it is a {member.kind}"
    elif member.size < 0:
        reason = "it claims a size below 0"
    if reason is not None:
        raise _refused(archive, member, reason)


def _make_folder(archive: Path, member: Member, place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _refused(archive, member, "a file stands where it wants a folder") from None


def _refused(archive: Path, member: Member, reason: str) -> UnsafeInputError:
    return UnsafeInputError(
        f"{archive}: member {member.name!r} refused: {reason}; only regular files and "
        "folders below the target come out. Nothing was extracted."
    )


def _swollen(member: Member) -> bool:
    if member.packed is None or member.size <= _SMALL:
        return False
    return member.size > MAX_RATIO * max(1, member.packed)


def _require_room(archive: Path, folder: Path) -> None:
    if shutil.disk_usage(folder).free < archive.stat().st_size:
        raise ResourceError(
            f"{archive}: {archive.stat().st_size:,} bytes do not fit on the disk of '{folder}'"
        )


def _copy(archive: Path, member: Member, stream: IO[bytes], place: Path) -> None:
    left = member.size
    try:
        # Spelled in another way (`./a`), or in another case on some disks, it stands twice too.
        out = place.open("xb")
    except (FileExistsError, IsADirectoryError):
        raise _refused(archive, member, "it stands twice") from None
    with out:
        while left and (chunk := _read(archive, stream, min(left, _CHUNK))):
            out.write(chunk)
            left -= len(chunk)
        if left or _read(archive, stream, 1):
            raise UnsafeInputError(
                f"{archive}: member '{member.name}' is not as long as it claims "
                f"({member.size:,} bytes); the archive is damaged or lies"
            )


def _read(archive: Path, stream: IO[bytes], size: int) -> bytes:
    with _unpacking(archive):
        return stream.read(size)


@contextmanager
def _unpacking(archive: Path) -> Iterator[None]:
    """What unpackers raise for damaged bytes, some of which looks like a fault of the disk."""
    try:
        yield
    except (*_DAMAGE, zlib.error, lzma.LZMAError) as error:
        raise ReadError(f"{archive}: the archive is damaged: {error}") from None


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[Member, IO[bytes]]]]:
    """The members of an archive, each with a stream of its bytes."""
    try:
        if zipfile.is_zipfile(archive):
            with (
                zipfile.ZipFile(archive) as packed,
                closing(_zip_members(archive, packed)) as members,
            ):
                yield members
        elif _is_tar(archive):
            with tarfile.open(archive) as tape, closing(_tar_members(archive, tape)) as members:
                yield members
        else:
            raise ReadError(f"{archive}: neither a tar nor a zip archive")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ReadError(f"{archive}: the archive is damaged: {error}") from None


def _is_tar(archive: Path) -> bool:
    with _unpacking(archive):
        return tarfile.is_tarfile(archive)


def _tar_members(archive: Path, tape: tarfile.TarFile) -> Generator[tuple[Member, IO[bytes]]]:
    kinds = {
        tarfile.SYMTYPE: "symbolic link",
        tarfile.LNKTYPE: "hard link",
        tarfile.CHRTYPE: "device",
        tarfile.BLKTYPE: "device",
        tarfile.FIFOTYPE: "named pipe",
    }
    with _unpacking(archive):
        for info in tape:
            kind = "file" if info.isreg() else "folder" if info.isdir() else None
            member = Member(info.name, kind or kinds.get(info.type, "special file"), info.size)
            stream = tape.extractfile(info) if kind == "file" else None
            yield member, stream or io.BytesIO()
        _require_sound_end(archive, tape)


def _require_sound_end(archive: Path, tape: tarfile.TarFile) -> None:
    """Read on behind the last member, where compressed archives have their checksum."""
    left = max(_SMALL, MAX_RATIO * archive.stat().st_size)
    while tape.fileobj is not None and (chunk := tape.fileobj.read(_CHUNK)):
        left -= len(chunk)
        if left < 0:
            raise UnsafeInputError(
                f"{archive}: more than {MAX_RATIO} times its size follows its last member, "
                "which is refused as a bomb"
            )


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> Generator[tuple[Member, IO[bytes]]]:
    for info in packed.infolist():
        mode = info.external_attr >> 16
        kind = "folder" if info.is_dir() else "file"
        if mode and (mode & 0o170000) not in (0, 0o100000, 0o040000):
            kind = "symbolic link" if (mode & 0o170000) == 0o120000 else "special file"
        # `orig_filename` still has the NUL that `filename` was cut at.
        member = Member(info.orig_filename, kind, info.file_size, info.compress_size)
        if kind != "file":
            yield member, io.BytesIO()
            continue
        if info.flag_bits & _ENCRYPTED:
            raise ReadError(
                f"{archive}: member {member.name!r} is encrypted; unpack it where its password "
                "is known"
            )
        with _unpacking(archive), packed.open(info) as stream:
            yield member, stream
