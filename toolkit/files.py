"""Writing files so that a reader sees the old one or the new one, never a part.

Every output goes to a temporary file in the same folder, is flushed to the disk, and takes
the target's name in one step. A process that is killed leaves only its temporary file
(`.NAME.PID.tmp`), which the next write to the same folder removes once that process is gone.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import OutputExistsError, ResourceError, UsageError, WriteError

_TEMPORARY = re.compile(r"^\.(?P<name>.+)\.(?P<pid>\d+)\.tmp$")
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_output(path: Path, *, force: bool = False, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse an output that cannot or may not be written, before any work is done.

    Raises:
        UsageError: The output is one of the inputs.
        OutputExistsError: It exists and `force` was not given.
        WriteError: Its folder does not exist or cannot be written.
    """
    for given in inputs:
        if path.exists() and given.exists() and path.samefile(given):
            raise UsageError(f"{path}: the output is the input; choose another name")
    if path.exists() and not force:
        raise OutputExistsError(f"{path}: exists already; pass --force to replace it")
    folder = path.parent
    if not folder.is_dir():
        raise WriteError(f"{path}: folder '{folder}' does not exist; make it first")
    if not os.access(folder, os.W_OK):
        raise WriteError(f"{path}: folder '{folder}' cannot be written")


def write_bytes(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputExistsError: It exists and `force` was not given.
        ResourceError: The disk or a quota is full; the old file is intact.
        WriteError: It cannot be written for another reason.
    """
    with atomic_file(path, force=force) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str, *, force: bool = False) -> None:
    """Like `write_bytes`, for text in UTF-8 with Unix line ends."""
    write_bytes(path, content.encode("utf-8"), force=force)


@contextmanager
def atomic_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends well.

    Raises:
        OutputExistsError: `path` exists and `force` was not given.
        ResourceError: The disk or a quota is full; the old file is intact.
        WriteError: It cannot be written for another reason.
    """
    check_output(path, force=force)
    _remove_stale(path.parent)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `path` when the block ends well.

    With `force` an existing folder is replaced as a whole: where the system can swap two
    names in one step (Linux), no reader ever misses it; elsewhere a process that is killed
    between two renames leaves the old folder aside, and the next write puts it back.

    Raises:
        OutputExistsError: `path` exists and `force` was not given.
        ResourceError: The disk or a quota is full; nothing is left behind.
        WriteError: It cannot be written for another reason.
    """
    check_output(path, force=force)
    _remove_stale(path.parent)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    old = path.parent / f".{path.name}.old.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        yield temporary
        if not (path.exists() and _swap(temporary, path)):
            if path.exists():
                path.replace(old)
            temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        if old.exists() and not path.exists():
            old.replace(path)
        raise _write_error(path, error) from error
    finally:
        for leftover in (temporary, old):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)


def sha256_bytes(content: bytes | bytearray | memoryview) -> str:
    """SHA-256 of bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_error(path: Path, error: OSError) -> WriteError:
    reason = error.strerror or str(error)
    kind = ResourceError if error.errno in _EXHAUSTED else WriteError
    return kind(f"{path}: cannot write: {reason}; what stood there before is intact")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(one: Path, other: Path) -> bool:
    """Let two paths change names in one step; False where the system cannot."""
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    if swap is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(swap(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)


def _remove_stale(folder: Path) -> None:
    """Remove temporary files of processes that are gone; put back what one had set aside."""
    for entry in list(folder.iterdir()):
        match = _TEMPORARY.match(entry.name)
        if match is None or _alive(int(match["pid"])):
            continue
        target = folder / match["name"].removesuffix(".old")
        if match["name"].endswith(".old") and entry.is_dir() and not os.path.lexists(target):
            entry.replace(target)
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
