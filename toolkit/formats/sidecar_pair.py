"""A target and its sidecar: two files that are replaced as one.

The new sidecar is written first, under a name of its own that ends in `.new`; then the
target is replaced; then the sidecar takes its name. Whatever a kill leaves, each sidecar
holds the hash of the target that it was written for, and one that may be another's is never
applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import UsageError, WriteError
from toolkit.files import atomic_directory, atomic_file
from toolkit.formats.adapter import path_hash
from toolkit.formats.sidecar import Sidecar, new_path, read_sidecar, sidecar_path, write_sidecar

Write = Callable[[Path, bool], None]  # of a path, and whether it may be replaced


def write_pair(
    target: Path,
    write: Write,
    sidecar: Path,
    describe: Callable[[Path], Sidecar],
    *,
    is_folder: bool,
    force: bool,
) -> None:
    """Write a target and its sidecar.

    Args:
        target: The file or folder.
        write: Writes it.
        sidecar: Where its sidecar goes.
        describe: The sidecar of a target that has been written.
        is_folder: Whether the target is a folder.
        force: Whether both may be replaced.

    Raises:
        UsageError: Another sidecar lies beside the target, and `force` was not given.
    """
    _check_no_other(sidecar, target, force)
    making = atomic_directory if is_folder else atomic_file
    new = new_path(sidecar)
    beside = sidecar_path(target)
    with _set_aside(beside, target) if beside != sidecar else _nothing():
        try:
            with making(target, force=force) as temporary:
                _under_its_name(write, temporary, target)
                write_sidecar(new, describe(temporary), force=True)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    new.replace(sidecar)


def write_alone(target: Path, write: Write, *, force: bool) -> None:
    """Write a target that has no sidecar; with `force` an old one beside it goes.

    Raises:
        UsageError: There is an old one, and `force` was not given.
    """
    _check_no_other(None, target, force)
    with _set_aside(sidecar_path(target), target):
        write(target, force)


def find_sidecar(
    target: Path, named: Path | None, format_name: str
) -> tuple[Path, Sidecar] | None:
    """The sidecar of a target, and where it lies; None where it has none.

    Args:
        target: The file or folder.
        named: The sidecar's path; by default the one beside the target.
        format_name: Name of the target's format.

    Raises:
        ReadError: The sidecar cannot be read.
        UsageError: It is of another format; or a conversion was interrupted and the target
            is none that a sidecar was written for.
    """
    path = named or sidecar_path(target)
    new = new_path(path)
    if not new.exists():
        if named is None and not path.exists():
            return None
        return path, read_sidecar(path, format_name)
    digest = path_hash(target)
    for candidate in (new, path):
        if candidate.exists():
            found = read_sidecar(candidate, format_name)
            if found.target_sha256 == digest:
                return candidate, found
    raise UsageError(
        f"{target}: writing it was interrupted, and it is not what {new.name}"
        f"{f' or {path.name}' if path.exists() else ''} was written for; remove the sidecars "
        f"that are not its own, and name the one that is {path.name}"
    )


def _check_no_other(own: Path | None, target: Path, force: bool) -> None:
    beside = sidecar_path(target)
    if beside.exists() and beside != own and not force:
        raise UsageError(
            f"{beside}: is in the way: it would be taken for the new target's; remove it, or "
            "pass --force to replace both"
        )


@contextmanager
def _set_aside(sidecar: Path, target: Path) -> Iterator[None]:
    """Remove an old target's sidecar as the target is replaced; back if that fails."""
    new = new_path(sidecar)
    if sidecar.exists() and not _is_of(new, target):
        sidecar.replace(new)
    try:
        yield
    except BaseException:
        if new.exists():
            new.replace(sidecar)
        raise
    for old in (sidecar, new):
        old.unlink(missing_ok=True)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _is_of(sidecar: Path, target: Path) -> bool:
    """Whether a sidecar that an interrupted conversion left is the target's."""
    if not sidecar.exists() or not target.exists():
        return False
    return read_sidecar(sidecar).target_sha256 == path_hash(target)


def _under_its_name(write: Write, temporary: Path, target: Path) -> None:
    """Write to a temporary path; errors name the target."""
    try:
        write(temporary, True)
    except WriteError as error:
        raise type(error)(str(error).replace(str(temporary), str(target))) from error
