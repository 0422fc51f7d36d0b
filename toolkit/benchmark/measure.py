"""From predictions to a table: every entrant's row, the improvement row, the paired tests.

Each number is one that `toolkit.metrics` computes; nothing is measured here. The
reference (our model where it takes part, else the first entrant) is compared with every other
entrant on the same resamples; its improvement row is against the best rival of each column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.benchmark.demo import COSTS, GROUP, MEDIAN, Suite
from toolkit.benchmark.published import published_rows
from toolkit.benchmark.rules import lines_by_row, rule_lines
from toolkit.benchmark.tables import (
    Column,
    Contrast,
    Interval,
    Row,
    RowKind,
    Table,
    Value,
    best_rival,
)
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.metrics import Comparison, Evaluation, compare, errors_in_heads, evaluate
from toolkit.metrics.bootstrap import FEW, By, clip_or_image
from toolkit.metrics.compare import PairedTest
from toolkit.metrics.evaluation import Cell
from toolkit.schema import Schema

PCKH = "PCKh@0.5"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Entrant:
    """One row to be: whose predictions, and what is known about their maker.

    Attributes:
        label: Unique in the table.
        predictions: In any schema that the ground truth's maps to.
        kind: `model`, `control` or `oracle`.
        given_truth: Whether it is handed a part of the answer (the true body joints).
        note: For readers of the table.
        costs: Values of the cost columns; empty for predictions from a file.
        is_ours: Whether the improvement row may be about it; the first that is, is its
            subject, and the others are no rivals.
    """

    label: str
    predictions: Predictions
    kind: RowKind = "model"
    given_truth: bool = False
    note: str = ""
    costs: Mapping[str, Value] = field(default_factory=dict)
    is_ours: bool = False


@dataclass(frozen=True)
class Resampling:
    """How intervals and paired tests are made; no resamples, no intervals."""

    resamples: int = 1000
    by: By = "image"
    seed: int = 0

    @classmethod
    def choose(cls, truth: Dataset, resamples: int) -> Resampling:
        """By clip where every image has one and there are enough of them, else by image."""
        return cls(resamples=resamples, by=clip_or_image(truth.images, least=FEW))


def make_table(
    suite: Suite,
    truth: Dataset,
    entrants: Sequence[Entrant],
    resampling: Resampling,
    *,
    synthetic: bool,
    progress: Progress | None = None,
) -> Table:
    """Evaluate all entrants and compare the reference with each other one.

    Args:
        suite: Columns and rules.
        truth: Ground truth.
        entrants: At least one; labels unique.
        resampling: Of the intervals and tests.
        synthetic: Whether the data was rendered, for the rules.
        progress: Called with (evaluations and comparisons done, all of them).

    Raises:
        InvalidDataError: The ground truth is empty, or results name unknown images.
        SchemaError: An entrant lacks keypoints of the ground truth.
    """
    check_ground_truth(truth)
    reference = next((e for e in entrants if e.is_ours), entrants[0])
    others = [e for e in entrants if e is not reference]
    steps = len(entrants) + (len(others) if resampling.resamples else 0)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, steps)

    evaluations: dict[str, Evaluation] = {}
    for entrant in entrants:
        evaluations[entrant.label] = _evaluate(suite, truth, entrant, resampling)
        tick()
    comparisons: dict[str, Comparison] = {}
    if resampling.resamples:
        for other in others:
            comparisons[other.label] = _compare(suite, truth, reference, other, resampling)
            tick()
    rows = tuple(_row(suite, e, evaluations[e.label]) for e in entrants)
    rivals = tuple(
        row
        for row, entrant in zip(rows, entrants, strict=True)
        if entrant is reference or not entrant.is_ours
    )
    gains = _improvement(suite, rivals, reference.label, comparisons)
    with_costs = any(entrant.costs for entrant in entrants)
    return Table(
        name=suite.name,
        title=suite.title,
        columns=(*suite.columns, *(COSTS if with_costs else ())),
        rows=(*rows, *gains, *published_rows(suite.name)),
        rules=(
            *rule_lines(
                suite,
                truth,
                evaluations[reference.label],
                given_boxes=with_costs,
                synthetic=synthetic,
            ),
            *lines_by_row("note", {name: e.notes for name, e in evaluations.items()}),
        ),
        warnings=lines_by_row("warning", {name: e.warnings for name, e in evaluations.items()}),
        contrasts=tuple(_contrasts(suite, rows, reference.label, comparisons)),
    )


def check_ground_truth(truth: Dataset) -> None:
    """Refuse a file that nothing can be measured on.

    Raises:
        InvalidDataError: There is no labelled instance.
    """
    people = truth.annotations
    if not (people.labelled.any(axis=1) & ~people.is_crowd).any():
        raise InvalidDataError(
            f"{truth.name}: no ground truth: {len(people)} annotations, none with a labelled "
            "keypoint; name an annotation file with --data"
        )


def instance_errors(
    suite: Suite, truth: Dataset, predictions: Predictions
) -> tuple[NDArray[np.float64], str]:
    """(N,) one error an instance for captions, and its unit.

    Over the suite's outside group where it has one, else over all keypoints; the unit is head
    sizes where the data has them, else px.
    """
    errors = errors_in_heads(truth, predictions)
    known = bool(np.isfinite(errors.head.size).any())
    values = errors.heads if known else errors.px
    members = outside_keypoints(suite, truth.schema)
    if members:
        values = values[:, [truth.schema.index(name) for name in members]]
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=1)
    mean = np.divide(
        total, finite.sum(axis=1), out=np.full(len(values), np.nan), where=finite.any(axis=1)
    )
    what = " and ".join(name.removeprefix("stick_") for name in members) or "mean"
    return mean, f"{'heads' if known else 'px'} off ({what})"


def outside_keypoints(suite: Suite, schema: Schema) -> list[str]:
    """Names of the keypoints that the headline counts, as far as the schema has them."""
    return [k.name for k in schema.keypoints if k.report_group in suite.outside]


def _arguments(suite: Suite, truth: Dataset) -> tuple[list[str], dict[str, list[str]]]:
    if suite.profile == "crowdpose":
        return ["AP"], {}
    members = outside_keypoints(suite, truth.schema)
    return ["PCKh"], {GROUP: members} if members else {}


def _evaluate(
    suite: Suite, truth: Dataset, entrant: Entrant, resampling: Resampling
) -> Evaluation:
    metrics, groups = _arguments(suite, truth)
    return evaluate(
        truth,
        entrant.predictions,
        suite.profile,
        metrics=metrics,
        groups=groups,
        bootstrap=resampling.resamples,
        by=resampling.by,
        seed=resampling.seed,
    )


def _compare(
    suite: Suite, truth: Dataset, a: Entrant, b: Entrant, resampling: Resampling
) -> Comparison:
    metrics, groups = _arguments(suite, truth)
    return compare(
        truth,
        a.predictions,
        b.predictions,
        suite.profile,
        metrics=metrics,
        groups=groups,
        bootstrap=resampling.resamples,
        by=resampling.by,
        seed=resampling.seed,
    )


def _place(suite: Suite, column: Column) -> tuple[str, str]:
    """Stratum and group of a PCKh column."""
    if column.key == MEDIAN or column is suite.headline:
        return "out_of_box", GROUP
    return "all", column.key


def _row(suite: Suite, entrant: Entrant, evaluation: Evaluation) -> Row:
    values: dict[str, Value] = {}
    intervals: dict[str, Interval] = {}
    for column in suite.columns:
        if entrant.given_truth and column.key in ("Body", "Mean"):
            values[column.key] = None  # the truth itself, handed over
            continue
        value, interval = _read(suite, column, evaluation)
        values[column.key], intervals[column.key] = value, interval
    return Row(
        model=entrant.label,
        values={**values, **entrant.costs},
        intervals=intervals,
        kind=entrant.kind,
        note=entrant.note,
        given_truth=entrant.given_truth,
    )


def _read(suite: Suite, column: Column, evaluation: Evaluation) -> tuple[Value, Interval]:
    if suite.profile == "crowdpose":
        key = column.key
        return evaluation.metrics.get(key), evaluation.intervals.get(key)
    stratum, group = _place(suite, column)
    cell: Cell | None = evaluation.strata.get(stratum, {}).get(group)
    if cell is None:
        return None, None
    if column.key == MEDIAN:
        return cell.median_error_heads, None
    return cell.values.get(PCKH), cell.intervals.get(PCKH)


def _paired(suite: Suite, column: Column, comparison: Comparison) -> PairedTest | None:
    if suite.profile == "crowdpose":
        return comparison.metrics.get(column.key)
    stratum, group = _place(suite, column)
    if column.key == MEDIAN:
        return None
    return comparison.strata.get(stratum, {}).get(group, {}).get(PCKH)


def _improvement(
    suite: Suite,
    rows: tuple[Row, ...],
    reference: str,
    comparisons: Mapping[str, Comparison],
) -> tuple[Row, ...]:
    """The reference minus the best rival of each column; none where there is no rival."""
    own = next(row for row in rows if row.model == reference)
    values: dict[str, Value] = {}
    intervals: dict[str, Interval] = {}
    rivals, p_values = {}, {}
    for column in suite.columns:
        rival = best_rival(rows, reference, column)
        mine = own.values.get(column.key)
        theirs = None if rival is None else rival.values.get(column.key)
        if rival is None or not _numbers(mine, theirs):
            continue
        values[column.key] = _difference(mine, theirs)
        rivals[column.key] = rival.model
        if rival.model in comparisons:
            test = _paired(suite, column, comparisons[rival.model])
            intervals[column.key] = None if test is None else test.interval
            if test is not None and test.p_value is not None:
                p_values[column.key] = test.p_value
    if not values:
        return ()
    return (
        Row(
            model="improvement",
            values=values,
            intervals=intervals,
            kind="improvement",
            note=f"{reference} minus the best rival of each column",
            rivals=rivals,
            p_values=p_values,
        ),
    )


def _numbers(*values: Value) -> bool:
    return all(isinstance(v, int | float) and np.isfinite(v) for v in values)


def _difference(a: Value, b: Value) -> float | None:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return float(a) - float(b)
    return None


def _contrasts(
    suite: Suite, rows: tuple[Row, ...], reference: str, comparisons: Mapping[str, Comparison]
) -> list[Contrast]:
    """The paired tests of the headline, then of the body, against every other row."""
    body = [c for c in suite.columns if c.key == "Body"]
    found = []
    for column in (suite.headline, *body):
        for row in rows:
            if row.model not in comparisons or row.values.get(column.key) is None:
                continue
            test = _paired(suite, column, comparisons[row.model])
            if test is not None and test.difference is not None:
                found.append(Contrast.of(test, column.key, reference, row.label))
    return found
