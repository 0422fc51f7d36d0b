"""`toolkit roundtrip`: through a format and back, with every field that changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.common import FORMATS, console, echo_json, json_option, schema_option
from toolkit.printed import printable

if TYPE_CHECKING:
    from toolkit.formats.compare import Difference
    from toolkit.formats.roundtrip import Trip

_SHOWN = 60  # letters of a value in the table


@click.command(epilog="Example: toolkit roundtrip annotations.json --via yolo")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option("--via", type=click.Choice(FORMATS), required=True, help="Format to go through.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Examples of each field.",
)
@click.option("--sidecar", is_flag=True, help="Keep beside it what the format cannot hold.")
@schema_option
@json_option
def roundtrip(
    *, source: Path, via: str, limit: int, sidecar: bool, schema: str | None, as_json: bool
) -> int:
    """Take SRC through a format and back, and list every field that changed.

    SRC is not touched; the way there and back is a temporary folder. Ends with 1 if
    anything changed that the format does not declare, or the other way round.
    """
    from toolkit.formats.roundtrip import roundtrip as go
    from toolkit.schema import Schema

    known = None if schema is None else Schema.load(schema)
    trip = go(source, via, schema=known, sidecar=sidecar)
    if as_json:
        echo_json(_document(trip, source, limit))
    else:
        _show(trip, source, limit)
    return 0 if trip.agrees else 1


def _show(trip: Trip, source: Path, limit: int) -> None:
    if not trip.names:
        click.echo(printable(f"{source}: through {trip.way} and back, nothing changed"))
        return
    from rich.table import Table  # lazy: rich costs 0.1 s
    from rich.text import Text  # lazy: rich costs 0.1 s

    table = Table("field", "records", "declared", "example", "before", "after")
    for name in trip.names:
        measured, declared = trip.measured[name], trip.declared[name]
        told = f"{declared:,}" if declared else "no"
        rows: list[Difference | None] = [*trip.examples(name, limit)] or [None]
        for at, found in enumerate(rows):
            first = (name, f"{measured:,}", told) if at == 0 else ("", "", "")
            shown = ("", "", "")
            if found is not None:
                shown = (found.place, _text(found.before), _text(found.after))
            table.add_row(*(Text(printable(cell)) for cell in (*first, *shown)))
    console().print(table)
    verdict = "exactly what is declared" if trip.agrees else "NOT what is declared"
    click.echo(printable(f"{source}: through {trip.way} and back, {verdict}"))


def _text(value: object) -> str:
    import msgspec

    from toolkit.formats.compare import MISSING

    text = "-" if value is MISSING else msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _document(trip: Trip, source: Path, limit: int) -> dict[str, object]:
    return {
        "source": str(source),
        "from": trip.source_format,
        "via": trip.via,
        "sidecar": trip.sidecar,
        "agrees": trip.agrees,
        "changes": [
            {
                "field": name,
                "records": trip.measured[name],
                "declared": trip.declared[name],
                "examples": [
                    {"place": f.place, "before": _json(f.before), "after": _json(f.after)}
                    for f in trip.examples(name, limit)
                ],
            }
            for name in trip.names
        ],
    }


def _json(value: object) -> object:
    from toolkit.formats.compare import MISSING

    return None if value is MISSING else value
