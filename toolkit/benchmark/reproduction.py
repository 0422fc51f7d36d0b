"""Fill a document's measured blocks from results that were really made.

    python -m toolkit.benchmark.reproduction docs/reproduction.md          # fill
    python -m toolkit.benchmark.reproduction --check docs/reproduction.md  # only compare

A block stands between `<!-- results: NAME/TABLE -->` and `<!-- end -->`. NAME is a file
`NAME.json` in the folder named like the document (`docs/reproduction/`), the `results.json`
of a benchmark; TABLE is a table in it. A block whose file is not there says so; nobody types
a number.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toolkit.benchmark.render_markdown import difference_lines
from toolkit.benchmark.tables import Column, Contrast, Differences
from toolkit.errors import ReadError, ToolkitError

_BLOCK = re.compile(r"<!-- results: ([\w-]+)/([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
_COUNTED = re.compile(r": [\d,]+ keypoints$")  # how many a column is over
Json = Mapping[str, Any]


def fill(text: str, folder: Path) -> str:
    """The document with every block written anew.

    Args:
        text: The document.
        folder: Where the results lie.

    Raises:
        ReadError: A file of results cannot be read.
    """

    def block(match: re.Match[str]) -> str:
        name, table = match.groups()
        lines = _lines(folder / f"{name}.json", table)
        return "\n".join([f"<!-- results: {name}/{table} -->", *lines, "<!-- end -->"])

    return _BLOCK.sub(block, text)


def _lines(path: Path, wanted: str) -> list[str]:
    if not path.is_file():
        return ["", f"*Not run yet: `{path.parent.name}/{path.name}` is not there.*", ""]
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        tables = {table["name"]: table for table in document["tables"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(f"{path}: not the results of a benchmark: {error!r}") from error
    if wanted not in tables:
        return ["", f"*Not run yet: `{path.parent.name}/{path.name}` has no such table.*", ""]
    table = tables[wanted]
    title = f"{table['title']}. {_rules(table)}"
    return [
        "",
        title,
        "",
        *_table(table),
        "",
        *_contrasts(table),
        _provenance(path, document),
        "",
    ]


def _rules(table: Json) -> str:
    """What a reader must know of the cells: people, keypoints counted, the intervals."""
    told = [
        rule.partition(": ")[2] if rule.startswith("data: ") else rule
        for rule in table["rules"]
        if rule.startswith(("data: ", "intervals: ")) or _COUNTED.search(rule)
    ]
    return "".join(f"{line[:1].upper()}{line[1:]}. " for line in told).rstrip()


def _table(table: Json) -> list[str]:
    """Value, interval over people in brackets, each seed beneath; empty cells stay empty."""
    keys = [k for k in table["columns"] if k not in ("s/person", "text", "box")]
    seeds: dict[tuple[str, str], Json] = {
        (item["model"], item["column"]): item["seeds"] for item in table["training_seeds"]
    }
    rows = [row for row in table["rows"] if row["source"] == "measured"]
    lines = [
        f"| {' | '.join(['row', *keys])} |",
        f"| :-- | {' | '.join(['--:'] * len(keys))} |",
    ]
    for row in rows:
        cells = [
            _cell(
                key,
                row["values"].get(key),
                row["intervals"].get(key),
                seeds.get((row["model"], key)),
            )
            for key in keys
        ]
        label = (
            row["model"]
            if row["kind"] in ("model", "improvement")
            else f"{row['model']} ({row['kind']})"
        )
        lines.append(f"| {' | '.join([label, *cells])} |")
    notes = [
        f"{row['model']}: {row['note']}."
        for row in rows
        if str(row["note"]).startswith("not run")
    ]
    return lines + (["", *notes] if notes else [])


def _cell(
    key: str, value: object, interval: list[float | None] | None, seeds: Json | None
) -> str:
    if not isinstance(value, int | float):
        return ""
    text = _number(key, value)
    bounds = [bound for bound in interval or () if bound is not None]
    if len(bounds) == 2:
        text += f" [{_number(key, bounds[0])}, {_number(key, bounds[1])}]"
    if seeds and len(seeds) > 1:
        text += f"<br>{' '.join(_number(key, v) for v in seeds.values() if v is not None)}"
    return text


def _number(key: str, value: float) -> str:
    if key == "images seen":
        return f"{value:,.0f}"
    if key == "params":
        return f"{value / 1e6:.2f} M"
    return f"{value:.2f}" if "median" in key else f"{100 * value:.1f}"


def _contrasts(table: Json) -> list[str]:
    """The reference minus every row, as a table; then what the paper states beside ours."""
    contrasts = [Contrast.from_json(item) for item in table.get("contrasts", ())]
    columns = [Column(key) for key in table["columns"]]
    lines = difference_lines(Differences.of(contrasts, columns), str)
    lines += [
        f"* The paper states {100 * (item.stated_difference or 0.0):+.2f} points for "
        f"{item.stated}; here, {item.column}, {item.model} minus {item.minus}: "
        f"{', '.join(item.parts(Column(item.column)))}."
        for item in contrasts
        if item.stated is not None
    ]
    return [*lines, ""] if lines else []


def _provenance(path: Path, document: Json) -> str:
    """Which run it was: scale, seeds, commits, dates, machine."""
    where = document["environment"]
    parts = [f"`{path.name}`"]
    trained = document.get("ablations")
    if trained:
        runs = trained["runs"].values()
        parts.append(f"scale `{trained['scale']}`, {trained['images_seen']:,} images a network")
        parts.append(f"seeds {', '.join(map(str, trained['seeds']))}")
        parts.append(f"trained at {_several(_short(run.get('commit')) for run in runs)}")
        parts.append(_several(run.get("finished") for run in runs))
        seconds = sum(run.get("cpu_seconds", 0) for run in runs)
        parts.append(f"{len(trained['runs'])} networks, {seconds / 3600:.1f} CPU hours or more")
    parts.append(f"tables at {_short(where.get('commit'))}")
    parts.append(f"{where.get('processor')}, torch {where.get('torch')}")
    return f"*{'; '.join(str(part) for part in parts)}.*"


def _short(commit: str | None) -> str:
    return "an unknown commit" if commit is None else f"`{commit[:9]}`"


def _several(values: Iterable[str | None]) -> str:
    known = sorted({value for value in values if value})
    if len(known) > 2:
        return f"{known[0]} to {known[-1]}"
    return " and ".join(known) or "unknown"


def main(arguments: list[str]) -> int:
    """Fill or check the documents named; 0 where all is well."""
    check = "--check" in arguments
    stale = []
    for name in (argument for argument in arguments if argument != "--check"):
        path = Path(name)
        old = path.read_text(encoding="utf-8")
        new = fill(old, path.with_suffix(""))
        if check and new != old:
            stale.append(name)
        elif not check:
            path.write_text(new, encoding="utf-8")
    if stale:
        sys.stderr.write(
            f"{', '.join(stale)}: numbers differ from the results; run: python -m "
            f"toolkit.benchmark.reproduction {' '.join(stale)}\n"
        )
    return 1 if stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ToolkitError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
