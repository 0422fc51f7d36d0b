"""`toolkit evaluate`: AP, PCKh and the rest, with the rules that were used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from toolkit.cli.common import console, echo_json, json_option, notice, schema_option
from toolkit.cli.numbers import SEED
from toolkit.errors import InvalidDataError, UsageError, counted

if TYPE_CHECKING:
    from toolkit.report import Report

PROFILES = ("coco", "crowdpose", "extension")
ENGINES = ("toolkit", "hotcoco", "pycocotools")
FAMILIES = ("AP", "PCKh", "PCK", "AUC", "ExOKS")
COMPARE_RESAMPLES = 1000
_ERRORS_SHOWN = 20


@click.command(
    epilog="Example: toolkit evaluate annotations.json predictions.json --bootstrap 1000"
)
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="Rules for area, ignored people and AP names; by default what fits the data.",
)
@schema_option
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="toolkit",
    show_default=True,
    help="What computes AP; the numbers are the same.",
)
@click.option(
    "--metrics",
    metavar="A,B",
    help=f"Only these: {', '.join(FAMILIES)}.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Resamples for 95 % intervals.",
)
@click.option(
    "--by",
    type=click.Choice(("image", "clip")),
    default="image",
    show_default=True,
    help="What a resample draws.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the resamples.")
@click.option(
    "--bands",
    type=(float, float),
    default=(0.2, 0.8),
    show_default=True,
    help="CrowdPose: limits of crowdIndex between easy, medium and hard.",
)
@click.option(
    "--ex-oks",
    "variant",
    type=click.Choice(("paper", "exococotools")),
    default="paper",
    show_default=True,
    help="How Ex-OKS measures the way to the window's edge.",
)
@click.option(
    "--compare",
    "other",
    type=click.Path(path_type=Path),
    help="Other predictions: paired test of the difference, PREDICTIONS minus these.",
)
@json_option
def evaluate(
    *,
    truth: Path,
    predictions: Path,
    profile: str | None,
    schema: str | None,
    engine: Literal["toolkit", "hotcoco", "pycocotools"],
    metrics: str | None,
    bootstrap: int,
    by: Literal["image", "clip"],
    seed: int,
    bands: tuple[float, float],
    variant: Literal["paper", "exococotools"],
    other: Path | None,
    as_json: bool,
) -> None:
    """Score PREDICTIONS (COCO results) against TRUTH (COCO or CrowdPose annotations)."""
    from toolkit.metrics import compare as compare_predictions
    from toolkit.metrics import evaluate as evaluate_predictions
    from toolkit.metrics.files import read_sides
    from toolkit.schema import Schema

    wanted = _families(metrics)
    paths = [predictions] if other is None else [predictions, other]
    try:
        sides = read_sides(
            truth, paths, None if schema is None else Schema.load(schema), profile
        )
    except InvalidDataError as error:
        _list_errors(error.report)
        raise
    result = evaluate_predictions(
        sides.truth,
        sides.predictions[0],
        sides.profile,
        engine=engine,
        metrics=wanted,
        bootstrap=bootstrap,
        by=by,
        seed=seed,
        bands=bands,
        ex_oks_variant=variant,
    )
    comparison = None
    if other is not None:
        comparison = compare_predictions(
            sides.truth,
            sides.predictions[0],
            sides.predictions[1],
            sides.profile,
            metrics=wanted,
            bootstrap=bootstrap or COMPARE_RESAMPLES,
            by=by,
            seed=seed,
            bands=bands,
            ex_oks_variant=variant,
        )
    notes = dict.fromkeys((*result.notes, *(comparison.notes if comparison else ())))
    for line in (*_warnings(sides.report), *notes):
        notice(f"Note: {line}")
    for line in result.warnings:
        notice(f"Warning: {line}")
    if comparison is not None and other is not None:
        for line in comparison.warnings:
            notice(f"Warning: {other.name}: {line}")
    if as_json:
        document: dict[str, Any] = result.to_json()
        if comparison is not None:
            document["comparison"] = comparison.to_json()
        echo_json(document)
        return
    from toolkit.metrics.text import comparison_tables, evaluation_tables

    out = console()
    for part in evaluation_tables(result, truth.name, predictions.name):
        out.print(part)
    if comparison is not None and other is not None:
        for part in comparison_tables(comparison, predictions.name, other.name):
            out.print(part)


def _families(metrics: str | None) -> tuple[str, ...] | None:
    """The families that `--metrics` names, or None for all."""
    if metrics is None:
        return None
    names = tuple(name.strip() for name in metrics.split(",") if name.strip())
    by_lower = {name.lower(): name for name in FAMILIES}
    for name in names:
        if name.lower() not in by_lower:
            raise UsageError(f"--metrics: no metric '{name}'; known: {', '.join(FAMILIES)}")
    if not names:
        raise UsageError(f"--metrics names none; known: {', '.join(FAMILIES)}")
    return tuple(by_lower[name.lower()] for name in names)


def _list_errors(report: Report | None) -> None:
    """The errors behind the one line that ends the command, to standard error."""
    if report is None or len(report.errors) < 2:
        return
    for finding in report.errors[:_ERRORS_SHOWN]:
        notice(finding.line(Path(report.file).name))
    if len(report.errors) > _ERRORS_SHOWN:
        notice(f"... and {len(report.errors) - _ERRORS_SHOWN} more kinds or records")


def _warnings(report: Report) -> list[str]:
    """One line for each rule that the ground truth bends."""
    totals: dict[str, int] = {}
    for finding in report.findings:
        if finding.severity.value == "warning":
            totals[finding.rule] = totals.get(finding.rule, 0) + finding.count
    name = Path(report.file).name
    return [f"{name}: {rule}: {counted(count, 'record')}" for rule, count in totals.items()]
