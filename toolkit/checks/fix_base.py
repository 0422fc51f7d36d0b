"""What a repair is: the rule it answers, what it does, whether it is safe, and a function.

A repair is safe when it changes no coordinate, visibility, box, area, num_keypoints and no
reference to an image or a category: nothing that a score is computed from. All others have
to be named by the person who wants them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolkit.checks import CHECKS
from toolkit.checks.base import Hits, Subject
from toolkit.checks.source import subject_of
from toolkit.dataset import Dataset
from toolkit.formats.coco_write import CocoSource
from toolkit.formats.document import Document, field_texts
from toolkit.report import Finding

MAX_EXACT = 2**53  # ids above it are rounded by parsers that read numbers as floats
_WHOLE_IN_QUOTES = re.compile(r'"(-?(?:0|[1-9][0-9]{0,17}))"')
_WHOLE_WITH_POINT = re.compile(r"(-?(?:0|[1-9][0-9]{0,14}))\.0+")
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_FIND = {check.code: check.find for check in CHECKS}


@dataclass(frozen=True)
class Change:
    """One field of one record that a repair rewrites.

    Attributes:
        section: Top-level key of the file, or None for the file itself.
        index: 0-based index of the record, or None for the file itself.
        id: The record's id as the arrays have it, or None.
        field: The field.
        old: JSON text in the file, or None where the field is missing.
        new: JSON text to write, or None where the field is removed.
    """

    section: str | None
    index: int | None
    id: int | None
    field: str
    old: str | None
    new: str | None

    def line(self, width: int = 34) -> str:
        """The change on one line, long values cut: place, before, after."""
        parts = [] if self.section is None else [f"{self.section}[{self.index}]"]
        parts += [] if self.id is None else [f"id={self.id}"]
        values = (_short(self.old, width), _short(self.new, width))
        return " ".join([*parts, f"{self.field}:", values[0], "->", values[1]])


def _short(text: str | None, width: int) -> str:
    if text is None:
        return "(none)"
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 3] + "..."


@dataclass(frozen=True)
class Repair:
    """A way to put one rule's faults right.

    Attributes:
        rule: Code of the rule that it answers.
        does: What it does, in one sentence.
        safe: Whether it leaves alone everything that a score is computed from.
        propose: Gives the changes; it writes nothing.
    """

    rule: str
    does: str
    safe: bool
    propose: Callable[[Bench], Iterator[Change]]


class Bench:
    """A file on the bench: its arrays, its document, and what several repairs share."""

    def __init__(
        self, dataset: Dataset, source: CocoSource, findings: tuple[Finding, ...]
    ) -> None:
        """Take a file as it was read.

        Args:
            dataset: The arrays, whole and unchanged.
            source: What the file was read from.
            findings: The reader's findings.
        """
        self.dataset, self.source, self.findings = dataset, source, findings
        self.renumbered: set[int] = set()  # rows that have got a new id
        self.only_counts = False  # the old text of fields is then not looked up

    @property
    def document(self) -> Document:
        """The file's bytes and the offsets of its records."""
        return self.source.document

    @cached_property
    def subject(self) -> Subject:
        """What the checks look at."""
        return subject_of(self.dataset, self.findings)

    def rows(self, code: str) -> NDArray[np.int64]:
        """Rows of the arrays that break a check, whatever its severity."""
        hits = _FIND[code](self.subject)
        found = [hit.rows for hit in hits if isinstance(hit, Hits)]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def places(self, code: str) -> list[tuple[str, str | None, int]]:
        """Section, field and index of all that the reader found of one rule, in file order."""
        found = {place for f in self.findings if f.rule == code for place in f.places()}
        order = list(self.document.sections)
        return sorted(found, key=lambda p: (order.index(p[0]), p[2], p[1] or ""))

    def annotation(self, row: int, field: str, new: str | None) -> Change:
        """The change of one field of the annotation in this row of the arrays."""
        index = int(self.source.annotation_records[row])
        old = None if self.only_counts else self.texts("annotations", index).get(field)
        people = self.dataset.annotations
        return Change("annotations", index, int(people.instance_id[row]), field, old, new)

    def texts(self, section: str, index: int) -> dict[str, str]:
        """The text of each field of a record."""
        return field_texts(self.document.record(section, index))

    def fresh_ids(self) -> Iterator[int]:
        """Annotation ids that no record of the file has, ascending.

        They follow the largest id; where that is too large to count on from, the gaps
        above 0 are filled.
        """
        taken = self._taken
        top = max(taken, default=0)
        at = max(top, 0) + 1 if top < MAX_EXACT - len(taken) else 1
        while True:
            if at not in taken:
                taken.add(at)
                yield at
            at += 1

    @cached_property
    def _taken(self) -> set[int]:
        section = self.document.sections["annotations"]
        taken = set(self.dataset.annotations.instance_id.tolist())
        for index in range(len(section)):
            try:
                text = bytes(_ID.decode(self.document.record("annotations", index)).id).decode()
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # no record with an id, so none to keep clear of
            # "12" is no id yet, but another repair may make it one.
            whole = text if _WHOLE.fullmatch(text) else whole_id(text)
            if whole is not None:
                taken.add(int(whole))
        return taken


def whole_id(text: str) -> str | None:
    """The whole number that JSON text such as `"12"` or `12.0` means, or None.

    >>> whole_id('"12"'), whole_id("12.0"), whole_id("12.5"), whole_id('"012"')
    ('12', '12', None, None)
    """
    match = _WHOLE_IN_QUOTES.fullmatch(text) or _WHOLE_WITH_POINT.fullmatch(text)
    return None if match is None else match[1]


class _Record(msgspec.Struct):
    id: msgspec.Raw


_ID = msgspec.json.Decoder(_Record)
