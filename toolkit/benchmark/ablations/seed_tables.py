"""From scored rows to tables: means over seeds, contrasts, and every seed's value.

Each of the suite's tables is two: the means with their intervals over the test set, and
beneath it what each training seed gave, with the range and the interval over the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.benchmark.ablations.plan import PlannedRow, PlannedTable
from toolkit.benchmark.ablations.seed_scores import Place, SeedScore, compare_rows, t_interval
from toolkit.benchmark.demo import GROUP
from toolkit.benchmark.published import stated_rows
from toolkit.benchmark.tables import Column, Contrast, Interval, Row, SeedValues, Table, Value
from toolkit.schema import Schema

STICK = "in-box group"  # the keypoints of the in-box column
_COSTS = (
    Column("images seen", "count", None, "training images seen, repeats counted"),
    Column("params", "count", None, "parameters used in prediction"),
)


@dataclass(frozen=True)
class Layout:
    """Columns of all tables for one schema.

    Attributes:
        columns: Accuracy columns in order.
        places: Column key -> where its number comes from.
        groups: Extra groups of keypoint names that the evaluation needs.
        body: Keys of the columns that a control which is given the true body leaves empty.
    """

    columns: tuple[Column, ...]
    places: Mapping[str, Place]
    groups: Mapping[str, Sequence[str]]
    body: frozenset[str]

    @property
    def headline(self) -> Column:
        """What the suite is about."""
        return next(c for c in self.columns if c.note.startswith("headline"))


def make_layout(schema: Schema) -> Layout:
    """Body, in-box stick, stick beyond the box, mean; then the medians of the first three.

    Beyond the box heel and toe count, the keypoints that leave it; where a schema has no
    such groups all its extension keypoints do, and without those all keypoints.
    """
    beyond = [k.name for k in schema.keypoints if k.report_group in ("Stick Heel", "Stick Toe")]
    extension = [k.name for k in schema.keypoints if k.group != "body"]
    names = ("Stick in box", "Heel+Toe outside box")
    if not beyond:
        names = ("Extension in box", "Extension outside box")
    if not extension:
        names = ("In box", "Outside box")
    everything = list(schema.names)
    inside, outside = names
    kinds = {
        "Body": (Place("all", "body"), "PCKh@0.5 of the body"),
        inside: (Place("in_box", STICK), "PCKh@0.5 inside the human box"),
        outside: (Place("out_of_box", GROUP), f"headline: PCKh@0.5, {outside.lower()}"),
        "Mean": (Place("all", "Mean"), "PCKh@0.5 of all labelled keypoints"),
    }
    columns = [Column(key, note=note) for key, (_, note) in kinds.items()]
    places = {key: place for key, (place, _) in kinds.items()}
    for key in ("Body", inside, outside):
        name = f"{key}, median"
        columns.append(Column(name, "heads", "low", f"median error of {key}, in head sizes"))
        places[name] = Place(places[key].stratum, places[key].group, median=True)
    groups = {STICK: extension or everything, GROUP: beyond or extension or everything}
    hidden = frozenset({"Body", "Mean", "Body, median"})
    return Layout(tuple(columns), places, groups, hidden)


@dataclass(frozen=True)
class ScoredRow:
    """A planned row with what was measured; `scores` is None where it could not be run."""

    planned: PlannedRow
    scores: Mapping[str, SeedScore] | None
    costs: Mapping[str, Value]
    note: str


def make_tables(
    plan: PlannedTable,
    layout: Layout,
    rows: Sequence[ScoredRow],
    seeds: Sequence[int],
    rules: tuple[str, ...],
) -> tuple[Table, Table]:
    """The table of means, and the table of seeds.

    Args:
        plan: What it is.
        layout: Its columns.
        rows: In the plan's order.
        seeds: Training seeds.
        rules: Lines for both.
    """
    by_label = {row.planned.label: row for row in rows}
    contrasts = _against_reference(plan, layout, rows, seeds) + _stated(plan, by_label, seeds)
    means = Table(
        name=plan.name,
        title=plan.title,
        columns=(*layout.columns, *_COSTS),
        rows=(*(_mean_row(row, layout) for row in rows), *stated_rows(plan.name)),
        rules=rules,
        seeds=tuple(_seed_values(rows, layout, seeds)),
        contrasts=tuple(contrasts),
    )
    number = plan.title.partition(":")[0]
    each = Table(
        name=f"{plan.name}-seeds",
        title=f"{number}, seeds {', '.join(map(str, seeds))}: value of each, and the range",
        columns=tuple(Column(c.key, c.kind, None, c.note) for c in layout.columns),
        rows=tuple(_seed_row(row, layout) for row in rows if row.scores is not None),
        rules=(
            "beneath: 95 % t-interval of the mean over the seeds, the chance of training; one "
            "test set",
        ),
    )
    return means, each


def _shown(row: ScoredRow, layout: Layout) -> dict[str, SeedScore]:
    """A row's columns without those that it was handed."""
    hidden = layout.body if row.planned.given_truth else frozenset[str]()
    return {key: score for key, score in (row.scores or {}).items() if key not in hidden}


