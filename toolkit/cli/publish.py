"""`toolkit publish`: build a release, verify one, unpack one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.common import (
    PROFILES,
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
)
from toolkit.errors import counted
from toolkit.printed import printable

if TYPE_CHECKING:
    from toolkit.checks import Profile

_PATH = click.Path(path_type=Path)


@click.group(epilog="Example: toolkit publish build hockey-2026 --out release")
def publish() -> None:
    """Build a release that anyone can verify, verify one, or unpack one safely."""


@publish.command(epilog="Example: toolkit publish build hockey-2026 --out release")
@click.argument("folder", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder to make for the release.")
@click.option(
    "--previous", type=_PATH, help="Folder or archive of the last release: lists the changes."
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="Rules that the annotations must pass; by default those that fit the schema.",
)
@force_option
@json_option
def build(
    *,
    folder: Path,
    out: Path,
    previous: Path | None,
    profile: Profile | None,
    force: bool,
    as_json: bool,
) -> None:
    """Build a release from FOLDER: annotations.json, images/, schema.yaml, card.md, splits/.

    Writes NAME-VERSION/, the archive NAME-VERSION.tar and manifest.json. The same input gives
    the same bytes, anywhere and at any time.
    """
    from toolkit.publish import build as build_release

    with progress_bar("copying") as progress:
        done = build_release(
            folder, out, previous=previous, profile=profile, force=force, progress=progress
        )
    if as_json:
        echo_json(
            {
                "folder": str(done.folder),
                "archive": str(done.archive),
                "name": done.manifest.name,
                "version": done.manifest.version,
                "files": len(done.manifest.files),
                "bytes": done.manifest.total_bytes,
                "notes": list(done.notes),
                "changes": list(done.changes),
            }
        )
        return
    for line in done.notes:
        notice(f"note: {line}")
    click.echo(
        f"{done.archive}: {counted(len(done.manifest.files), 'file')}, "
        f"{done.manifest.total_bytes / 1e6:,.1f} MB, version {done.manifest.version}"
    )
    for line in done.changes:
        click.echo(printable(f"  {line}"))
    notice(f"check it anywhere: toolkit publish verify {done.archive}")


@publish.command(epilog="Example: toolkit publish verify release/hockey-1.0.0.tar")
@click.argument("release", metavar="ARCHIVE|FOLDER", type=_PATH)
@click.option("--manifest", type=_PATH, help="The manifest to trust; else the one beside it.")
@json_option
def verify(*, release: Path, manifest: Path | None, as_json: bool) -> int:
    """Find every altered, missing or added file of a release; ends with 1 if there is one."""
    from toolkit.publish import verify as verify_release

    known, flaws = verify_release(release, manifest)
    if as_json:
        echo_json(
            {
                "release": str(release),
                "name": known.name,
                "version": known.version,
                "ok": not flaws,
                "files": len(known.files),
                "flaws": [asdict(flaw) for flaw in flaws],
            }
        )
        return 1 if flaws else 0
    for flaw in flaws:
        click.echo(printable(f"{flaw.fault}: {flaw.path}: {flaw.message}"))
    verdict = counted(len(flaws), "flaw") if flaws else "whole and unaltered"
    files = counted(len(known.files), "file")
    click.echo(printable(f"{release}: {known.stem}, {files}: {verdict}"))
    return 1 if flaws else 0


@publish.command(epilog="Example: toolkit publish extract release/hockey-1.0.0.tar hockey")
@click.argument("archive", type=_PATH)
@click.argument("target", type=_PATH)
@force_option
@json_option
def extract(*, archive: Path, target: Path, force: bool, as_json: bool) -> None:
    """Unpack ARCHIVE (tar or zip) into the new folder TARGET, refusing whatever is unsafe.

    Refused with exit code 4: names that lead out of TARGET, links, devices, bombs.
    """
    from toolkit.publish import extract as unpack

    names = unpack(archive, target, force=force)
    if as_json:
        echo_json({"archive": str(archive), "target": str(target), "files": names})
    else:
        click.echo(f"{target}: {counted(len(names), 'file')}")
