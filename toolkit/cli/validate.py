"""`toolkit validate`: every finding about an annotation file, each with a rule code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.common import echo_json, json_option, schema_option
from toolkit.errors import InvalidDataError, UsageError

if TYPE_CHECKING:
    from toolkit.checks import Profile
    from toolkit.dataset import Dataset
    from toolkit.report import Finding, Report

PROFILES = ("coco", "crowdpose", "cropcoco", "extension")
EXAMPLES = 3  # findings of a rule that the text shows
LISTED = 1000  # findings of a rule that the JSON document lists
_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


@click.command(epilog="Example: toolkit validate annotations.json --profile extension")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@schema_option
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="coco",
    show_default=True,
    help="What counts as an error: the rules of a family of data sets.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also look whether every image is there.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How to print the findings.",
)
@json_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Findings to list for each rule (text {EXAMPLES}, JSON {LISTED}); all are counted.",
)
@click.option("--explain", metavar="CODE", help="Say what a rule means ('all': every rule).")
def validate(
    *,
    file: Path | None,
    schema: str | None,
    profile: Profile,
    images: Path | None,
    output: str,
    as_json: bool,
    limit: int | None,
    explain: str | None,
) -> int:
    """Check the annotations in FILE and list every finding; ends with 1 on an error."""
    as_json = as_json or output == "json"
    if explain is not None:
        _explain(explain, as_json=as_json)
        return 0
    if file is None:
        raise UsageError("no file to validate; name one: toolkit validate annotations.json")
    from toolkit import checks, formats
    from toolkit.schema import Schema

    scan = formats.scan(file, None if schema is None else Schema.load(schema))
    found = [*scan.findings, *_missing_images(scan.dataset, images)]
    report = checks.validate(
        scan.dataset,
        profile=profile,
        findings=found,
        limit=limit or (LISTED if as_json else EXAMPLES),
    )
    if as_json:
        echo_json(report.to_json())
    else:
        _print(report, file.name, scan.dataset)
    return 0 if report.ok else InvalidDataError.exit_code


def _missing_images(dataset: Dataset, images: Path | None) -> list[Finding]:
    """Findings for the image files that are not there; unsafe names are refused."""
    if images is None:
        return []
    from toolkit.checks import missing_images

    return missing_images(dataset, images)


def _explain(code: str, *, as_json: bool) -> None:
    from toolkit.checks.rulebook import all_rules, explain, rules_page

    if code == "all":
        if as_json:
            echo_json({"rules": [page.to_json() for page in all_rules()]})
        else:
            click.echo(rules_page(), nl=False)
    elif as_json:
        echo_json(explain(code).to_json())
    else:
        click.echo("\n".join(explain(code).lines()))


def _print(report: Report, name: str, dataset: Dataset) -> None:
    by_rule: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        by_rule.setdefault((finding.severity.value, finding.rule), []).append(finding)
    for severity in _COLOURS:
        for (of, rule), found in by_rule.items():
            if of == severity:
                total = sum(finding.count for finding in found)
                click.echo(f"{_coloured(severity)} {click.style(rule, bold=True)} ({total:,})")
                for finding in found:
                    click.echo(f"  {finding.line(name)}")
    counts = report.counts()
    verdict = _coloured("valid", "green") if report.ok else _coloured("not valid", "red")
    click.echo(
        f"{name}: {verdict} under profile '{report.profile}': {counts['error']:,} errors, "
        f"{counts['warning']:,} warnings, {counts['info']:,} notes; "
        f"{len(dataset.images):,} images, {len(dataset.annotations):,} annotations, "
        f"schema '{report.schema}'"
    )


def _coloured(word: str, colour: str | None = None) -> str:
    return click.style(word, fg=colour or _COLOURS[word], bold=True)
