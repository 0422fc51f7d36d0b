"""Writing files so that a reader sees the old one or the new one, never a part.

Every output goes to a temporary file in the same folder, is flushed to the disk, and takes
the target's name in one step. A process that is killed leaves only its temporary file
(`.NAME.HOST.PID.tmp`), which the next write to the same folder on the same host removes once
that process is gone. Other hosts and containers that share the folder cannot know whether it
is, and leave it alone.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from toolkit.errors import OutputExistsError, ResourceError, UsageError, WriteError

_TEMPORARY = re.compile(r"^\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})\.(?P<pid>\d+)\.tmp$")
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_LONGEST = 255  # bytes of a name, on every usual file system
_NO_FOLDER = "{}: is a file, and the output is a folder; choose another name"
_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_output(
    path: Path,
    *,
    force: bool = False,
    inputs: Iterable[Path | None] = (),
    holds: Collection[str] | None = None,
) -> None:
    """Refuse an output that cannot or may not be written, before any work is done.

    Args:
        path: The file or folder to write.
        force: Whether it may be replaced where it exists.
        inputs: Files and folders that the command reads; None stands for one not given.
        holds: Of a folder, names of which every folder of its kind holds one; empty where
            that cannot be known yet, or not even whether it is one. None is a file.

    Raises:
        UsageError: The output is one of the inputs, or a folder that holds one: it would
            be replaced as a whole; or it is a folder of other things, a folder where a file
            is written, or the reverse; or a device or a pipe, which has no whole.
        OutputExistsError: It exists and `force` was not given.
        WriteError: Its folder does not exist or cannot be written, or its name is too long.
    """
    stands = _stands(path)
    for given in inputs:
        if given is not None:
            _spare(path, given)
    if stands and path.exists() and not (path.is_file() or path.is_dir()):
        raise UsageError(f"{path}: is a device or a pipe, and outputs are files; name a file")
    if holds is None and path.is_dir():
        raise UsageError(f"{path}: is a folder, and the output is a file; choose another name")
    if holds and path.is_file():
        raise UsageError(_NO_FOLDER.format(path))
    if stands and not force:
        raise OutputExistsError(f"{path}: exists already; pass --force to replace it")
    if holds:
        _require_kin(path, holds)
    folder = path.parent
    if not folder.is_dir():
        raise WriteError(f"{path}: folder '{folder}' does not exist; make it first")
    if not os.access(folder, os.W_OK):
        raise WriteError(f"{path}: folder '{folder}' cannot be written")


def check_outputs(
    paths: Iterable[Path | None],
    *,
    force: bool = False,
    inputs: Iterable[Path | None] = (),
    holds: Mapping[Path | None, Collection[str]] | None = None,
) -> None:
    """Like `check_output`, for all outputs of a command; None stands for one not given.

    Args:
        paths: The files and folders to write.
        force: Whether they may be replaced.
        inputs: What the command reads.
        holds: Which of them are folders, and what every folder of that kind holds.

    Raises:
        UsageError: Two of them are one, or as `check_output`.
        OutputExistsError: One exists and `force` was not given.
        WriteError: One cannot be written.
    """
    outputs = [path for path in paths if path is not None]
    places = [os.path.realpath(path) for path in outputs]
    if len(set(places)) < len(places):
        twice = next(
            path for path, at in zip(outputs, places, strict=True) if places.count(at) > 1
        )
        raise UsageError(f"{twice}: two outputs have one name; choose another for one of them")
    given = tuple(inputs)
    for path in outputs:
        check_output(path, force=force, inputs=given, holds=(holds or {}).get(path))


def make_folder(path: Path) -> None:
    """Make a folder to write to where there is none, before the work whose results it gets.

    Raises:
        WriteError: It cannot be made, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{path}: cannot make the folder: {error.strerror}; choose another"
        ) from error
    if not os.access(path, os.W_OK):
        raise WriteError(f"{path}: the folder cannot be written; choose another")


