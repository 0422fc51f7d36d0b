"""`toolkit stats`: what is in an annotation file, in numbers and charts."""

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

if TYPE_CHECKING:
    from toolkit.stats import Statistics


@click.command(
    epilog="Example: toolkit stats datasets/hockey/sample/annotations.json --out stats.html"
)
@click.argument("file", type=click.Path(path_type=Path))
@schema_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.html",
    help="A page with charts; a folder gets the page, the numbers and each chart as SVG.",
)
@json_option
@force_option
def stats(
    *, file: Path, schema: str | None, out: Path | None, as_json: bool, force: bool
) -> int:
    """Count what is in FILE: images, people, visibility, keypoints outside box and image.

    A file with errors is counted as far as it can be read, and what could not be used is
    listed. A share of nothing is '-' (null in JSON).
    """
    from toolkit import formats
    from toolkit.files import check_output
    from toolkit.schema import Schema
    from toolkit.stats import measure
    from toolkit.stats.text import statistics_tables

    if out is not None:
        if out.suffix.lower() not in ("", ".html", ".htm"):
            raise UsageError(
                f"--out {out}: expected a name ending in .html, or a folder without an ending"
            )
        pages = None if out.suffix else ("index.html",)
        check_output(out, force=force, inputs=(file, schema_file(schema)), holds=pages)
    scan = formats.scan(file, None if schema is None else Schema.load(schema))
    result = measure(scan.dataset, scan.findings)
    if out is not None:
        _write(result, out, force=force)
        notice(f"wrote {out}")
    if as_json:
        echo_json(result.to_json())
        return 0
    shown = console()
    for table in statistics_tables(result):
        shown.print(table)
        shown.print()
    return 0


def _write(result: Statistics, out: Path, *, force: bool) -> None:
    """The page, or a folder with the page, the JSON document and the charts."""
    import json

    from toolkit.charts import standalone
    from toolkit.files import atomic_directory, write_text
    from toolkit.stats.webpage import charts, statistics_page

    if out.suffix:
        write_text(out, statistics_page(result), force=force)
        return
    with atomic_directory(out, force=force) as folder:
        (folder / "index.html").write_text(statistics_page(result), encoding="utf-8")
        document = json.dumps(result.to_json(), indent=2, allow_nan=False)
        (folder / "stats.json").write_text(document + "\n", encoding="utf-8")
        for name, svg in charts(result).items():
            (folder / f"{name}.svg").write_text(standalone(svg), encoding="utf-8")
