"""`toolkit rank`: likely label errors first."""

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
from toolkit.printed import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.annotations import Predictions
    from toolkit.curate.rank import Entry
    from toolkit.dataset import Dataset

SHARE = 0.1  # of the instances: as much as is worth a second look
LEAST = 20
PRINTED = 20
_PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: toolkit rank annotations.json predictions.json --images images "
    "--out queue.html"
)
@click.argument("file", type=_PATH)
@click.argument("predictions", type=_PATH)
@click.option(
    "--out",
    type=_PATH,
    metavar="FILE.html|FILE.json",
    help="Also write a page with pictures, or a queue of annotation ids.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Entries of the queue [default: a tenth of the instances, at least 20].",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the images, for the pictures of the page.",
)
@schema_option
@json_option
@force_option
def rank(
    *,
    file: Path,
    predictions: Path,
    out: Path | None,
    limit: int | None,
    images: Path | None,
    schema: str | None,
    as_json: bool,
    force: bool,
) -> None:
    """Order the instances of FILE by how likely their label is wrong, worst first.

    PREDICTIONS is what 'toolkit predict' wrote for FILE's boxes (COCO results of any model
    will do; `sigmas` and `keypoint_scores` make it sharper). Each entry says why, and which
    keypoints to look at: stray ones, exchanged sides, another person's, missing ones, and
    broken rules of 'toolkit validate'. What is ordinary is learned from FILE itself.
    """
    from toolkit import formats
    from toolkit.curate.rank import rank as rank_labels
    from toolkit.errors import UsageError
    from toolkit.files import check_output
    from toolkit.images import images_root

    if out is not None:
        if out.suffix.lower() not in (".html", ".htm", ".json"):
            raise UsageError(f"option --out: got '{out}'; wanted FILE.html or FILE.json")
        check_output(out, force=force, inputs=(file, predictions, images, schema_file(schema)))
    if images is not None:
        images_root(images)
        if out is None or out.suffix.lower() == ".json":
            notice("--images is for the pictures of a page; add --out FILE.html")
    found = formats.scan(file, schema)
    if found.errors:
        count = sum(finding.count for finding in found.errors)
        notice(f"{file.name}: {counted(count, 'error')}; 'toolkit validate' lists them")
    dataset = found.dataset
    answers = formats.read_predictions(predictions, dataset.schema)
    people = len(dataset.annotations)
    kept = limit or max(LEAST, -(-people // round(1 / SHARE)))
    with progress_bar("ranking") as progress:
        entries = rank_labels(dataset, answers, found.findings, limit=kept, progress=progress)
    _say_what_is_missing(dataset, answers, predictions)
    if out is not None:
        _write(dataset, answers, entries, out, images, force=force)
    if as_json:
        echo_json(_document(dataset, entries, file, predictions))
    else:
        _print(entries, people)


def _say_what_is_missing(dataset: Dataset, answers: Predictions, path: Path) -> None:
    """Notices about what makes the queue blunter than it could be."""
    if answers.sigma is None:
        notice(f"{path.name}: no 'sigmas'; distances are judged by the person's size alone")
    named = set(answers.annotation_id.tolist()) - {-1}
    missing = len(set(dataset.annotations.instance_id.tolist()) - named)
    if named and missing:
        notice(f"{path.name}: {missing:,} instances have no prediction by 'annotation_id'")


def _document(
    dataset: Dataset, entries: Sequence[Entry], file: Path, predictions: Path
) -> dict[str, object]:
    from toolkit.curate.rank_report import entry_json

    return {
        "file": str(file),
        "predictions": str(predictions),
        "schema": dataset.schema.name,
        "instances": len(dataset.annotations),
        "queue": [entry_json(dataset, entry) for entry in entries],
    }


def _write(
    dataset: Dataset,
    answers: Predictions,
    entries: Sequence[Entry],
    out: Path,
    images: Path | None,
    *,
    force: bool,
) -> None:
    from toolkit.files import write_text

    if out.suffix.lower() == ".json":
        from toolkit.curate.rank_report import queue_text

        write_text(out, queue_text(dataset, entries), force=force)
        notice(f"wrote {out}: {counted(len(entries), 'annotation')}, likeliest errors first")
        return
    from toolkit.curate.rank_page import rank_page

    with progress_bar("drawing") as progress:
        page = rank_page(dataset, answers, entries, images, progress)
    write_text(out, page, force=force)
    notice(f"wrote {out}; open it in a browser")


def _print(entries: Sequence[Entry], people: int) -> None:
    from rich.table import Table  # lazy: rich costs 0.1 s

    if not entries:
        click.echo("no instance can be ranked: none has a prediction or breaks a rule")
        return
    table = Table(
        "id", "image", title=f"Labels to look at, of {people:,}", title_justify="left"
    )
    table.add_column("score", justify="right")
    table.add_column("reason", overflow="fold")
    for entry in entries[:PRINTED]:
        words = plain(entry.reason)
        ids = str(entry.annotation_id), str(entry.image_id)
        table.add_row(*ids, f"{entry.score:.1f}", words)
    console().print(table)
    if len(entries) > PRINTED:
        click.echo(f"... and {len(entries) - PRINTED:,} more; --out and --json list them")
