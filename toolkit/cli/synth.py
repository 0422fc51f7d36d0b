"""`toolkit synth`: render practice data with exact labels."""

from __future__ import annotations

import re
from pathlib import Path

import click

from toolkit.cli.common import echo_json, force_option, json_option, notice, progress_bar


def _players(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", value.strip())
    if not found:
        raise click.BadParameter(f"got '{value}', wanted MIN-MAX, for example 3-6")
    low = int(found[1])
    return low, int(found[2]) if found[2] else low


@click.command(epilog="Example: toolkit synth hockey practice --instances 2000 --seed 1")
@click.argument("schema")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--instances", type=int, required=True, help="Annotated people, exactly.")
@click.option("--seed", type=int, required=True, help="Same seed, same bytes.")
@click.option(
    "--players", callback=_players, metavar="MIN-MAX", help="People placed in a clip."
)
@click.option(
    "--occlusion",
    type=click.Choice(["low", "normal", "high"]),
    default="normal",
    show_default=True,
    help="How readily people stand in front of one another.",
)
@click.option(
    "--blur", type=float, default=1.0, show_default=True, help="Factor on motion blur; 0: none."
)
@click.option(
    "--box-padding",
    type=float,
    default=0.02,
    show_default=True,
    help="Margin of the human-only box, as a share of its longer side.",
)
@click.option("--workers", type=int, help="Processes [default: one a core]; no byte changes.")
@force_option
@json_option
def synth(
    schema: str,
    out: Path,
    *,
    instances: int,
    seed: int,
    players: tuple[int, int] | None,
    occlusion: str,
    blur: float,
    box_padding: float,
    workers: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Render practice data for SCHEMA into the folder OUT: frames, clips, exact labels.

    SCHEMA is hockey, lacrosse, crowdpose, coco, or a schema file whose keypoints the
    rendered figure has. Everything is synthetic, and the files say so.
    """
    from dataclasses import asdict

    from toolkit.synth import SynthOptions, render_dataset
    from toolkit.synth.options import parse_occlusion

    options = SynthOptions(
        players=players,
        occlusion=parse_occlusion(occlusion),
        blur=blur,
        box_padding=box_padding,
    )
    with progress_bar(f"Rendering {schema}") as progress:
        summary = render_dataset(
            schema, out, instances, seed, options, workers, progress, force=force
        )
    if as_json:
        echo_json(asdict(summary))
        return
    notice(
        f"{summary.instances} people in {summary.images} pictures of {summary.clips} clips, "
        f"all synthetic (generator {summary.generator}, seed {seed})"
    )
    click.echo(str(out / "annotations.json"))
