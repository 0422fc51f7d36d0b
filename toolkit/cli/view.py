"""`toolkit view` and `view pull`: labels in FiftyOne, and a person's edits home again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.common import (
    PROFILES,
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_option,
)
from toolkit.cli.file_or_command import FileOrCommand
from toolkit.errors import UsageError
from toolkit.printed import printable_lines

if TYPE_CHECKING:
    from toolkit.checks import Profile
    from toolkit.curate.diff import Diff
    from toolkit.views.build import Built
    from toolkit.views.gather import Sources

LISTED = 1000  # entries of each list in the JSON document
_PATH = click.Path(path_type=Path)


class _View(FileOrCommand):
    on_file = "open"
    usage = (
        "Usage: toolkit view FILE --images DIR [--predictions NAME=FILE ...]\n"
        "       toolkit view pull NAME --out NEW.json\n"
        "       toolkit view open --help    (all options)"
    )


@click.group(
    cls=_View,
    epilog="Example: toolkit view annotations.json --images images --predictions ours=p.json",
)
def view() -> None:
    """Look at labels in FiftyOne; bring edits and tags home.

    FILE is built into a FiftyOne data set and the App is opened on it; a file that is named
    `pull` is written `./pull`.
    """


def _uri_option(function: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--database-uri",
        "uri",
        metavar="URI",
        help="A MongoDB to share; FIFTYONE_DATABASE_URI says the same. "
        "[default: the database that comes with FiftyOne]",
    )(function)


@view.command(
    "open",
    epilog="Example: toolkit view annotations.json --images images --predictions ours=p.json",
)
@click.argument("file", type=_PATH)
@click.option(
    "--images", type=_PATH, required=True, metavar="DIR", help="Folder of the images."
)
@click.option(
    "--predictions",
    "given",
    multiple=True,
    metavar="NAME=FILE",
    help="Predictions to show and score beside the labels; may be repeated.",
)
@click.option("--name", metavar="NAME", help="Of the data set.  [default: FILE's name]")
@click.option(
    "--agreement", type=_PATH, metavar="FILE", help="What 'toolkit agreement --json' printed."
)
@click.option("--rank", type=_PATH, metavar="FILE", help="What 'toolkit rank --json' printed.")
@click.option("--splits", type=_PATH, metavar="DIR", help="Folder that 'toolkit split' made.")
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="What counts as an error [default: the one that fits the data].",
)
@click.option(
    "--near-duplicates/--no-near-duplicates",
    default=True,
    help="Compare the pictures with one another.",
)
@click.option("--no-app", is_flag=True, help="Build the data set and end.")
@click.option(
    "--address", default="127.0.0.1", show_default=True, help="Where the App listens."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5151,
    show_default=True,
    help="Where the App listens.",
)
@click.option(
    "--discard-edits", is_flag=True, help="With --force: also where edits are not home yet."
)
@_uri_option
@schema_option
@force_option
@json_option
def open_(
    *,
    file: Path,
    images: Path,
    given: tuple[str, ...],
    name: str | None,
    agreement: Path | None,
    rank: Path | None,
    splits: Path | None,
    profile: Profile | None,
    near_duplicates: bool,
    no_app: bool,
    address: str,
    port: int,
    discard_edits: bool,
    uri: str | None,
    schema: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Build FILE into a FiftyOne data set and open the App on it.

    `toolkit view FILE` is short for this. The data set stays: the same call opens it again
    with all edits in it.
    """
    from toolkit.schema import Schema
    from toolkit.views.app import LOCAL, check_address, operators, serve
    from toolkit.views.engine import connect
    from toolkit.views.gather import Sources

    sources = Sources(
        file,
        images,
        _named(given),
        None if schema is None else Schema.load(schema),
        profile,
        agreement,
        rank,
        splits,
        near_duplicates,
    )
    if not no_app:
        check_address(address, port)
        if address not in LOCAL:
            notice(f"Note: whoever reaches {address} can see and change these labels")
    with operators():
        connect(uri)
        built = _build(sources, name or file.stem, force=force, discard=discard_edits)
        if as_json:
            echo_json(_summary(built))
        else:
            _print(built)
        if not no_app:
            serve(built.name, address, port, _say_where)


