"""The list of what a release holds: path, size, SHA-256 and licence of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolkit.errors import ReadError
from toolkit.files import sha256_file

MANIFEST = "manifest.json"


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
        """
        try:
            document = json.loads(content)
            files = tuple(FileEntry(**entry) for entry in document["files"])
            found = cls(str(document["name"]), str(document["version"]), files)
            if any(
                not isinstance(entry.path, str) or not isinstance(entry.bytes, int)
                for entry in files
            ):
                raise TypeError("a path is no text or a size no integer")
        except (ValueError, KeyError, TypeError) as error:
            raise ReadError(
                f"{where}: not a release manifest ({error}); wanted the {MANIFEST} that "
                "'toolkit publish build' writes"
            ) from None
        return found


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
