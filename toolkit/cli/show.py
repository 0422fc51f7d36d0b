"""`toolkit show`: overlays and an HTML gallery."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from toolkit.cli.common import (
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_option,
)


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
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option(
    "--predictions",
    "predictions_file",
    type=click.Path(path_type=Path),
    help="COCO results file, drawn over the annotations in colours of its own.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Draw the first N images only.")
@schema_option
@json_option
@force_option
def show(
    file: Path,
    images_dir: Path,
    out: Path,
    predictions_file: Path | None,
    limit: int | None,
    schema: str | None,
    as_json: bool,
    force: bool,
) -> int:
    """Draw annotations (and predictions) over the images of FILE.

    Writes one JPEG for each image that holds somebody, and index.html, a gallery that
    carries its pictures inside itself. Keypoints outside the human box wear a yellow
    diamond; where one lies outside the image, the canvas grows to show it.
    """
    from toolkit import formats
    from toolkit.files import check_output
    from toolkit.overlays import write_overlays
    from toolkit.schema import Schema

    check_output(out, force=force)
    chosen = None if schema is None else Schema.load(schema)
    dataset = formats.read(file, chosen)
    predictions = None
    if predictions_file is not None:
        predictions = formats.read_predictions(predictions_file, dataset.schema)
    with progress_bar("drawing") as progress:
        result = write_overlays(
            dataset,
            images_dir,
            out,
            predictions=predictions,
            limit=limit,
            force=force,
            progress=progress,
        )
    for line in result.damaged:
        notice(f"Error: {line}")
    if as_json:
        echo_json(
            {
                "out": str(out),
                "overlays": [asdict(item) for item in result.written],
                "damaged": list(result.damaged),
            }
        )
    else:
        people = sum(item.people for item in result.written)
        click.echo(f"{out}: {len(result.written)} overlays of {people} people")
        notice(f"open {out / 'index.html'} in a browser")
    return 1 if result.damaged else 0