def _named(given: tuple[str, ...]) -> Mapping[str, Path]:
    """Results files by the name of their model."""
    from toolkit.views.gather import check_names

    result: dict[str, Path] = {}
    for item in given:
        name, sign, path = item.partition("=")
        if not sign:
            name, path = Path(item).stem, item
        if not path or name in result:
            raise UsageError(
                f"option 'predictions': got '{item}'; wanted NAME=FILE with each name once"
            )
        result[name] = Path(path)
    check_names(list(result))
    return result


def _build(sources: Sources, name: str, *, force: bool, discard: bool) -> Built:
    from toolkit.views.build import build, existing_view
    from toolkit.views.gather import gather, recipe_of_sources

    recipe = recipe_of_sources(sources)
    existing = existing_view(name, recipe, force=force, discard=discard)
    if existing is not None:
        notice(f"'{name}' is there already, made from the same files; --force builds it anew")
        return existing
    with progress_bar("looking at the pictures") as report:
        gathered = gather(sources, report)
    for note in gathered.notes:
        notice(f"Note: {note}")
    with progress_bar("building the data set") as report:
        return build(
            gathered.content,
            name,
            sources.images,
            recipe,
            coco=gathered.coco,
            queues=gathered.queues,
            force=force,
            discard=discard,
            progress=report,
        )


def _summary(built: Built) -> dict[str, object]:
    return {
        "name": built.name,
        "frames": built.frames,
        "people": built.people,
        "views": list(built.views),
        "reused": built.reused,
    }


def _print(built: Built) -> None:
    click.echo(
        f"FiftyOne data set '{built.name}': {built.people:,} people in {built.frames:,} frames"
    )
    click.echo(f"Saved views: {', '.join(built.views)}")


def _say_where(address: str) -> None:
    notice(f"The App is at {address} (Ctrl-C ends it)")


@view.command(epilog="Example: toolkit view pull annotations --out edited.json")
@click.argument("name")
@click.option("--out", type=_PATH, required=True, metavar="NEW.json", help="File to write.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Entries to list.")
@_uri_option
@force_option
@json_option
def pull(
    *, name: str, out: Path, limit: int | None, uri: str | None, force: bool, as_json: bool
) -> None:
    """Write the annotations of the FiftyOne data set NAME with what was changed in it.

    Everything else is the file that the data set was built from, byte for byte. Tags come
    home in the field `tags`. What changed is printed as `toolkit diff` does.
    """
    from toolkit.files import check_output, write_bytes
    from toolkit.views.engine import connect

    check_output(out, force=force)
    fiftyone = connect(uri)
    if not fiftyone.dataset_exists(name):
        known = ", ".join(fiftyone.list_datasets()[:20]) or "none"
        raise UsageError(f"no FiftyOne data set '{name}'; there are: {known}")
    from toolkit.curate.diff import diff
    from toolkit.views.home import bring_home, mark_pulled

    data = fiftyone.load_dataset(name)
    home = bring_home(data)
    result = diff(home.before, home.after)
    write_bytes(out, home.coco, force=force)
    mark_pulled(data, home)
    for note in home.notes:
        notice(f"Not brought home: {note}")
    _report(result, out, home.notes, limit, as_json=as_json)


def _report(
    result: Diff, out: Path, notes: tuple[str, ...], limit: int | None, *, as_json: bool
) -> None:
    from toolkit.curate.diff_report import summary_lines, to_json

    if as_json:
        document = to_json(result, limit or LISTED)
        echo_json({**document, "new": str(out), "out": str(out), "notes": list(notes)})
        return
    click.echo(printable_lines("\n".join(summary_lines(result))))
    click.echo(f"Written to {out}; 'toolkit diff FILE {out}' lists every change")
