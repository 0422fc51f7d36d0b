"""`toolkit datasets`: what is known about each data set, and what is on disk."""

from __future__ import annotations

from collections import Counter
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
from toolkit.errors import InvalidDataError, UsageError, counted
from toolkit.printed import plain, printable_lines

if TYPE_CHECKING:
    from toolkit.catalog import RegisteredFacts, SampleFacts
    from toolkit.supplied import Supplied, SuppliedFile

SHOWN = 5  # images of a kind that the text names


@click.group(epilog="Example: toolkit datasets show hockey")
def datasets() -> None:
    """Known data sets and your own: list, show, check what you were given, add footage.

    Your own data sets lie in one folder: $TOOLKIT_REGISTRY, else
    $XDG_DATA_HOME/extension-keypoints/datasets, else
    ~/.local/share/extension-keypoints/datasets.
    """


@datasets.command("list", epilog="Example: toolkit datasets list --json")
@json_option
def list_command(*, as_json: bool) -> None:
    """List the data sets that the toolkit knows, and those that you added."""
    from toolkit import catalog

    described = [catalog.describe(name) for name in catalog.list_datasets()]
    own = [catalog.describe_registered(name) for name in catalog.registered_datasets()]
    if as_json:
        echo_json({"datasets": described, "registered": own})
        return
    from rich.table import Table  # lazy: rich costs 0.1 s

    table = Table("name", "title", "keypoints", "extension", "sample", "licence")
    for item in described:
        sample = item["sample"]
        table.add_row(
            str(item["name"]),
            str(item["title"]),
            str(len(item["keypoints"])),
            ", ".join(item["extension"]) or "none",
            "none" if sample is None else f"{sample['instances']} people, synthetic",
            str(item["licence"]),
        )
    console().print(table)
    if not own:
        return
    table = Table("your own", "images", "clips", "people", "schema", "licence", "where")
    for entry in own:
        table.add_row(
            plain(entry["name"]),
            f"{entry['images']:,}",
            f"{len(entry['clips']):,}",
            f"{entry['instances']:,}",
            plain(entry["schema"] or "open"),
            plain(entry["licence"]),
            plain(entry["path"]),
        )
    console().print(table)


@datasets.command(epilog="Example: toolkit datasets show hockey")
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one data set NAME: its keypoints with their sigmas, its card, its sample."""
    from toolkit.catalog import describe, describe_registered, list_datasets
    from toolkit.dataset import Card
    from toolkit.places import datasets_root
    from toolkit.schema import Schema

    if name not in list_datasets():
        own = describe_registered(name)
        if as_json:
            echo_json(own)
        else:
            _show_registered(own)
        return
    item = describe(name)
    if as_json:
        echo_json(item)
        return
    from rich.table import Table  # lazy: rich costs 0.1 s

    schema = Schema.load(name)
    card = Card.load(datasets_root() / name / "card.md")
    out = console()
    out.print(f"[bold]{schema.title}[/] ({name})")
    out.print(f"licence   {card.licence}\nversion   {card.version}\ncitation  {card.citation}")
    out.print(f"ask at    {card.source_url or 'nowhere stated'}")
    table = Table(
        "keypoint", "group", "flips to", "column", "may lie", "OKS sigma", "published"
    )
    for keypoint in schema.keypoints:
        table.add_row(
            keypoint.name,
            keypoint.group,
            keypoint.flip or keypoint.name,
            keypoint.report_group,
            keypoint.region,
            "unknown" if keypoint.sigma is None else f"{keypoint.sigma:g}",
            "yes" if keypoint.sigma_published else "no: a stated default",
        )
    out.print(table)
    steps = ", else ".join(step.key for step in schema.head_size)
    out.print(f"head size for PCKh: {steps}")
    sample = item["sample"]
    if sample is not None:
        splits = ", ".join(
            f"{split} {count} images" for split, count in sample["splits"].items()
        )
        out.print(
            f"sample    {sample['path']}: {sample['instances']} people, synthetic ({splits})"
        )
        out.print(f"sha256    {sample['sha256']}: {_hash_verdict(sample)}")
    out.print()
    out.print(card.text, markup=False)


def _hash_verdict(sample: SampleFacts) -> str:
    """Whether the sample is the one that was shipped."""
    if sample["sha256_stated"] is None:
        return "its card states none to compare with"
    if sample["sha256"] == sample["sha256_stated"]:
        return "as its card states"
    return (
        f"[bold red]not the sample that was shipped[/]: its card states "
        f"{sample['sha256_stated']}; install the toolkit again to restore it"
    )


def _show_registered(item: RegisteredFacts) -> None:
    from toolkit.dataset import Card

    click.echo(f"{click.style(item['name'], bold=True)} (your own footage)")
    click.echo(f"licence   {item['licence']}\nversion   {item['version']}")
    click.echo(
        f"citation  {item['citation']}\nask at    {item['source_url'] or 'nowhere stated'}"
    )
    click.echo(f"schema    {item['schema'] or 'open: nothing says yet what will be labelled'}")
    click.echo(f"file      {item['path']}\nsha256    {item['sha256']}")
    click.echo(f"{counted(item['images'], 'image')}, {item['instances']:,} people, by clip:")
    for clip, count in item["clips"].items():
        click.echo(printable_lines(f"  {clip}: {count:,}"))
    text = Card.load(Path(item["path"]).parent / "card.md").text
    click.echo(f"\n{text}")


@datasets.command(
    epilog="Example: toolkit datasets add friday-game --video friday.mp4 --every 10 "
    "--schema hockey --licence 'Own footage; research use agreed with the club'"
)
@click.argument("name")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder of frames; each folder in it is a clip.",
)
@click.option(
    "--video",
    "videos",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="A video, which is a clip; may be given several times.",
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Of a video, keep frames 0, N, 2 N, ...",
)
@schema_option
@click.option(
    "--licence",
    required=True,
    metavar="TEXT",
    help="Under which terms the footage may be used; there is no default.",
)
@click.option("--citation", default="not published", show_default=True, metavar="TEXT")
@click.option("--source-url", metavar="URL", help="Where others may ask for the data.")
@force_option
@json_option
def add(
    *,
    name: str,
    images: Path | None,
    videos: tuple[Path, ...],
    every: int,
    schema: str | None,
    licence: str,
    citation: str,
    source_url: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Register own footage under NAME: frames, records with clip ids, and a card.

    The frames are copied (of a video: decoded, as JPEG of quality 95) into the registry's
    folder NAME, whole or not at all. Label annotations.json with any tool; splits then keep
    each clip on one side.
    """
    from toolkit import catalog, footage
    from toolkit.files import check_output
    from toolkit.places import registry_root
    from toolkit.schema import Schema

    if (images is None) == (not videos):
        raise UsageError("name the footage: either --images DIR or --video FILE")
    if images is not None and every != 1:
        raise UsageError("--every is for videos; of frames, give only those to be kept")
    if name in catalog.list_datasets():
        raise UsageError(f"'{name}' is a built-in data set; choose another name")
    wanted = footage.Footage(
        name, licence, None if schema is None else Schema.load(schema), citation, source_url
    )
    root = registry_root()
    catalog.make_registry(root)
    inputs = (images, *videos, schema_file(schema))
    check_output(root / name, force=force, inputs=inputs, holds=("annotations.json",))
    with progress_bar("looking at frames" if images else "decoding") as progress:
        if images is not None:
            done = footage.add_frames(
                wanted, images, root / name, force=force, progress=progress
            )
        else:
            done = footage.add_videos(
                wanted, videos, root / name, every=every, force=force, progress=progress
            )
    if done.left_out:
        named = ", ".join(done.left_out[:SHOWN])
        notice(f"{len(done.left_out):,} files are no pictures and were left out: {named}")
    if as_json:
        echo_json(catalog.describe_registered(name))
        return
    click.echo(done.path / "annotations.json")
    notice(
        f"{counted(done.images, 'image')} of {counted(len(done.clips), 'clip')}; "
        f"licence: {licence}"
    )


