"""`toolkit datasets`: what is known about each data set, and what is on disk."""

from __future__ import annotations

import click

from toolkit.cli.common import console, echo_json, json_option


@click.group(epilog="Example: toolkit datasets show hockey")
def datasets() -> None:
    """List the known data sets, or show one: schema, card, licence, splits, what is on disk."""


@datasets.command("list", epilog="Example: toolkit datasets list --json")
@json_option
def list_command(*, as_json: bool) -> None:
    """List the data sets that the toolkit knows."""
    from toolkit.catalog import describe, list_datasets

    described = [describe(name) for name in list_datasets()]
    if as_json:
        echo_json({"datasets": described})
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


@datasets.command(epilog="Example: toolkit datasets show hockey")
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one data set NAME: its keypoints with their sigmas, its card, its sample."""
    from toolkit.catalog import datasets_root, describe, list_datasets
    from toolkit.dataset import Card
    from toolkit.errors import UsageError
    from toolkit.schema import Schema

    if name not in list_datasets():
        raise UsageError(f"no data set '{name}'; known: {', '.join(list_datasets())}")
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
    out.print()
    out.print(card.text, markup=False)
