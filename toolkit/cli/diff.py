"""`toolkit diff`: what changed between two annotation files, keypoint by keypoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
from toolkit.cli.numbers import Finite
from toolkit.errors import counted
from toolkit.printed import plain, printable_lines

if TYPE_CHECKING:
    from toolkit.curate.diff import Diff
    from toolkit.curate.match import MatchBy

MOVES = 10  # largest moves in the text
FIELDS = 10  # changed fields in the text
LISTED = 1000  # entries of each list in the JSON document


@click.command(epilog="Example: toolkit diff before.json after.json --out changes.html")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--tolerance",
    type=Finite(min=0),
    default=0.0,
    metavar="PX",
    help="Count moves of at most PX pixels as no move.",
)
@click.option(
    "--match",
    type=click.Choice(("auto", "id", "oks")),
    default="auto",
    show_default=True,
    help="Pair people by id, by how alike they are, or by id and then alike.",
)
@click.option(
    "--oks",
    "threshold",
    type=Finite(min=0, max=1, min_open=True),
    default=0.5,
    show_default=True,
    help="How alike two people without a common id must be to be one.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE.html", help="Also write a page."
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the images, for the pictures of the page.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Entries to list.")
@click.option("--exit-code", is_flag=True, help="End with 1 where the files differ.")
@schema_option
@json_option
@force_option
def diff(
    *,
    old: Path,
    new: Path,
    tolerance: float,
    match: MatchBy,
    threshold: float,
    out: Path | None,
    images: Path | None,
    limit: int | None,
    exit_code: bool,
    schema: str | None,
    as_json: bool,
    force: bool,
) -> int:
    """Compare the annotation files OLD and NEW.

    Tells which keypoints moved by how many pixels, where a visibility, a box or another
    field changed, and which instances and images came and went. People are paired by id;
    where ids were renumbered, by OKS within their image.
    """
    from toolkit import formats
    from toolkit.curate.diff import diff as compare
    from toolkit.curate.diff_report import to_json
    from toolkit.files import check_output
    from toolkit.images import images_root
    from toolkit.schema import Schema

    if out is not None:
        check_output(out, force=force, inputs=(old, new, images, schema_file(schema)))
    if images is not None:
        images_root(images)
        if out is None:
            notice("--images is for the pictures of a page; add --out FILE.html")
    known = None if schema is None else Schema.load(schema)
    sides = [formats.scan(path, known) for path in (old, new)]
    for path, side in zip((old, new), sides, strict=True):
        if side.errors:
            count = sum(finding.count for finding in side.errors)
            notice(f"{path.name}: {counted(count, 'error')}; 'toolkit validate' lists them")
    result = compare(
        sides[0].dataset,
        sides[1].dataset,
        tolerance=tolerance,
        threshold=threshold,
        match=match,
    )
    if out is not None:
        _write_page(result, out, images, force=force)
    if as_json:
        echo_json(to_json(result, limit or LISTED))
    else:
        _print(result, limit)
    return 1 if exit_code and not result.equal else 0


def _write_page(result: Diff, out: Path, images: Path | None, *, force: bool) -> None:
    from toolkit.curate.diff_page import diff_page
    from toolkit.files import write_text

    with progress_bar("drawing") as progress:
        page = diff_page(result, images, progress)
    write_text(out, page, force=force)
    notice(f"wrote {out}; open it in a browser")


def _print(result: Diff, limit: int | None) -> None:
    from toolkit.curate.diff_report import summary_lines

    click.echo(printable_lines("\n".join(summary_lines(result))))
    if not result.equal:
        _print_keypoints(result)
        _print_moves(result, limit or MOVES)
        _print_fields(result, limit or FIELDS)


def _print_keypoints(result: Diff) -> None:
    from rich.table import Table  # lazy: rich costs 0.1 s

    from toolkit.curate.diff_report import keypoint_summaries

    lines = [line for line in keypoint_summaries(result) if line.changed]
    if not lines:
        return
    heads = ("compared", "moved", "median px", "max px", "labelled", "unlabelled", "visibility")
    table = Table("keypoint", title="Keypoints that changed", title_justify="left")
    for head in heads:
        table.add_column(head, justify="right")
    for line in lines:
        pixels = (_px(line.median_px), _px(line.max_px))
        rest = (line.labelled, line.unlabelled, line.visibility)
        numbers = (f"{line.compared:,}", f"{line.moved:,}", *pixels, *(f"{n:,}" for n in rest))
        table.add_row(plain(line.name), *numbers)
    console().print(table)


def _print_moves(result: Diff, limit: int) -> None:
    from rich.table import Table  # lazy: rich costs 0.1 s

    from toolkit.curate.diff_report import pair_json

    moves = result.largest_moves(limit)
    if not moves:
        return
    table = Table(
        "id", "image", "file", "keypoint", title="Largest moves", title_justify="left"
    )
    table.add_column("px", justify="right")
    for pair, column in moves:
        who = pair_json(result, pair)
        ids = str(who["id"]) + ("" if who["id"] == who["new_id"] else f" -> {who['new_id']}")
        px = _px(float(result.moved_px[pair, column]))
        words = (str(who["image_id"]), str(who["file_name"]), result.shared.names[column])
        table.add_row(ids, *map(plain, words), px)
    console().print(table)


def _print_fields(result: Diff, limit: int) -> None:
    from toolkit.curate.diff_report import shown

    for change in result.fields[:limit]:
        click.echo(f"{change.place}: {shown(change.old)} -> {shown(change.new)}")
    if len(result.fields) > limit:
        click.echo(f"... and {len(result.fields) - limit:,} more fields; --json lists them")


def _px(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if value >= 0.05 else f"{value:.2g}"
