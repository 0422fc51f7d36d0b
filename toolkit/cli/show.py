"""`toolkit show`: overlays and an HTML gallery."""

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
    schema_file,
    schema_option,
)
from toolkit.cli.numbers import Finite
from toolkit.errors import InvalidDataError, UsageError

if TYPE_CHECKING:
    from toolkit.checks import Profile
    from toolkit.formats import Scan
    from toolkit.overlays import Overlays

STRATA = ("in_box", "out_of_box", "out_of_image", "visible", "occluded")
_HARMLESS = ("skeleton-index", "visibility-beyond")  # nothing that is drawn depends on them


@click.command(
    epilog="Example: toolkit show datasets/hockey/sample/annotations.json "
    "--images datasets/hockey/sample/images --out overlays"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--images",
    "images_dir",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that the file names of the annotations refer to.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to make: a JPEG an image, and the gallery as index.html.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Write the gallery to this file.",
)
@click.option(
    "--predictions",
    "predictions_file",
    type=click.Path(path_type=Path),
    help="COCO results file, drawn over the annotations in colours of its own.",
)
@click.option(
    "--crop",
    "crop_padding",
    type=Finite(min=0, min_open=True, max=100),
    metavar="PADDING",
    help="Draw the network's input too: 1.1 for the shipped models, 1.25 for HRNet.",
)
@click.option(
    "--aspect", default="3:4", show_default=True, metavar="W:H", help="Its aspect ratio."
)
@click.option("--rule", metavar="CODE", help="Only images of people that break this rule.")
@click.option("--keypoint", metavar="NAME", help="Only where this keypoint is labelled.")
@click.option(
    "--stratum", type=click.Choice(STRATA), help="Only where a (or that) keypoint lies there."
)
@click.option("--clip", metavar="ID", help="Only images of this clip.")
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="Whose rules the findings follow [default: the one that fits the data].",
)
@click.option("--limit", type=click.IntRange(min=1), help="Draw the first N images only.")
@click.option(
    "--by",
    type=click.Choice(("image", "person")),
    default="image",
    show_default=True,
    help="One picture an image, or a close-up of each person.",
)
@click.option("--labels/--no-labels", default=True, help="Write ids at the boxes.")
@schema_option
@json_option
@force_option
def show(
    *,
    file: Path,
    images_dir: Path,
    out: Path | None,
    gallery: Path | None,
    predictions_file: Path | None,
    crop_padding: float | None,
    aspect: str,
    rule: str | None,
    keypoint: str | None,
    stratum: str | None,
    clip: str | None,
    profile: Profile | None,
    limit: int | None,
    by: str,
    labels: bool,
    schema: str | None,
    as_json: bool,
    force: bool,
) -> int:
    """Draw annotations (and predictions) over the images of FILE.

    Writes one JPEG for each image that holds somebody, and a gallery that carries its
    pictures inside itself and filters them by rule, keypoint, stratum and clip. Keypoints
    outside the human box wear a yellow diamond; where one lies outside the image, the
    canvas grows to show it. A file with errors is drawn as far as it can be read.
    """
    from toolkit import formats
    from toolkit.crop_curve import parse_aspect
    from toolkit.files import check_outputs
    from toolkit.overlays import Look, write_overlays
    from toolkit.schema import Schema
    from toolkit.tags import Wish, tag, wanted

    if out is None and gallery is None:
        raise UsageError("nothing to write: give --out DIR, --gallery FILE.html, or both")
    look = Look(crop_padding, parse_aspect(aspect), labels, close=by == "person")
    if rule is not None:
        _known_rule(rule)
    inputs = (file, images_dir, predictions_file, schema_file(schema))
    check_outputs((out, gallery), force=force, inputs=inputs, holds={out: ("index.html",)})
    scan = formats.scan(file, None if schema is None else Schema.load(schema))
    dataset = scan.dataset
    predictions = None
    if predictions_file is not None:
        predictions = formats.read_predictions(predictions_file, dataset.schema)
    tags = tag(dataset, scan.findings, profile=profile)
    wish = Wish(rule, keypoint, stratum, clip)
    chosen = None if wish == Wish() else wanted(dataset, tags, wish)
    with progress_bar("drawing") as progress:
        result = write_overlays(
            dataset,
            images_dir,
            out,
            gallery=gallery,
            predictions=predictions,
            tags=tags,
            wanted=chosen,
            look=look,
            limit=limit,
            force=force,
            progress=progress,
        )
    _report(result, out, gallery, as_json=as_json)
    faults = _tell_faults(scan, file)
    return InvalidDataError.exit_code if result.damaged or faults else 0


def _report(result: Overlays, out: Path | None, gallery: Path | None, *, as_json: bool) -> None:
    """What was written, what could not be drawn, and what the page has no room for."""
    for line in result.damaged:
        notice(f"Error: {line}")
    if result.left_out:
        total = result.in_gallery + result.left_out
        notice(f"the gallery is full: {result.left_out:,} of {total:,} pictures are not in it")
    if as_json:
        echo_json(
            {
                "out": None if out is None else str(out),
                "gallery": None if gallery is None else str(gallery),
                "overlays": [asdict(item) for item in result.written],
                "in_gallery": result.in_gallery,
                "left_out_of_gallery": result.left_out,
                "damaged": list(result.damaged),
            }
        )
        return
    people = sum(item.people for item in result.written)
    click.echo(f"{out or gallery}: {len(result.written)} overlays of {people} people")
    notice(f"open {gallery or (out or Path()) / 'index.html'} in a browser")


def _tell_faults(scan: Scan, file: Path) -> int:
    """Say that records could not be read whole; what was read of them is drawn."""
    faults = [finding for finding in scan.errors if finding.rule not in _HARMLESS]
    if faults:
        more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
        notice(
            f"Error: {faults[0].line(file.name)}{more}; run 'toolkit validate {file}' for "
            "the list"
        )
    return len(faults)


def _known_rule(code: str) -> None:
    from toolkit.checks.rulebook import explain

    explain(code)
