"""Building a release: a folder, one archive and one manifest, the same bytes every time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.checks import Profile
from toolkit.checks.facts import FileFacts
from toolkit.curate.records import document_of
from toolkit.errors import InvalidDataError, ReadError, ToolkitError, UsageError, counted
from toolkit.files import atomic_directory, check_output
from toolkit.publish.archive import write_archive
from toolkit.publish.card import card_text
from toolkit.publish.changes import change_lines
from toolkit.publish.croissant import croissant, croissant_bytes, missing_rai
from toolkit.publish.manifest import MANIFEST, Manifest, manifest_of
from toolkit.publish.source import Source, read_source
from toolkit.publish.splits import check_splits, split_files
from toolkit.stats import measure

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OF_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # written by looking at a folder
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Release:
    """What was built.

    Attributes:
        folder: Holds the release folder, the archive and the manifest.
        archive: The archive.
        manifest: What is in it.
        notes: What a maintainer should know: files left out, fields the card does not state.
        changes: What changed since the last version; empty for a first one.
    """

    folder: Path
    archive: Path
    manifest: Manifest
    notes: tuple[str, ...]
    changes: tuple[str, ...]


def build(
    folder: Path,
    out: Path,
    *,
    previous: Path | None = None,
    profile: Profile | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Release:
    """Build a release.

    Args:
        folder: `annotations.json`, `images/`, `schema.yaml`, `card.md`, `splits/`.
        out: Folder to make: `NAME-VERSION/`, `NAME-VERSION.tar`, `manifest.json`.
        previous: Folder or archive of the last release, for the change list.
        profile: Rules that the annotations must pass.
        force: Replace `out`.
        progress: Called with (files copied, files in all).

    Raises:
        InvalidDataError: Annotations, splits, licence or names are not fit to publish.
        ReadError: Something is missing or cannot be read.
        UnsafeInputError: A name or a link leads out of the folder.
        UsageError: `out` holds more than a release: it would be replaced as a whole.
        OutputExistsError: `out` exists.
        WriteError: It cannot be written; nothing is left behind.
    """
    check_output(out, force=force, inputs=(folder, previous), holds=(MANIFEST,))
    _spare_other_things(out)
    source = read_source(folder, profile)
    stem = _stem(source)
    notes = [*_notes(source), *check_splits(source)]
    changes = change_lines(source, previous) if previous else []
    with atomic_directory(out, force=force) as place:
        files = place / stem
        files.mkdir()
        _copy(source, files, progress)
        _describe(source, files, changes)
        manifest = manifest_of(
            files, source.card.name, source.card.version, source.card.licence, source.licences
        )
        for target in (files / MANIFEST, place / MANIFEST):
            target.write_bytes(manifest.to_bytes())
        write_archive(files, manifest, place / f"{stem}.tar")
    return Release(out, out / f"{stem}.tar", manifest, tuple(notes), tuple(changes))


def _spare_other_things(out: Path) -> None:
    """Refuse to replace a folder that is no release, or holds more than one."""
    there = {path.name for path in out.iterdir()} - _OF_DESKTOPS if out.is_dir() else set()
    if not there:
        return
    try:
        stem = Manifest.from_bytes((out / MANIFEST).read_bytes(), str(out / MANIFEST)).stem
    except (ToolkitError, OSError) as error:
        raise UsageError(
            f"{out}: --force replaces the whole folder, and it holds no release; choose "
            "another folder"
        ) from error
    if others := sorted(there - {MANIFEST, stem, f"{stem}.tar"}):
        raise UsageError(
            f"{out}: --force replaces the whole folder, and it also holds "
            f"{', '.join(others[:5])}; choose another folder"
        )


def _stem(source: Source) -> str:
    card = source.card
    for field, value in (("name", card.name), ("version", card.version)):
        if not _NAME.fullmatch(value):
            raise InvalidDataError(
                f"{source.folder / 'card.md'}: field '{field}': {value!r} cannot be part of a "
                "file name; wanted letters, digits, '.', '_' and '-', at most 64"
            )
    return f"{card.name}-{card.version}"


def _copy(source: Source, target: Path, progress: Progress | None) -> None:
    names = ["annotations.json", "schema.yaml", *(f"images/{name}" for name in source.images)]
    names += [f"splits/{name}" for name in split_files(source)]
    names += [name for name in ("LICENSE", "LICENSE.txt") if (source.folder / name).is_file()]
    for done, name in enumerate(names, 1):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source.folder / name, place)
        except FileNotFoundError as error:
            raise ReadError(f"{source.folder / name}: gone while building: {error}") from None
        if progress is not None:
            progress(done, len(names))


def _describe(source: Source, target: Path, changes: Sequence[str]) -> None:
    """Write what is derived: statistics, card, metadata."""
    statistics = measure(source.dataset)
    document = statistics.to_json()
    (target / "statistics.json").write_text(
        json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    (target / "README.md").write_text(card_text(source, statistics, changes), encoding="utf-8")
    if changes:
        text = f"# Changes in {source.card.version}\n\n" + "".join(f"* {c}\n" for c in changes)
        (target / "CHANGES.md").write_text(text, encoding="utf-8")
    known = manifest_of(target, source.card.name, source.card.version, "", {}).files
    content = croissant_bytes(croissant(source, known))
    (target / "croissant.json").write_bytes(content)


def _notes(source: Source) -> list[str]:
    notes = []
    if not len(source.dataset.annotations):
        notes.append("there are no annotations; nothing can be trained or scored on this")
    if source.unused:
        notes.append(
            f"left out as no record names it: {counted(len(source.unused), 'file')} below "
            f"images/, the first '{source.unused[0]}'"
        )
    named = sum(value is not None for value in FileFacts(document_of(source.dataset)).licences)
    if unstated := named - len(source.licences):
        notes.append(
            f"'licenses' does not state the terms that {counted(unstated, 'image')} "
            f"{'names' if unstated == 1 else 'name'}; the manifest gives the card's"
        )
    missing = missing_rai(source)
    if missing:
        notes.append(
            f"card.md states no rai: {', '.join(missing)}; venues ask for these "
            "responsible-AI fields"
        )
    if not source.front.get("date_published"):
        notes.append("card.md states no date_published; no date was made up")
    if not source.card.source_url:
        notes.append("card.md states no source_url; the metadata carry a made-up URN instead")
    return notes
