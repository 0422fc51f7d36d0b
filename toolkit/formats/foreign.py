"""Foreign formats: files that are no COCO JSON, as plain COCO documents.

A foreign format turns a COCO document of plain Python values into the contents of its file
or files, and those into a document. What the way there and back changes is found by going
it, in memory. It needs to know nothing of offsets
and bytes: the adapter (`toolkit.formats.adapter`) makes the document's bytes and has the
COCO reader decode them, so that every check and command works on it.

Adding a foreign format: write a module that ends in one `Foreign` constant, list it in
`FORMATS` of `toolkit/formats/__init__.py`, add a sample to the tests of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ReadError
from toolkit.report import Finding, Severity
from toolkit.schema import Schema

# What a JSON parser gives: the values are anyone's, so they are checked where they are used.
Record = dict[str, Any]
CocoDocument = dict[str, Any]
# A folder's files by their path in it, with `/`; a single file stands under `FILE`.
Files = dict[str, bytes]
FILE = ""


def _drops_nothing(document: CocoDocument, schema: Schema) -> set[int]:
    return set()


def _notes_nothing(document: CocoDocument, schema: Schema) -> list[str]:
    return []


@dataclass(frozen=True)
class Foreign:
    """A foreign file format.

    Attributes:
        name: What `--from` and `--to` take.
        suffixes: File name endings, lower case, with the dot; none for a folder.
        description: One line for people.
        is_folder: Whether it is a folder of files.
        detect: Whether a path (it exists) looks like this format; must not raise for a
            file of another kind, and must look at the content where the suffix is shared.
        to_coco: Reads a file or folder into a COCO document; the findings name what in it
            cannot be used. Raises ReadError where it is not this format at all.
        encode: The contents of a document's file or files.
        decode: The document that `encode`'s contents say.
        dropped: Indices in the document's `annotations` that have no place at all.
        numbered: Sections whose records get new ids as they are read, so that an id says
            nothing of who somebody was.
        notes: What the user of such a file should know of this document's, one line each,
            though nothing of it is lost.
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    is_folder: bool
    detect: Callable[[Path], bool]
    to_coco: Callable[[Path, Schema | None], tuple[CocoDocument, list[Finding]]]
    encode: Callable[[CocoDocument, Schema], Files]
    decode: Callable[[Files], CocoDocument]
    dropped: Callable[[CocoDocument, Schema], set[int]] = _drops_nothing
    notes: Callable[[CocoDocument, Schema], list[str]] = _notes_nothing
    numbered: frozenset[str] = frozenset()

    def from_coco(self, document: CocoDocument, path: Path, schema: Schema) -> None:
        """Write a document to a fresh path; the caller makes it atomic."""
        save(self.encode(document, schema), path)


def save(files: Files, path: Path) -> None:
    """Write contents as a file, or as a folder of files."""
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def contents(path: Path) -> Files:
    """The contents of a file, or of all files of a folder."""
    if not path.is_dir():
        return {FILE: path.read_bytes()}
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


# The rules of foreign files; `toolkit.formats.rules` says what each means.
UNUSABLE = "foreign-unusable"  # error: a record that cannot be used, with what was wanted
LEFT_OUT = "foreign-left-out"  # warning: it has no place in COCO keypoints and was left out
ASSUMED = "foreign-assumed"  # warning: the file does not say it; what was taken instead
_SEVERITY = {
    UNUSABLE: Severity.ERROR,
    LEFT_OUT: Severity.WARNING,
    ASSUMED: Severity.WARNING,
}


def foreign_finding(rule: str, place: str, message: str, count: int = 1) -> Finding:
    """A finding in a foreign file.

    Args:
        rule: `UNUSABLE`, `LEFT_OUT` or `ASSUMED`.
        place: Where, as that file's user would say it: `labels/a.txt line 3`.
        message: What, got, wanted; no full stop.
        count: How many it stands for.
    """
    return Finding(rule, _SEVERITY[rule], f"{place}: {message}", count=count)


def foreign_error(path: Path, place: str, message: str) -> ReadError:
    """The error (to raise) that a file is not this format or cannot be used at all."""
    where = f"{path.name}: {place}: " if place else f"{path.name}: "
    return ReadError(where + message)


def records_of(document: CocoDocument, section: str) -> list[Record]:
    """The records of `images`, `annotations` or `categories`; none where it is missing."""
    found = document.get(section)
    return [r for r in found if isinstance(r, dict)] if isinstance(found, list) else []
