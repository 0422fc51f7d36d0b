"""`toolkit sigmas`: OKS sigmas from repeated labels, into a schema with their source."""

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
    from toolkit.curate.sigmas import SigmaEstimate

_PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: toolkit sigmas anna.json ben.json --schema hockey --out my-hockey.yaml"
)
@click.argument("files", metavar="A [B ...]", nargs=-1, required=True, type=_PATH)
@schema_option
@click.option("--out", type=_PATH, metavar="SCHEMA.yaml", help="The schema with the estimates.")
@click.option(
    "--only",
    metavar="NAMES",
    help="Keypoints whose sigma is written, with commas between; by default all whose sigma "
    "is not published.",
)
@force_option
@json_option
def sigmas(
    *,
    files: tuple[Path, ...],
    schema: str | None,
    out: Path | None,
    only: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Estimate OKS sigmas from the same people labelled by two or more annotators.

    As COCO did: sigma^2 is the mean of d^2 / s^2, d the distance of a label from the true
    place (the mean of n labels, corrected by n / (n - 1)), s the root of the area.
    """
    from toolkit.curate.annotators import panel_of, read_annotators
    from toolkit.curate.sigma_schema import schema_with_sigmas
    from toolkit.curate.sigmas import METHOD, estimate_sigmas
    from toolkit.files import check_output, write_text
    from toolkit.schema import Schema

    if only is not None and out is None:
        raise UsageError("--only names what --out writes; add --out SCHEMA.yaml")
    if out is not None:
        check_output(out, force=force, inputs=(*files, schema_file(schema)))
    panel = panel_of(read_annotators(files, None if schema is None else Schema.load(schema)))
    found = estimate_sigmas(panel)
    if out is not None:
        names = None if only is None else [name.strip() for name in only.split(",")]
        text, written = schema_with_sigmas(panel.schema, schema, found, names, len(panel.names))
        write_text(out, text, force=force)
        notice(f"wrote {out}: {', '.join(written) or 'no sigma changed'}")
    if as_json:
        echo_json(
            {
                "schema": panel.schema.name,
                "annotators": list(panel.names),
                "people": int(panel.present.shape[1]),
                "method": METHOD,
                "sigmas": [row.to_json() for row in found],
            }
        )
        return
    _show(found)


def _show(found: tuple[SigmaEstimate, ...]) -> None:
    from rich.table import Table  # lazy: rich costs 0.1 s

    table = Table("keypoint", "sigma", "95 %", "people", "labels", "needed", "in the schema")
    for row in found:
        stated = "unknown" if row.stated is None else f"{row.stated:g}"
        table.add_row(
            plain(row.keypoint),
            "-" if row.sigma is None else f"{row.sigma:.4f}",
            "-" if row.interval is None else f"{row.interval[0]:.4f}-{row.interval[1]:.4f}",
            f"{row.people:,}",
            f"{row.labels:,}",
            "-" if row.needed is None else f"{row.needed:,}",
            stated if row.published or row.stated is None else f"{stated}, not published",
        )
    console().print(table)
    console().print("needed: people like these for an interval of about 10 % either way")
