"""`toolkit convert`: from one format to another, losing nothing in silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.common import (
    FORMATS,
    echo_json,
    force_option,
    json_option,
    notice,
    schema_file,
    schema_option,
)
from toolkit.errors import counted

if TYPE_CHECKING:
    from toolkit.formats.convert import Conversion

JSON = ("coco", "crowdpose", "cropcoco", "results")  # the others may have a sidecar
SHOWN = 20  # findings that the text names
# Rules of what reading a foreign file found, and how each line begins.
_CARE = {
    "foreign-assumed": "assumed",
    "foreign-left-out": "left out",
    "foreign-unusable": "unusable",
    "json-bom": "note",
}
_format = click.Choice(FORMATS)


@click.command(epilog="Example: toolkit convert crowdpose.json coco.json --to coco")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--from", "source_format", type=_format, help="Format of SRC; found by default.")
@click.option(
    "--to",
    "target_format",
    type=_format,
    help="Format of DST; by default that of its suffix, else that of SRC.",
)
@schema_option
@click.option(
    "--to-schema",
    metavar="NAME|FILE",
    help="Keypoints of DST, matched by name; those of SRC by default.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="End with 1 and write nothing if DST cannot hold all that SRC has.",
)
@click.option(
    "--sidecar",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Keep in DST.sidecar.json (or FILE) what DST cannot hold; coming back, SRC's is "
    "found by itself, FILE names another.",
)
@force_option
@json_option
def convert(
    *,
    source: Path,
    target: Path,
    source_format: str | None,
    target_format: str | None,
    schema: str | None,
    to_schema: str | None,
    strict: bool,
    sidecar: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Convert SRC to DST and say what changes and what is lost.

    A file converted to its own format is copied byte for byte. Formats: coco, crowdpose,
    cropcoco and results are JSON; docs/formats.md says what each of them cannot hold.
    """
    from toolkit.formats.convert import convert as convert_file
    from toolkit.schema import Schema

    done = convert_file(
        source,
        target,
        source_format=source_format,
        target_format=target_format,
        schema=None if schema is None else Schema.load(schema),
        target_schema=None if to_schema is None else Schema.load(to_schema),
        strict=strict,
        force=force,
        sidecar=sidecar is not None,
        sidecar_file=Path(sidecar) if sidecar else None,
        others=(schema_file(schema), schema_file(to_schema)),
    )
    if as_json:
        echo_json(_document(done, source, target))
        return
    for name, count in done.lost.items():
        of_schema = to_schema is not None and name.startswith("keypoint ")
        holder = f"schema '{to_schema}'" if of_schema else f"format '{done.target_format}'"
        notice(f"lost: {name} ({counted(count, 'record')}); {holder} has no place")
    beside = "" if done.sidecar is None else done.sidecar.name
    for name, count in done.kept.items():
        notice(f"kept in {beside}: {name} ({counted(count, 'record')})")
    if done.lost and done.sidecar is None and done.target_format not in JSON:
        notice("to keep what is lost in a file beside it: --sidecar")
    if beside and not done.kept:
        notice(f"with its sidecar {beside}")
    if done.restored_from is not None:
        notice(f"the rest is from {done.restored_from.name}")
    for line in _read_with_care(done, source):
        notice(line)
    for line in done.changed:
        notice(f"changed: {line}")
    for line in done.notes:
        notice(f"note: {line}")
    if done.errors:
        errors = counted(done.errors, "error")
        notice(f"{source.name}: {errors}, kept; see: toolkit validate {source}")
    left_out = any(f.rule == "foreign-left-out" for f in done.findings)
    click.echo(
        f"{target}: {done.source_format} to {done.target_format}, "
        f"{counted(done.images, 'image')}, {counted(done.instances, 'instance')}"
        + ("" if done.lost or done.kept or done.changed or left_out else ", nothing changed")
    )


def _read_with_care(done: Conversion, source: Path) -> list[str]:
    """What reading a foreign file assumed, left out or could not use, one line each."""
    found = [f for f in done.findings if f.rule in _CARE]
    lines = [f"{_CARE[f.rule]}: {f.message}" for f in found[:SHOWN]]
    if len(found) > SHOWN:
        more = len(found) - SHOWN
        lines.append(f"... and {more:,} more; see: toolkit validate {source}, or --json")
    return lines


def _document(done: Conversion, source: Path, target: Path) -> dict[str, object]:
    return {
        "source": str(source),
        "target": str(target),
        "from": done.source_format,
        "to": done.target_format,
        "images": done.images,
        "instances": done.instances,
        "lost": done.lost,
        "kept": done.kept,
        "sidecar": None if done.sidecar is None else str(done.sidecar),
        "restored_from": None if done.restored_from is None else str(done.restored_from),
        "changed": list(done.changed),
        "notes": list(done.notes),
        "findings": [
            {"rule": f.rule, "message": f.message, "count": f.count}
            for f in done.findings
            if f.rule in _CARE
        ],
        "errors": done.errors,
    }
