"""`toolkit agreement`: where annotators agree, and who differs in which way."""

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
from toolkit.errors import counted
from toolkit.printed import plain, printable

if TYPE_CHECKING:
    from toolkit.curate.agreement import Agreement
    from toolkit.curate.annotators import Panel

_PATH = click.Path(path_type=Path)
WORST = 10  # people of the queue that the text shows


@click.command(epilog="Example: toolkit agreement anna.json ben.json --out agreement.html")
@click.argument("files", metavar="A [B ...]", nargs=-1, required=True, type=_PATH)
@schema_option
@click.option("--out", type=_PATH, metavar="FILE.html", help="A page, with --images pictures.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the images.",
)
@click.option("--queue", type=_PATH, metavar="FILE", help="People to look at again, as JSON.")
@click.option(
    "--consensus",
    type=_PATH,
    metavar="FILE",
    help="What they agree on, as a COCO file: medians, and how far labels lie apart.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Length of the queue.")
@force_option
@json_option
def agreement(
    *,
    files: tuple[Path, ...],
    schema: str | None,
    out: Path | None,
    images: Path | None,
    queue: Path | None,
    consensus: Path | None,
    limit: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Compare two or more annotators: a file each, or one file whose records name them."""
    import json

    from toolkit.curate.agreement import measure_agreement
    from toolkit.curate.agreement_report import agreement_json, queue_json
    from toolkit.curate.annotators import panel_of, read_annotators, unnamed_records
    from toolkit.files import check_outputs, write_text
    from toolkit.images import images_root
    from toolkit.schema import Schema

    inputs = (*files, images, schema_file(schema))
    check_outputs((out, queue, consensus), force=force, inputs=inputs)
    if images is not None:
        images_root(images)
        if out is None:
            notice("--images is for the pictures of a page; add --out FILE.html")
    panel = panel_of(read_annotators(files, None if schema is None else Schema.load(schema)))
    if unnamed := unnamed_records(panel.reference):
        notice(
            f"{files[0].name}: {counted(len(unnamed), 'annotation')} of nobody, not compared: "
            "neither 'annotator' nor 'labelstudio.completed_by'"
        )
    result = measure_agreement(panel)
    if queue is not None:
        text = json.dumps(queue_json(result, panel, limit), indent=1, ensure_ascii=False)
        write_text(queue, text + "\n", force=force)
    if consensus is not None:
        _write_consensus(panel, consensus, force=force)
    if out is not None:
        from toolkit.curate.agreement_page import agreement_page

        with progress_bar("drawing") as progress:
            page = agreement_page(result, panel, images, progress)
        write_text(out, page, force=force)
    for target in (queue, consensus, out):
        if target is not None:
            notice(f"wrote {target}")
    if as_json:
        echo_json(agreement_json(result, panel, limit))
    else:
        _show(result, limit or WORST)


def _write_consensus(panel: Panel, path: Path, *, force: bool) -> None:
    from toolkit.curate.consensus import consensus_of

    found = consensus_of(panel)
    found.write(path, force=force)
    if found.dropped:
        notice(f"{found.dropped:,} people that fewer than half labelled are left out")


def _show(result: Agreement, worst: int) -> None:
    from rich.table import Table  # lazy: rich costs 0.1 s

    from toolkit.curate.agreement_page import bias_text, percent, remarks

    shown = console()
    oks = "" if result.oks is None else f", mean OKS {percent(result.oks)}"
    if result.oks_interval is not None:
        oks += f" ({', '.join(percent(end) for end in result.oks_interval)})"
    shown.print(f"{result.people:,} people, {result.shared:,} labelled by all{oks}\n")
    people = Table("annotator", "people", "missing", "extra", "mean offset (x, y)", "swaps")
    for row in result.annotators:
        people.add_row(
            plain(row.annotator), f"{row.people:,}", f"{row.missing:,}", f"{row.extra:,}",
            bias_text(row), f"{row.swaps:,}",
        )  # fmt: skip
    shown.print(people)
    for row in result.annotators:
        for remark in remarks(row):
            shown.print(f"[yellow]{plain(row.annotator)}[/]: {plain(remark)}", highlight=False)
    points = Table("keypoint", "pairs", "median px", "90 % px", "of size", "95 %", "same flag")
    for item in result.keypoints:
        low_high = "-"
        if item.interval is not None:
            low_high = f"{100 * item.interval[0]:.2f}-{100 * item.interval[1]:.2f}"
        points.add_row(
            plain(item.keypoint),
            f"{item.pairs:,}",
            "-" if item.median_px is None else f"{item.median_px:.1f}",
            "-" if item.p90_px is None else f"{item.p90_px:.1f}",
            percent(item.mean_of_size, 2),
            low_high,
            percent(item.same_visibility),
        )
    shown.print(points)
    shown.print("To look at again, worst first:")
    for entry in result.queue[:worst]:
        ids = "/".join("-" if i is None else str(i) for i in entry.instance_ids)
        shown.print(
            f"  image {entry.image_id} ids {ids}: {entry.score:.3f} "
            f"{printable('; '.join(entry.why))}",
            markup=False,
            highlight=False,
        )
