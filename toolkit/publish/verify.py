"""Whether a release is what its maker built: every file, and every byte of the archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import ReadError
from toolkit.files import sha256_file
from toolkit.publish.archive import Flaw, check_archive
from toolkit.publish.manifest import MANIFEST, Manifest, file_paths


def verify(release: Path, manifest_file: Path | None = None) -> tuple[Manifest, list[Flaw]]:
    """Compare a release with its manifest.

    Args:
        release: The archive, the folder of its files, or the folder that holds both.
        manifest_file: The manifest to trust; by default the one beside an archive, or the
            one inside a folder.

    Returns:
        The manifest, and every flaw: files altered, missing or added.

    Raises:
        ReadError: The release or its manifest does not exist or cannot be read.
    """
    if not release.exists():
        raise ReadError(f"{release}: no such file or folder")
    place = manifest_file or (release if release.is_dir() else release.parent) / MANIFEST
    if not place.is_file():
        raise ReadError(
            f"{place}: no such file; a release has its {MANIFEST} beside the archive and "
            "inside it; name another with --manifest"
        )
    content = place.read_bytes()
    manifest = Manifest.from_bytes(content, str(place))
    flaws: list[Flaw] = []
    if content != manifest.to_bytes():
        flaws.append(
            Flaw(str(place.name), "altered", "it is not spelled as the toolkit writes it")
        )
    if release.is_file():
        return manifest, [*flaws, *check_archive(release, manifest)]
    archive, files = release / f"{manifest.stem}.tar", release / manifest.stem
    if not (files.is_dir() or archive.is_file()):
        return manifest, [*flaws, *check_folder(release, manifest)]
    flaws += _check_outer(release, manifest.stem, content)
    if archive.is_file():
        flaws += check_archive(archive, manifest)
    if files.is_dir():
        flaws += check_folder(files, manifest)
    return manifest, flaws


def _check_outer(release: Path, stem: str, trusted: bytes) -> Iterator[Flaw]:
    """What lies beside the archive and the folder of its files."""
    own = {MANIFEST, f"{stem}.tar"}
    for path in file_paths(release):
        if path in own:
            if (release / path).is_symlink():
                yield Flaw(path, "altered", "it is a symbolic link")
            elif path == MANIFEST and (release / path).read_bytes() != trusted:
                yield Flaw(path, "altered", "it differs from the manifest to trust")
        elif not path.startswith(f"{stem}/"):
            yield Flaw(path, "added", "it is neither the archive nor in the release's folder")


def check_folder(folder: Path, manifest: Manifest) -> list[Flaw]:
    """Compare a folder's files with a manifest."""
    wanted = {entry.path: entry for entry in manifest.files}
    flaws = []
    present = set(file_paths(folder))
    for path in sorted(present | set(wanted)):
        entry = wanted.get(path)
        place = folder / path
        if place.is_symlink() and (entry is not None or path == MANIFEST):
            flaws.append(Flaw(path, "altered", "it is a symbolic link"))
        elif path == MANIFEST:
            if place.read_bytes() != manifest.to_bytes():
                flaws.append(Flaw(path, "altered", "it differs from the manifest to trust"))
        elif entry is None:
            flaws.append(Flaw(path, "added", "it is in the folder and not in the manifest"))
        elif path not in present:
            flaws.append(Flaw(path, "missing", "it is not in the folder"))
        elif place.stat().st_size != entry.bytes:
            flaws.append(
                Flaw(
                    path,
                    "altered",
                    f"{place.stat().st_size:,} bytes, the manifest says {entry.bytes:,}",
                )
            )
        elif (found := sha256_file(place)) != entry.sha256:
            flaws.append(
                Flaw(
                    path,
                    "altered",
                    f"SHA-256 {found[:16]}..., the manifest says {entry.sha256[:16]}...",
                )
            )
    if MANIFEST not in present:
        flaws.append(Flaw(MANIFEST, "missing", "it is not in the folder"))
    return flaws
