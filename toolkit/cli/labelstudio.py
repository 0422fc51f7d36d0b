"""`toolkit labelstudio`: the labelling interface, tasks out, annotations home."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli.common import echo_json, force_option, json_option, notice

_PATH = click.Path(path_type=Path)


@click.group(
    epilog="Example: toolkit labelstudio push annotations.json --images images "
    "--project practice"
)
def labelstudio() -> None:
    """Label in Label Studio: write its interface, send frames there, bring labels home."""


@labelstudio.command(epilog="Example: toolkit labelstudio config hockey --out hockey.xml")
@click.argument("source", metavar="SCHEMA|FILE")
@click.option("--out", type=_PATH, metavar="FILE.xml", help="Write a file; else it is printed.")
@force_option
@json_option
def config(source: str, *, out: Path | None, force: bool, as_json: bool) -> None:
    """Write the labelling interface of a schema, or of an annotation file's categories.

    It goes into Label Studio under Settings, Labeling Interface, Code; 'push' makes new
    projects with it. A rectangle for the person with its id, keypoints in groups, each with
    a key (a mirror image has the same with Shift), and a visibility choice for the keypoint
    that is selected: 1 visible, 2 hidden, 3 absent.
    """
    from toolkit.files import check_output, write_text
    from toolkit.labelstudio.config import config_of_source

    if out is not None:
        check_output(out, force=force)
    text, schema = config_of_source(source)
    if out is not None:
        write_text(out, text, force=force)
        notice(f"wrote {out}")
    if as_json:
        echo_json({"schema": schema, "out": None if out is None else str(out), "config": text})
    elif out is None:
        click.echo(text, nl=False)
