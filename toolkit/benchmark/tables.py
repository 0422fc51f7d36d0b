"""Result tables as values: columns, rows, ranking, and the row of improvements.

A `Table` holds everything that a renderer prints, and renderers only print. Shares are kept
between 0 and 1; `Column.show` turns them into per cent. A cell without a value is None: never
0, never -1. Measured and published rows live in one list but are never ranked together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from toolkit.metrics.compare import PairedTest
from toolkit.metrics.text import p_text

Kind = Literal["share", "heads", "seconds", "count", "text"]
RowKind = Literal["model", "control", "oracle", "improvement", "published"]
Value = float | int | str | None
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: Name in JSON and heading in print.
        kind: How a value is printed.
        better: Which end is better; None for columns that are not ranked.
        note: What the column holds, for readers of the table.
    """

    key: str
    kind: Kind = "share"
    better: Literal["high", "low"] | None = "high"
    note: str = ""

    def show(self, value: Value) -> str:
        """A value as people read it; empty for None."""
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if self.kind == "share":
            return f"{100 * value:.1f}"
        if self.kind == "heads":
            return f"{value:.2f}" if value < 1e6 else "inf"
        if self.kind == "seconds":
            return f"{value:.4f}"
        return _short_count(value) if self.kind == "count" else str(value)

    def show_interval(self, interval: Interval) -> str:
        """An interval as `low-high`, or `-low to high`; empty for None."""
        if interval is None:
            return ""
        low, high = (self.show(bound) for bound in interval)
        return f"{low} to {high}" if low.startswith("-") else f"{low}-{high}"

    def show_change(self, value: Value) -> str:
        """A difference with its sign, in points for shares."""
        if value is None or isinstance(value, str):
            return ""
        scaled = 100 * value if self.kind == "share" else value
        return f"{scaled:+.1f}" if self.kind == "share" else f"{scaled:+.2f}"

    def show_change_interval(self, interval: Interval) -> str:
        """The interval of a difference as `[low, high]`; empty for None."""
        if interval is None:
            return ""
        low, high = (self.show_change(bound) for bound in interval)
        return f"[{low}, {high}]"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        model: Its label.
        values: By column key; a missing key is an empty cell.
        intervals: 95 % intervals by column key.
        kind: What it is; only a `model` or `control` is ranked.
        source: `measured` here, or `published` elsewhere.
        citation: Where a published number is from; None for measured rows.
        note: What a reader must know, such as "sees the answer".
        given_truth: Whether it is handed a part of the answer; then it is not ranked.
        rivals: For the improvement row: whom each column compares with.
        p_values: For the improvement row: of the paired test, by column key.
    """

    model: str
    values: Mapping[str, Value]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    kind: RowKind = "model"
    source: Literal["measured", "published"] = "measured"
    citation: str | None = None
    note: str = ""
    given_truth: bool = False
    rivals: Mapping[str, str] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)

    @property
    def ranked(self) -> bool:
        """Whether the row competes for best and second."""
        competes = self.kind in ("model", "control") and not self.given_truth
        return self.source == "measured" and competes

    @property
    def label(self) -> str:
        """The model's name, and in brackets why it is not ranked."""
        if self.kind == "oracle":
            return f"{self.model} (oracle)"
        return f"{self.model} (given truth)" if self.given_truth else self.model


@dataclass(frozen=True)
class SeedValues:
    """The values of one row and column, trained with several seeds."""

    model: str
    column: str
    seeds: Mapping[int, float]


