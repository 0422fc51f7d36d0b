"""`toolkit split` and `split verify`: a split that nobody can fault, and the proof."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from toolkit.cli.common import (
    console,
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_file,
    schema_option,
)
from toolkit.cli.file_or_command import FileOrCommand
from toolkit.errors import InvalidDataError, UsageError
from toolkit.printed import plain, printable_lines

if TYPE_CHECKING:
    from toolkit.schema import Schema
    from toolkit.split import Split, Verdict

SHOWN, LISTED = 20, 1000  # leaks in the text and in the JSON document
KINDS = ("group", "image-id", "file-name", "image-bytes", "near-duplicate", "instance")
_PATH = click.Path(path_type=Path)


class _Split(FileOrCommand):
    on_file = "make"
    usage = (
        "Usage: toolkit split FILE --out DIR [--group clip] "
        "[--fractions train=0.8,val=0.1,test=0.1] [--seed S]\n"
        "       toolkit split verify DIR [--images DIR] [--against FILE]\n"
        "       toolkit split make --help    (all options)"
    )


@click.group(
    cls=_Split,
    epilog="Example: toolkit split annotations.json --out splits --seed 1",
)
def split() -> None:
    """Split by clip into train, val and test, and find leaks.

    FILE is split into DIR; a file that is named `verify` is written `./verify`.
    """


def _fractions(_: click.Context, __: click.Parameter, value: str) -> dict[str, float]:
    result: dict[str, float] = {}
    for item in value.split(","):
        name, sign, share = item.partition("=")
        try:
            number = float(share)
        except ValueError:
            number = float("nan")
        if not sign or number != number or name.strip() in result:
            raise UsageError(
                f"option 'fractions': got '{item}'; wanted NAME=SHARE,... with each name "
                "once, for example train=0.8,val=0.1,test=0.1"
            )
        result[name.strip()] = number
    return result


@split.command(epilog="Example: toolkit split annotations.json --out splits --seed 1")
@click.argument("file", type=_PATH)
@click.option("--out", type=_PATH, required=True, metavar="DIR", help="Folder to make.")
@click.option(
    "--group",
    metavar="FIELD",
    help="What stays together: a field of the image records (clip, game, ...), "
    "file_name:REGEX, or image.  [default: clip]",
)
@click.option(
    "--fractions",
    callback=_fractions,
    default="train=0.8,val=0.1,test=0.1",
    show_default=True,
    help="Share of each split.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Another seed, another split."
)
@click.option(
    "--ungrouped",
    type=click.Choice(("refuse", "own")),
    default="refuse",
    show_default=True,
    help="Images without a group: refuse, or make each its own group.",
)
@click.option("--by-frame", is_flag=True, help="Allow frames of one clip in several splits.")
@click.option(
    "--images", type=_PATH, metavar="DIR", help="Put the images' hashes in the manifest."
)
@click.option("--previous", type=_PATH, metavar="DIR", help="The former version's split.")
@click.option(
    "--break",
    "allow_moves",
    is_flag=True,
    help="Assign all anew: let held-out images of --previous go to train.",
)
@schema_option
@force_option
@json_option
def make(
    *,
    file: Path,
    out: Path,
    group: str | None,
    fractions: Mapping[str, float],
    seed: int,
    ungrouped: str,
    by_frame: bool,
    images: Path | None,
    previous: Path | None,
    allow_moves: bool,
    schema: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Split FILE; `toolkit split FILE` is short for this."""
    from toolkit import formats
    from toolkit.files import check_output
    from toolkit.split import Previous, SplitSettings, make_split
    from toolkit.split.manifest import NAME

    settings = SplitSettings(fractions, seed, group, ungrouped == "own", by_frame, allow_moves)
    inputs = (file, file.parent, images, previous, schema_file(schema))
    check_output(out, force=force, inputs=inputs, holds=(NAME,))
    former = None if previous is None else Previous.load(previous)
    if allow_moves and former is None:
        raise UsageError("option 'break': it needs --previous DIR, the version to break with")
    dataset = formats.read(file, _schema(schema))
    with progress_bar("splitting") as report:
        result = make_split(dataset, settings, images=images, previous=former, progress=report)
        result.write(out, force=force)
    for note in result.notes:
        notice(f"Note: {note}")
    if as_json:
        echo_json(_summary(result, out))
    else:
        _print_split(result, out)


def _schema(name: str | None) -> Schema | None:
    from toolkit.schema import Schema

    return None if name is None else Schema.load(name)


