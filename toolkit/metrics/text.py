"""Evaluations and comparisons as tables for the terminal; shares in per cent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.metrics.compare import Comparison, PairedTest
from toolkit.metrics.evaluation import Cell, Evaluation, Interval
from toolkit.metrics.strata import MEAN
from toolkit.printed import plain

if TYPE_CHECKING:
    from rich.table import Table

_MEDIAN = "median_error_heads"


def evaluation_tables(result: Evaluation, truth: str, predictions: str) -> list[Table | str]:
    """Profile line, the metrics, the strata, the keypoints, and the rules."""
    parts: list[Table | str] = [
        f"[bold]{plain(predictions)}[/bold] against [bold]{plain(truth)}[/bold], profile "
        f"[bold]{result.profile}[/bold], schema {plain(result.settings['schema'])}",
        _metrics_table(result),
    ]
    cells = {name: groups for name, groups in result.strata.items() if _has_pckh(groups)}
    if cells:
        parts.extend(_headline(cells))
        parts.append(_strata_table(cells, result.settings["groups"]))
        parts.append(_keypoint_table(result.per_keypoint))
    parts.append(_rules(result.settings))
    return parts


def comparison_tables(comparison: Comparison, a: str, b: str) -> list[Table | str]:
    """Differences of the metrics, and of PCKh@0.5 by stratum and group."""
    settings = comparison.settings
    table = _table(
        f"{plain(a)} minus {plain(b)}: paired bootstrap, {settings['resamples']} resamples by "
        f"{settings['by']}",
        ["", plain(a), plain(b), "difference", "95 % interval", "p"],
    )
    for name, test in comparison.metrics.items():
        _add_test(table, name, test)
    for stratum in ("in_box", "out_of_box", "out_of_image"):
        shown: list[set[str]] = []
        for group, tests in comparison.strata.get(stratum, {}).items():
            found, members = tests.get("PCKh@0.5"), set(settings["groups"][group])
            if found is not None and found.difference is not None and members not in shown:
                _add_test(table, f"PCKh@0.5 {stratum} {group}", found)
                shown.append(members)
    return [table]


def per_cent(value: float | None) -> str:
    """Per cent with two decimals; a hyphen where there is no ground truth."""
    return "-" if value is None else f"{100 * value:.2f}"


def heads(value: float | None) -> str:
    """Head sizes with three decimals."""
    if value is None:
        return "-"
    return "∞" if math.isinf(value) else f"{value:.3f}"


def interval_text(pair: Interval | None) -> str:
    """An interval in per cent, empty where there is none."""
    return "" if pair is None else f"[{per_cent(pair[0])}, {per_cent(pair[1])}]"


def p_text(p_value: float, decimals: int = 3, *, is_bound: bool = False) -> str:
    """A p-value, which is never 0: one digit of it where the decimals would show none.

    The least that the resamples can give is an upper bound, and has `<=` before it.
    """
    text = f"{p_value:.{decimals}f}"
    text = text if float(text) else f"{p_value:.0e}"
    return f"<={text}" if is_bound else text


def _has_pckh(groups: Mapping[str, Cell]) -> bool:
    return any("PCKh@0.5" in cell.values for cell in groups.values())


def _headline(strata: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    """The number that matters for extension keypoints, where there are any."""
    cell = strata["out_of_box"]["extension"]
    if not cell.n:
        return []
    pair = plain(interval_text(cell.intervals.get("PCKh@0.5")))
    return [
        f"[bold]Headline[/bold]: extension keypoints outside the box: PCKh@0.5 "
        f"[bold]{per_cent(cell.values['PCKh@0.5'])}[/bold] {pair}, median error "
        f"[bold]{heads(cell.median_error_heads)}[/bold] head sizes, n = {cell.n:,}"
    ]


def _metrics_table(result: Evaluation) -> Table:
    table = _table("", ["metric", "value", "95 % interval"])
    for name, value in result.metrics.items():
        shown = heads(value) if name == _MEDIAN else per_cent(value)
        table.add_row(name, shown, plain(interval_text(result.intervals.get(name))))
    return table


def _strata_table(
    strata: Mapping[str, Mapping[str, Cell]], members: Mapping[str, Sequence[str]]
) -> Table:
    """One row a group; groups that count the very same keypoints have one row.

    Without extension keypoints body, Body and Mean are one group; in the box the extension
    may be its butt end alone. That is so where one group holds the other and both count as
    many; numbers that are alike by chance are no reason.
    """
    table = _table(
        "By stratum (ground truth's box)",
        ["stratum", "group", "n", "PCKh@0.5", "95 % interval", "PCKh@0.1", "median error"],
    )
    for stratum, groups in strata.items():
        shown: list[tuple[int, set[str]]] = []
        for group, cell in groups.items():
            mine = set(members[group])
            repeats = any(n == cell.n and (mine <= has or has <= mine) for n, has in shown)
            if (cell.n and not repeats) or (group == MEAN and not shown):
                table.add_row(stratum, plain(group), *_cell_columns(cell))
                shown.append((cell.n, mine))
        table.add_section()
    return table


def _keypoint_table(cells: Mapping[str, Cell]) -> Table:
    table = _table(
        "By keypoint",
        ["keypoint", "n", "PCKh@0.5", "95 % interval", "PCKh@0.1", "median error"],
    )
    for name, cell in cells.items():
        table.add_row(plain(name), *_cell_columns(cell))
    return table


def _cell_columns(cell: Cell) -> list[str]:
    return [
        f"{cell.n:,}",
        per_cent(cell.values.get("PCKh@0.5")),
        plain(interval_text(cell.intervals.get("PCKh@0.5"))),
        per_cent(cell.values.get("PCKh@0.1")),
        heads(cell.median_error_heads),
    ]


def _add_test(table: Table, name: str, test: PairedTest) -> None:
    if name == _MEDIAN:
        return
    p_value = "-" if test.p_value is None else p_text(test.p_value, 4, is_bound=test.p_is_bound)
    table.add_row(
        plain(name),
        per_cent(test.a),
        per_cent(test.b),
        per_cent(test.difference),
        plain(interval_text(test.interval)),
        p_value,
    )


def _rules(settings: Mapping[str, Any]) -> str:
    lines = ["[bold]Rules[/bold] (all of them in --json)"]
    for key in ("area_rule", "ignore_rule", "mean_rule", "matching"):
        if key in settings:
            lines.append(f"  {key}: {plain(str(settings[key]))}")
    if "bands" in settings:
        first, second = settings["bands"]["limits"]
        lines.append(f"  crowdIndex: easy < {first:g} <= medium < {second:g} <= hard")
    if "head_size" in settings:
        used = ", ".join(f"{key}: {n:,}" for key, n in settings["head_size"]["used"].items())
        lines.append(f"  head size, instances by step: {plain(used)}")
        ratio = settings["head_size"]["torso_ratio"]
        if ratio is not None:
            lines.append(f"  head box / torso on these data: {ratio:.3f}")
    if "matched" in settings:
        matched = ", ".join(f"{key} {n:,}" for key, n in settings["matched"].items())
        lines.append(f"  matched: {matched}")
    ignored = ", ".join(f"{key} {n:,}" for key, n in settings["ignored"].items())
    lines.append(f"  ignored: {ignored}")
    return "\n".join(lines)


def _table(title: str, columns: list[str]) -> Table:
    from rich.table import Table  # lazy: rich costs 0.1 s

    table = Table(title=title or None, title_justify="left", title_style="bold")
    words = {"metric", "stratum", "group", "keypoint", ""}
    for column in columns:
        table.add_column(column, justify="left" if column in words else "right")
    return table
