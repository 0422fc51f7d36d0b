"""The list of what a release holds: path, size, SHA-256 and licence of every file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolkit.errors import ReadError, UnsafeInputError
from toolkit.files import sha256_file
from toolkit.images import unsafe_name_reason

MANIFEST = "manifest.json"
LARGEST = 8**11 - 1  # bytes of a file: what the size field of a plain tar header can hold
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """One file of a release.

    Attributes:
        path: Relative to the release's root, with `/`.
        bytes: Its size.
        sha256: Of its bytes.
        licence: Terms of this file; an image's own where its record names one.
    """

    path: str
    bytes: int
    sha256: str
    licence: str


@dataclass(frozen=True)
class Manifest:
    """What a release holds; the manifest itself is not among its files.

    Attributes:
        name: Of the data set.
        version: Of the data.
        files: Sorted by path.
    """

    name: str
    version: str
    files: tuple[FileEntry, ...]

    @property
    def stem(self) -> str:
        """Name of the archive without its ending, and of the folder inside it."""
        return f"{self.name}-{self.version}"

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(entry.bytes for entry in self.files)

    def to_bytes(self) -> bytes:
        """As a JSON document: same files, same bytes."""
        document = {
            "name": self.name,
            "version": self.version,
            "bytes": self.total_bytes,
            "files": [asdict(entry) for entry in self.files],
        }
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8")

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """Read a manifest.

        Args:
            content: The JSON document.
            where: What to call it in an error.

        Raises:
            ReadError: It is no manifest.
            UnsafeInputError: Its name or a path of it leads out of the release's folder.
        """
        try:
            document = json.loads(content)
            files = tuple(FileEntry(**entry) for entry in document["files"])
            found = cls(str(document["name"]), str(document["version"]), files)
            for index, entry in enumerate(files):
                _check_types(entry, f"files[{index}]")
            found.to_bytes()  # half of a surrogate pair has no bytes
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ReadError(
                f"{where}: not a release manifest ({error}); wanted the {MANIFEST} that "
                "'toolkit publish build' writes"
            ) from None
        found.check_paths(where)
        return found

    def check_paths(self, where: str) -> None:
        """Refuse a manifest that names something outside its release.

        Raises:
            UnsafeInputError: The name, the version or a path leads out of the folder.
        """
        reason = unsafe_name_reason(self.stem)
        if reason or "/" in self.stem or "\\" in self.stem:
            raise UnsafeInputError(
                f"{where}: name and version {self.stem!r} cannot name a folder"
                f"{f': {reason}' if reason else ''}; nothing was read"
            )
        for entry in self.files:
            if reason := unsafe_name_reason(entry.path):
                raise UnsafeInputError(f"{where}: path {entry.path!r}: {reason}")


def _check_types(entry: FileEntry, place: str) -> None:
    """Refuse values that no release has.

    Raises:
        TypeError: A field is of the wrong kind.
        ValueError: A size or a hash is impossible.
    """
    for name in ("path", "sha256", "licence"):
        if not isinstance(getattr(entry, name), str):
            raise TypeError(f"{place}: '{name}' is no text")
    if type(entry.bytes) is not int:
        raise TypeError(f"{place}: 'bytes' is no integer")
    if not 0 <= entry.bytes <= LARGEST:
        raise ValueError(f"{place}: 'bytes' is {entry.bytes}; no file of a release has that")
    if not _SHA256.fullmatch(entry.sha256):
        raise ValueError(f"{place}: 'sha256' is no hash of 64 digits")


def manifest_of(
    folder: Path, name: str, version: str, licence: str, licences: Mapping[str, str]
) -> Manifest:
    """The manifest of a folder.

    Args:
        folder: The release's root; every file in it is listed.
        name: Of the data set.
        version: Of the data.
        licence: Of every file that `licences` does not name.
        licences: Licence by path.
    """
    files = (
        FileEntry(path, (folder / path).stat().st_size, sha256_file(folder / path), terms)
        for path in file_paths(folder)
        if path != MANIFEST
        for terms in [licences.get(path, licence)]
    )
    return Manifest(name, version, tuple(files))


def file_paths(folder: Path) -> Sequence[str]:
    """Paths of all files below a folder, relative, with `/`, sorted."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    )