def _spare(path: Path, given: Path) -> None:
    """Refuse an output that is or holds an input, by any of their names."""
    try:
        same = path.samefile(given)
    except OSError:  # one of them is not there
        same = False
    if same:
        raise UsageError(f"{path}: the output is the input '{given}'; choose another name")
    if not (path.is_dir() and os.path.lexists(given)):
        return
    # A link in the output folder to an input elsewhere would be lost, so its own place counts.
    as_named = given.parent.resolve() / given.name
    for place in (given.resolve(), as_named):
        if path.resolve() in place.parents:
            raise UsageError(
                f"{path}: the output would replace the folder that holds the input "
                f"'{given}'; choose another name"
            )


def _stands(path: Path) -> bool:
    """Whether the name is taken, if only by a link to nowhere.

    Raises:
        WriteError: No file can have this name.
    """
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            size = len(os.fsencode(path.name))
            raise WriteError(
                f"{path}: cannot write: the name is too long ({size:,} bytes; most disks take "
                f"{_LONGEST}); choose a shorter one"
            ) from error
        return False
    return True


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
    temporary = _temporary(path)
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
def atomic_directory(
    path: Path,
    *,
    force: bool = False,
    inputs: Iterable[Path | None] = (),
    holds: Collection[str] = (),
) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `path` when the block ends well.

    With `force` an existing folder is replaced as a whole: where the system can swap two
    names in one step (Linux), no reader ever misses it; elsewhere a process that is killed
    between two renames leaves the old folder aside, and the next write puts it back.

    Args:
        path: The folder.
        force: Whether it may be replaced where it exists.
        inputs: What is read meanwhile.
        holds: Names of which every folder of this kind holds one, so that another's is
            refused before the work; without them it is refused after it.

    Raises:
        UsageError: `path` is or holds one of the inputs, is a file, or is a folder that has
            nothing in common with the new one: another's, which `force` does not mean.
        OutputExistsError: `path` exists and `force` was not given.
        ResourceError: The disk or a quota is full; nothing is left behind.
        WriteError: It cannot be written for another reason.
    """
    check_output(path, force=force, inputs=inputs, holds=holds)
    if path.exists() and not path.is_dir():
        raise UsageError(_NO_FOLDER.format(path))
    _remove_stale(path.parent)
    temporary = _temporary(path)
    old = _temporary(path, ".old")
    try:
        temporary.mkdir()
        yield temporary
        _require_kin(path, [entry.name for entry in temporary.iterdir()])
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


def _temporary(path: Path, mark: str = "") -> Path:
    """A hidden name beside the target that tells its host and process.

    A target whose own name is nearly as long as a name may be gives a hash of it.
    """
    name, ending = path.name, f"{mark}.{_host()}.{os.getpid()}.tmp"
    if len(os.fsencode(f".{name}{ending}")) > _LONGEST:
        name = sha256_bytes(os.fsencode(name))[:16]
    return path.parent / f".{name}{ending}"


@cache
def _host() -> str:
    """Where a process's number is its own: a hash of the host's name and its container's."""
    try:
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # only Linux has them
        container = ""
    return sha256_bytes(os.fsencode(f"{os.uname().nodename} {container}"))[:8]


def _require_kin(old: Path, new: Collection[str]) -> None:
    """Refuse to replace a folder that holds files, but none that the new one holds."""
    if not old.is_dir():
        return
    there = {entry.name for entry in old.iterdir()}
    if there and there.isdisjoint(new):
        some = ", ".join(sorted(there)[:3])
        raise UsageError(
            f"{old}: --force replaces the whole folder, and it holds other things ({some}) "
            "and nothing that is written now; choose another folder, or empty this one"
        )


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
    """Remove temporary files of this host's processes that are gone.

    What one of them had set aside is put back.
    """
    for entry in list(folder.iterdir()):
        match = _TEMPORARY.match(entry.name)
        if match is None or match["host"] != _host() or _alive(int(match["pid"])):
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
    except (ProcessLookupError, OverflowError):  # no process has so large a number
        return False
    except PermissionError:
        return True
    return True