def _summary(result: Split, out: Path) -> dict[str, object]:
    parts = {
        name: {"file": part.file, "sha256": part.sha256, **part.figures}
        for name, part in result.manifest.parts.items()
    }
    return {
        "out": str(out),
        **result.manifest.settings,
        "splits": parts,
        "notes": list(result.notes),
    }


def _print_split(result: Split, out: Path) -> None:
    from rich.table import Table  # lazy: rich costs 0.1 s

    strata = cast("Mapping[str, float | None]", result.manifest.settings["strata"])
    table = Table(
        "split", "images", "groups", "instances", "of images", "of instances", *strata
    )
    settings = result.manifest.settings
    whole = [_percent(value) for value in strata.values()]
    counts = [f"{settings[key]:,}" for key in ("images", "groups", "instances")]
    table.add_row("whole", *counts, "", "", *whole)
    for name, part in result.manifest.parts.items():
        figures = part.figures
        fraction = cast("Mapping[str, float | None]", figures["fraction"])
        off = cast("Mapping[str, float | None]", figures["difference_points"])
        table.add_row(
            plain(name),
            *(f"{figures[key]:,}" for key in ("images", "groups", "instances")),
            _percent(fraction["images"]),
            _percent(fraction["instances"]),
            *("n/a" if value is None else f"{value:+.1f}" for value in off.values()),
        )
    console().print(table)
    click.echo(
        "Strata: per cent of the whole, then points of difference. "
        f"Grouped by '{settings['group']}', seed {settings['seed']}; written to {out}"
    )


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value * 100:.1f} %"


@split.command(epilog="Example: toolkit split verify splits --images images")
@click.argument("folder", type=_PATH, metavar="DIR")
@click.option("--images", type=_PATH, metavar="DIR", help="Also compare the pictures.")
@click.option("--against", type=_PATH, metavar="FILE", help="Another data set to compare with.")
@click.option("--against-images", type=_PATH, metavar="DIR", help="Its pictures.")
@click.option("--previous", type=_PATH, metavar="DIR", help="The former version's split.")
@click.option(
    "--ignore", multiple=True, type=click.Choice(KINDS), help="A kind of leak not to look for."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Leaks to list (text {SHOWN}, JSON {LISTED}); all are counted.",
)
@json_option
def verify(
    *,
    folder: Path,
    images: Path | None,
    against: Path | None,
    against_images: Path | None,
    previous: Path | None,
    ignore: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> int:
    """Check the split in DIR for altered files and leaks; ends with 1 if there are any."""
    from toolkit import formats
    from toolkit.split import Other, Previous, verify_split

    if against_images is not None and against is None:
        raise UsageError("option 'against-images': it needs --against FILE")
    other = None if against is None else Other(formats.read(against), against_images)
    former = None if previous is None else Previous.load(previous)
    with progress_bar("verifying") as report:
        verdict = verify_split(
            folder,
            images=images,
            against=other,
            previous=former,
            skip=frozenset(ignore),
            progress=report,
        )
    if as_json:
        echo_json(_document(verdict, folder, limit or LISTED))
    else:
        _print_verdict(verdict, folder, limit or SHOWN)
    return 0 if verdict.ok else InvalidDataError.exit_code


def _document(verdict: Verdict, folder: Path, limit: int) -> dict[str, object]:
    return {
        "split": str(folder),
        "ok": verdict.ok,
        "altered": list(verdict.altered),
        "counts": _counts(verdict),
        "leaks": [leak.to_json() for leak in verdict.leaks[:limit]],
        "total": len(verdict.leaks),
        "compared": [list(pair) for pair in verdict.compared],
        "notes": list(verdict.notes),
    }


def _counts(verdict: Verdict) -> dict[str, int]:
    return {kind: sum(leak.kind == kind for leak in verdict.leaks) for kind in KINDS}


def _print_verdict(verdict: Verdict, folder: Path, limit: int) -> None:
    for line in verdict.altered:
        click.echo(printable_lines(f"altered: {line}"))
    for leak in verdict.leaks[:limit]:
        click.echo(printable_lines(f"{leak.kind}: {leak.line()}"))
    if len(verdict.leaks) > limit:
        click.echo(f"... and {len(verdict.leaks) - limit:,} more; --limit lists them")
    for note in verdict.notes:
        notice(f"Note: {note}")
    found = {"altered": len(verdict.altered), **_counts(verdict)}
    counts = ", ".join(f"{n:,} {kind}" for kind, n in found.items() if n)
    pairs = ", ".join(f"{one} and {two}" for one, two in verdict.compared)
    verdict_words = "no leak" if verdict.ok else f"not clean ({counts})"
    click.echo(f"{folder}: {verdict_words}; compared {pairs or 'nothing'}")