@dataclass(frozen=True)
class Contrast:
    """One row minus another; where they have training seeds, the means over them.

    Attributes:
        column: Key of the column.
        model: Label of the row.
        minus: Label of the row that is taken away.
        difference: Of the means.
        interval: 95 % interval over the test set.
        p_value: Of the paired test over the test set.
        p_is_bound: Whether that is the least which the resamples can give.
        seeds: Difference of each training seed.
        over_seeds: 95 % t-interval over the seeds; None without several.
        stated: The name that a paper gives to the difference; None for a plain test.
        stated_difference: What it states, as a share.
    """

    column: str
    model: str
    minus: str
    difference: float | None
    interval: Interval = None
    p_value: float | None = None
    p_is_bound: bool = False
    seeds: Mapping[int, float] = field(default_factory=dict)
    over_seeds: Interval = None
    stated: str | None = None
    stated_difference: float | None = None

    @classmethod
    def of(cls, test: PairedTest, column: str, model: str, minus: str) -> Contrast:
        """What a paired test found, of one training each."""
        return cls(
            column,
            model,
            minus,
            test.difference,
            test.interval,
            test.p_value,
            test.p_is_bound,
        )

    @property
    def is_shown(self) -> bool:
        """Whether neither chance can have made it: no interval holds 0, and both are known."""
        pairs = (self.interval, self.over_seeds)
        return all(pair is not None and (pair[0] > 0 or pair[1] < 0) for pair in pairs)

    def parts(self, column: Column) -> list[str]:
        """The difference with its interval over the test set, and what stands beneath it.

        That is each training seed's difference and the interval over the seeds; of a single
        training the p-value.
        """
        if self.difference is None:
            return ["not measured"]
        between = column.show_change_interval(self.interval)
        first = f"{column.show_change(self.difference)} {between}".rstrip()
        if len(self.seeds) > 1:
            each = " ".join(column.show_change(value) for value in self.seeds.values())
            over = column.show_change_interval(self.over_seeds)
            return [first, f"seeds {each}", *([f"over seeds {over}"] if over else [])]
        if self.p_value is None:
            return [first]
        p_value = p_text(self.p_value, is_bound=self.p_is_bound)
        return [first, f"p{'' if self.p_is_bound else '='}{p_value}"]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Contrast:
        """What `to_json` wrote."""

        def pair(bounds: Sequence[float | None] | None) -> Interval:
            known = [bound for bound in bounds or () if bound is not None]
            return (known[0], known[1]) if len(known) == 2 else None

        seeds = {int(n): value for n, value in stored["seeds"].items() if value is not None}
        intervals = {key: pair(stored[key]) for key in ("interval", "over_seeds")}
        return cls(**{**stored, **intervals, "seeds": seeds})

    def to_json(self) -> dict[str, object]:
        """All fields; what is unknown is null."""
        return {
            "column": self.column,
            "model": self.model,
            "minus": self.minus,
            "difference": _finite(self.difference),
            "interval": _pair(self.interval),
            "p_value": self.p_value,
            "p_is_bound": self.p_is_bound,
            "seeds": {str(seed): _finite(value) for seed, value in self.seeds.items()},
            "over_seeds": _pair(self.over_seeds),
            "stated": self.stated,
            "stated_difference": self.stated_difference,
        }


@dataclass(frozen=True)
class Differences:
    """Paired tests of one row against others, as a table.

    Attributes:
        model: The row that all others are taken from.
        columns: In which there are tests.
        rows: Rival -> column -> test, in order.
    """

    model: str
    columns: tuple[Column, ...]
    rows: Mapping[str, Mapping[str, Contrast]]

    @classmethod
    def of(cls, contrasts: Iterable[Contrast], columns: Iterable[Column]) -> Differences | None:
        """The tests among these, but for those that a paper states; None where none is."""
        tests = [item for item in contrasts if item.stated is None]
        if not tests:
            return None
        rows: dict[str, dict[str, Contrast]] = {}
        for item in tests:
            rows.setdefault(item.minus, {})[item.column] = item
        tested = {item.column for item in tests}
        return cls(tests[0].model, tuple(c for c in columns if c.key in tested), rows)