def _mean_row(row: ScoredRow, layout: Layout) -> Row:
    scores = _shown(row, layout)
    return Row(
        model=row.planned.label,
        values={key: _known(score.mean) for key, score in scores.items()} | dict(row.costs),
        intervals={key: score.over_instances for key, score in scores.items()},
        kind=row.planned.kind,
        note=row.note,
        given_truth=row.planned.given_truth,
    )


def _seed_row(row: ScoredRow, layout: Layout) -> Row:
    columns = {column.key: column for column in layout.columns}
    values: dict[str, Value] = {}
    intervals: dict[str, Interval] = {}
    for key, score in _shown(row, layout).items():
        if np.isnan(score.mean):
            continue
        show = columns[key].show
        each = " ".join(show(value) for value in score.seeds)
        values[key] = f"{each} ({show(min(score.seeds))}-{show(max(score.seeds))})"
        intervals[key] = score.over_seeds
    return Row(row.planned.label, values, intervals, row.planned.kind)


def _seed_values(
    rows: Sequence[ScoredRow], layout: Layout, seeds: Sequence[int]
) -> list[SeedValues]:
    """For JSON: every seed of every column."""
    return [
        SeedValues(row.planned.label, key, dict(zip(seeds, score.seeds, strict=True)))
        for row in rows
        for key, score in _shown(row, layout).items()
    ]


def _against_reference(
    plan: PlannedTable, layout: Layout, rows: Sequence[ScoredRow], seeds: Sequence[int]
) -> list[Contrast]:
    """The reference minus every other row, in each column of PCKh."""
    reference = next(row for row in rows if row.planned.label == plan.reference)
    mine = _shown(reference, layout)
    found = []
    for column in layout.columns:
        for row in rows:
            theirs = _shown(row, layout)
            both = column.kind == "share" and column.key in mine and column.key in theirs
            if row is not reference and both:
                pair = (mine[column.key], theirs[column.key])
                labels = (plan.reference, row.planned.label)
                found.append(_contrast(column.key, labels, pair, seeds))
    return found


def _stated(
    plan: PlannedTable, rows: Mapping[str, ScoredRow], seeds: Sequence[int]
) -> list[Contrast]:
    """What the paper states, and the same of our rows; empty where one could not be run."""
    found = []
    for item in plan.stated:
        share = round(item.points / 100, 6)
        first, second = rows[item.row].scores, rows[item.minus].scores
        if first is None or second is None:
            lacking = Contrast(
                "Mean",
                item.row,
                item.minus,
                None,
                stated=item.name,
                stated_difference=share,
            )
            found.append(lacking)
            continue
        pair = (first["Mean"], second["Mean"])
        labels = (item.row, item.minus)
        found.append(_contrast("Mean", labels, pair, seeds, item.name, share))
    return found


def _contrast(
    column: str,
    labels: tuple[str, str],
    pair: tuple[SeedScore, SeedScore],
    seeds: Sequence[int],
    stated: str | None = None,
    stated_difference: float | None = None,
) -> Contrast:
    each = [a - b for a, b in zip(pair[0].seeds, pair[1].seeds, strict=True)]
    return replace(
        Contrast.of(compare_rows(*pair), column, *labels),
        seeds=dict(zip(seeds, each, strict=True)),
        over_seeds=t_interval(each),
        stated=stated,
        stated_difference=stated_difference,
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
