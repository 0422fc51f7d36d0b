"""`toolkit crop`: which keypoints a top-down network is never shown, by box padding."""

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
    schema_file,
    schema_option,
)
from toolkit.errors import UsageError
from toolkit.printed import plain

if TYPE_CHECKING:
    from toolkit.crop_curve import CropCurve

ENDINGS = (".html", ".htm", ".svg", ".csv")


@click.command(epilog="Example: toolkit crop datasets/hockey/sample/annotations.json")
@click.argument("file", type=click.Path(path_type=Path))
@schema_option
@click.option(
    "--paddings",
    metavar="P,P,...",
    help="Factors on the box [default: 1,1.1,1.25,1.5,2,2.5,3].",
)
@click.option(
    "--aspect",
    default="3:4",
    show_default=True,
    metavar="W:H",
    help="Aspect ratio of the network's input (3:4 is 96x128, 192x256 and 288x384).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.html|.svg|.csv",
    help="The curve as a page, a picture or a table.",
)
@json_option
@force_option
def crop(
    *,
    file: Path,
    schema: str | None,
    paddings: str | None,
    aspect: str,
    out: Path | None,
    as_json: bool,
    force: bool,
) -> int:
    """Say how much of each keypoint of FILE falls outside the network's input.

    The box is grown to the input's aspect ratio and multiplied with the padding, as the
    shipped models do (1.1; HRNet's usual is 1.25). A heatmap cannot point outside it.
    """
    from toolkit import formats
    from toolkit.crop_curve import MARKED, PADDINGS, crop_curve, parse_aspect
    from toolkit.files import check_output
    from toolkit.schema import Schema
    from toolkit.stats.text import crop_table

    if out is not None:
        if out.suffix.lower() not in ENDINGS:
            raise UsageError(f"--out {out}: expected a name ending in .html, .svg or .csv")
        check_output(out, force=force, inputs=(file, schema_file(schema)))
    wanted = PADDINGS if paddings is None else _numbers(paddings)
    ratio = parse_aspect(aspect)
    scan = formats.scan(file, None if schema is None else Schema.load(schema))
    curve = crop_curve(scan.dataset.annotations, paddings=wanted, aspect=ratio)
    if out is not None:
        _write(out, curve=curve, file=scan.dataset.name, force=force)
        notice(f"wrote {out}")
    if as_json:
        document = {"file": scan.dataset.name, "schema": scan.dataset.schema.name}
        echo_json(document | curve.to_json())
        return 0
    title = f"{scan.dataset.name}: per cent outside the input of aspect {aspect}, by padding"
    console().print(crop_table(curve, plain(title)))
    marks = ", ".join(f"{padding:g} {why}" for padding, why in MARKED.items())
    click.echo(
        f"* {marks}; the last columns are the paddings that hold that share of the keypoint"
    )
    if curve.left_out:
        notice(f"{curve.left_out:,} labelled keypoints without a usable box are left out")
    if scan.errors:
        notice(f"{file.name} has errors; run 'toolkit validate {file}' for the list")
    return 0


def _write(out: Path, *, curve: CropCurve, file: str, force: bool) -> None:
    from toolkit.charts import standalone
    from toolkit.files import write_text
    from toolkit.stats.webpage import crop_chart, crop_page

    ending = out.suffix.lower()
    if ending == ".csv":
        write_text(out, curve.to_csv(), force=force)
    elif ending == ".svg":
        write_text(out, standalone(crop_chart(curve)), force=force)
    else:
        write_text(out, crop_page(curve, file), force=force)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--paddings '{text}': expected numbers with commas, such as 1.0,1.25,2"
        ) from None