@datasets.command(epilog="Example: toolkit datasets check crowdpose ~/crowdpose")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder of the images, where it is not 'images' in DIR.",
)
@json_option
def check(name: str, folder: Path, *, images: Path | None, as_json: bool) -> int:
    """Check what you were given of data set NAME in DIR, and tell where to ask for the rest.

    Annotation files are compared by SHA-256 where it is known, else by their counts. The
    hashes of the images are not known: each must be there, be readable, and have the size
    that its record states. Ends with 1 where something is wrong.
    """
    from toolkit.supplied import check_supplied

    with progress_bar("looking at images") as progress:
        found = check_supplied(name, folder, images_dir=images, progress=progress)
    if as_json:
        echo_json(_supplied_json(found))
    else:
        _show_supplied(found)
    return 0 if found.ok else InvalidDataError.exit_code


def _supplied_json(found: Supplied) -> dict[str, object]:
    return {
        "name": found.name,
        "ok": found.ok,
        "ask_at": found.ask_at,
        "images_dir": None if found.images_dir is None else str(found.images_dir),
        "files": [
            {
                "name": file.name,
                "state": file.state,
                "path": None if file.path is None else str(file.path),
                "sha256": file.sha256,
                "images": None if file.images is None else _counts(file),
            }
            for file in found.files
        ],
    }


def _counts(file: SuppliedFile) -> dict[str, int]:
    return dict(Counter(finding.rule for finding in file.images or ()))


def _show_supplied(found: Supplied) -> None:
    for file in found.files:
        click.echo(f"{file.name}: {file.said}")
        for rule, count in _counts(file).items():
            click.echo(f"  {rule}: {counted(count, 'image')}")
            told = [finding for finding in file.images or () if finding.rule == rule]
            for finding in told[:SHOWN]:
                click.echo(printable_lines(f"    {finding.line(file.name)}"))
        if file.images is not None and not file.errors:
            click.echo("  every image is there, readable, and of the size that is stated")
    if found.images_dir is None:
        click.echo("images: no folder 'images' here, so none was looked at (--images DIR)")
    absent = [file.name for file in found.files if file.state == "absent"]
    if absent or found.images_dir is None:
        click.echo(f"ask for what is absent at: {found.ask_at or 'nowhere stated'}")
