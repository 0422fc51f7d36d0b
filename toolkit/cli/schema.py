"""`toolkit schema infer`: a first schema from an annotation file's category."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli.common import echo_json, force_option, json_option, notice
from toolkit.errors import counted
from toolkit.printed import printable_lines


@click.group(epilog="Example: toolkit schema infer annotations.json --out schema.yaml")
def schema() -> None:
    """Write a schema: what the keypoints of a data set are."""


@schema.command(epilog="Example: toolkit schema infer annotations.json --out schema.yaml")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The schema file to write (YAML).",
)
@click.option("--name", metavar="NAME", help="Name of the schema; the category's by default.")
@click.option(
    "--category", metavar="NAME", help="Which category, where several have keypoints."
)
@force_option
@json_option
def infer(
    *,
    file: Path,
    out: Path,
    name: str | None,
    category: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Draft a schema from a category of FILE; comments in it say what to fill in."""
    from toolkit.files import check_output, write_text
    from toolkit.formats import scan
    from toolkit.schema_infer import infer_schema

    check_output(out, force=force, inputs=(file,))
    drafted = infer_schema(scan(file), file, name, category)
    write_text(out, drafted.text, force=force)
    for line in drafted.notices:
        notice(f"Notice: {line}")
    if as_json:
        echo_json(
            {
                "file": str(file),
                "out": str(out),
                "name": drafted.name,
                "category": drafted.category,
                "keypoints": list(drafted.keypoints),
                "pairs": [list(pair) for pair in drafted.pairs],
                "extension": list(drafted.extension),
                "edges": drafted.edges,
                "notices": list(drafted.notices),
            }
        )
        return
    said = (
        f"{out}: schema '{drafted.name}' from category '{drafted.category}': "
        f"{counted(len(drafted.keypoints), 'keypoint')}, "
        f"{counted(len(drafted.pairs), 'mirrored pair')}, "
        f"{drafted.edges} edges, {len(drafted.extension)} extension keypoints. Next: fill in "
        f"what the comments name, then toolkit validate {file} --schema {out}"
    )
    click.echo(printable_lines(said))