@dataclass(frozen=True)
class Table:
    """One table with its rules.

    Attributes:
        name: Short name, such as `hockey`.
        title: For people.
        columns: In order; the model's label comes before them.
        rows: Measured rows in order, then the improvement row, then published rows.
        rules: Lines that say by which rules the numbers were made.
        seeds: What each training seed gave, where the rows have several.
        contrasts: Paired tests of one row against others, and differences that a paper states.
        warnings: Lines that say why a row may not be what it seems.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    rules: tuple[str, ...] = ()
    seeds: tuple[SeedValues, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def has_intervals(self) -> bool:
        """Whether any cell of a measured row has one."""
        return any(pair is not None for row in self.measured for pair in row.intervals.values())

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows measured here, without the improvement row."""
        return tuple(
            row for row in self.rows if row.source == "measured" and row.kind != "improvement"
        )

    @property
    def improvements(self) -> tuple[Row, ...]:
        """The improvement rows."""
        return tuple(row for row in self.rows if row.kind == "improvement")

    @property
    def differences(self) -> Differences | None:
        """The paired tests of one row against the others, as a table."""
        return Differences.of(self.contrasts, self.columns)

    @property
    def published(self) -> tuple[Row, ...]:
        """Rows from papers and model zoos."""
        return tuple(row for row in self.rows if row.source == "published")

    def marks(self, column: Column) -> dict[str, int]:
        """Best (1) and second (2) by label; values that print alike share a mark.

        Oracles, improvement rows and published rows never get one; nobody is called best
        where there is one competitor, or where all print alike.
        """
        if column.better is None:
            return {}
        shown = {
            row.model: float(column.show(row.values[column.key]))
            for row in self.measured
            if row.ranked and _is_number(row.values.get(column.key))
        }
        if len(shown) < 2 or len(set(shown.values())) < 2:
            return {}
        order = sorted(set(shown.values()), reverse=column.better == "high")
        place = {value: rank for rank, value in enumerate(order[:2], start=1)}
        return {model: place[value] for model, value in shown.items() if value in place}

    def to_json(self) -> dict[str, object]:
        """The table as the command line's JSON; shares between 0 and 1."""
        return {
            "name": self.name,
            "title": self.title,
            "columns": [column.key for column in self.columns],
            "rows": [self._row_json(row) for row in self.rows],
            "rules": list(self.rules),
            "training_seeds": [
                {
                    "model": item.model,
                    "column": item.column,
                    "seeds": {str(seed): _finite(value) for seed, value in item.seeds.items()},
                }
                for item in self.seeds
            ],
            "contrasts": [item.to_json() for item in self.contrasts],
            "warnings": list(self.warnings),
        }

    def _row_json(self, row: Row) -> dict[str, object]:
        keys = [column.key for column in self.columns]
        document: dict[str, object] = {
            "model": row.model,
            "kind": row.kind,
            "ranked": row.ranked,
            "values": {key: _finite(row.values.get(key)) for key in keys},
            "intervals": {key: _pair(row.intervals.get(key)) for key in keys},
            "source": row.source,
            "citation": row.citation,
            "note": row.note,
        }
        if row.kind == "improvement":
            document["rivals"] = dict(row.rivals)
            document["p_values"] = dict(row.p_values)
        return document


def best_rival(table_rows: tuple[Row, ...], label: str, column: Column) -> Row | None:
    """The best ranked row other than `label` in a column; None where there is none."""
    rivals = [
        row
        for row in table_rows
        if row.ranked and row.model != label and _is_number(row.values.get(column.key))
    ]
    if not rivals or column.better is None:
        return None
    sign = 1 if column.better == "high" else -1

    def score(row: Row) -> float:
        value = row.values[column.key]
        return sign * float(value) if value is not None else float("-inf")

    return max(rivals, key=score)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and value == value


def _finite(value: Value) -> Value:
    """JSON has no NaN and no infinity: both are null there."""
    if isinstance(value, float) and not float("-inf") < value < float("inf"):
        return None
    return value


def _pair(interval: Interval) -> list[Value] | None:
    return None if interval is None else [_finite(bound) for bound in interval]


def _short_count(value: float) -> str:
    """A count with at most four characters or so: 950, 12.3k, 1.23M."""
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    return f"{value / 1e3:.1f}k" if value >= 1e4 else f"{value:.0f}"
