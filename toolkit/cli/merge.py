"""`toolkit merge`: two edited annotation files into one, conflicts listed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.common import echo_json, force_option, json_option, notice
from toolkit.errors import UsageError, counted

if TYPE_CHECKING:
    from toolkit.curate.merge import Merged
    from toolkit.curate.merge_record import Conflict
    from toolkit.formats.document import Document

SHOWN = 20  # conflicts in the text


@click.command(epilog="Example: toolkit merge base.json mine.json yours.json --out both.json")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("ours", type=click.Path(path_type=Path))
@click.argument("theirs", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="F", help="File to write.")
@click.option(
    "--renumber",
    type=click.Choice(("theirs",)),
    help="Give new ids to new records of THEIRS whose ids OURS gave to other new records.",
)
@click.option(
    "--git",
    "git_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="As git's merge driver: write the result over OURS; PATH is the file's own name.",
)
@json_option
@force_option
def merge(
    *,
    base: Path,
    ours: Path,
    theirs: Path,
    out: Path | None,
    renumber: str | None,
    git_path: Path | None,
    as_json: bool,
    force: bool,
) -> int:
    """Merge OURS and THEIRS, two edited versions of BASE, into F.

    A change that one side made is taken, field by field and keypoint by keypoint. Where
    both changed the same thing differently, F keeps what OURS has and F.conflicts.json
    lists the three values for a person; the command then ends with 1.
    """
    from toolkit.curate.merge import merge as combine
    from toolkit.curate.records import load_document, require_data_set
    from toolkit.files import atomic_file, check_outputs

    if (out is None) == (git_path is None):
        raise UsageError("no output; name one with --out (or --git, as git's merge driver)")
    target, force = (ours, True) if out is None else (out, force)
    name = target if git_path is None else git_path
    listing = name.with_name(name.name + ".conflicts.json")
    outputs = (listing,) if out is None else (target, listing)
    check_outputs(outputs, force=force, inputs=(base, ours, theirs))
    _check_listing(listing)
    names = [
        _name(path, git_path, side)
        for path, side in ((base, "BASE"), (ours, "OURS"), (theirs, "THEIRS"))
    ]
    sides = []
    for name_of_side, path in zip(names, (base, ours, theirs), strict=True):
        if git_path and path is base and _is_empty(base):
            sides.append((name_of_side, _empty()))
            continue
        document = load_document(path)
        require_data_set(name_of_side, document)
        sides.append((name_of_side, document))
    merged = combine(*sides, renumber=renumber is not None)
    _write_conflicts(merged, names, listing, force=force)
    with atomic_file(target, force=force) as temporary, temporary.open("wb") as stream:
        stream.writelines(merged.pieces)
    if as_json:
        echo_json(_json(merged, names) | {"out": str(name)})
    else:
        _print(merged, name, listing)
    return 1 if merged.conflicts else 0


def _check_listing(path: Path) -> None:
    """The list of an earlier merge is replaced or goes; another's file of that name stays.

    Raises:
        UsageError: It is no list of conflicts.
    """
    import json

    if not path.exists():
        return
    try:
        ours = {"base", "ours", "theirs", "conflicts"} <= set(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise UsageError(
            f"{path}: is no list of conflicts, and a merge puts its own there; move it or "
            "choose another --out"
        )


def _is_empty(path: Path) -> bool:
    """Git gives an empty file where the two sides have no common version."""
    return path.is_file() and not path.stat().st_size


def _empty() -> Document:
    from toolkit.formats.document import Document

    return Document(b"", b"{}", {})


def _name(path: Path, git_path: Path | None, side: str) -> str:
    """Git's temporary files have names that tell nobody anything."""
    return path.name if git_path is None else f"{git_path} ({side})"


def _write_conflicts(merged: Merged, names: list[str], path: Path, *, force: bool) -> None:
    """List the conflicts beside the result; the list of an earlier merge does not stay."""
    import json

    from toolkit.files import write_text

    if merged.conflicts:
        document = json.dumps(_json(merged, names), indent=2, ensure_ascii=False)
        write_text(path, document + "\n", force=force)
    else:
        path.unlink(missing_ok=True)


def _json(merged: Merged, names: list[str]) -> dict[str, object]:
    return {
        "base": names[0],
        "ours": names[1],
        "theirs": names[2],
        "taken": {section or "document": vars(n) for section, n in merged.taken.items()},
        "total": len(merged.conflicts),
        "conflicts": [_conflict_json(conflict) for conflict in merged.conflicts],
    }


def _conflict_json(conflict: Conflict) -> dict[str, object]:
    """A conflict; a side that does not have the unit is left out."""
    from toolkit.curate.diff_report import finite
    from toolkit.curate.records import MISSING

    found: dict[str, object] = {
        "section": conflict.section,
        "id": conflict.key,
        "field": conflict.field,
        "keypoint": conflict.keypoint or None,
        "reason": conflict.reason,
    }
    for side in ("base", "ours", "theirs"):
        value = getattr(conflict, side)
        if value is not MISSING:
            found[side] = finite(value)
    return found


def _print(merged: Merged, out: Path, listing: Path) -> None:
    from toolkit.curate.diff_report import shown

    for conflict in merged.conflicts[:SHOWN]:
        values = (conflict.base, conflict.ours, conflict.theirs)
        base, ours, theirs = map(shown, values)
        click.echo(f"conflict {conflict.place}: {conflict.reason}")
        click.echo(f"  base {base}; ours {ours}; theirs {theirs}; kept ours")
    if len(merged.conflicts) > SHOWN:
        click.echo(f"... and {len(merged.conflicts) - SHOWN:,} more conflicts")
    changes = [
        f"{count:,} {word} in {section or 'the document'}"
        for section, taken in merged.taken.items()
        for word, count in vars(taken).items()
        if count
    ]
    click.echo(f"{out}: {', '.join(changes) or 'nothing'} taken from theirs")
    if merged.conflicts:
        notice(
            f"{counted(len(merged.conflicts), 'conflict')}, listed in {listing}; decide each "
            f"in {out}"
        )
