"""What a format is, what reading one gives, and the rules that decoding can break."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.report import Finding, Severity
from toolkit.schema import Schema

if TYPE_CHECKING:
    from toolkit.formats.prepared import Prepared

Content = TypeVar("Content", Dataset, Predictions)


@dataclass(frozen=True)
class Scan:
    """What a lenient reader found: arrays, and a finding for everything it could not use.

    Attributes:
        dataset: The arrays; unusable fields hold the missing value (NaN, 0 or -1).
        findings: One for each thing that is wrong or worth knowing, in file order.
    """

    dataset: Dataset
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the file invalid."""
        return [f for f in self.findings if f.severity is Severity.ERROR]


def drops_nothing(content: object) -> set[int]:
    """What a format drops that has a place for every annotation."""
    return set()


@dataclass(frozen=True)
class Format(Generic[Content]):
    """A file format of annotated or predicted people.

    Attributes:
        name: What `--from` and `--to` take.
        suffixes: File name endings, lower case, with the dot.
        description: One line for people.
        detect: Whether a file's first bytes look like this format.
        scan: Reads a file leniently: what it holds, and the findings.
        write: Writes it; the third argument is `force`.
        loses: What changes if these data go there and back: names as
            `toolkit.formats.compare.measured_loss` gives them, with the number of records.
        is_folder: Whether it is a folder of files.
        is_json: Whether it is COCO's JSON, of which records are copied as they are.
        dropped: Indices of the file's annotations that this format has no place for.
        numbered: Sections whose records get new ids as they are read.
        prepare: Where it can do better than calling these one by one: all of them for one
            data set, worked out once.
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    detect: Callable[[Path], bool]
    scan: Callable[[Path, Schema | None], tuple[Content, list[Finding]]]
    write: Callable[[Content, Path, bool], None]
    loses: Callable[[Content], Counter[str]]
    is_folder: bool = False
    is_json: bool = False
    dropped: Callable[[Content], set[int]] = drops_nothing
    numbered: frozenset[str] = frozenset()
    prepare: Callable[[Content], Prepared] | None = None


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep Python's cyclic collector off: decoding makes many objects and no cycles.

    It is half of the time that a plain parse takes. Its former state comes back whatever
    happens.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            # All that was made goes to the oldest generation, as if it had been looked
            # through: else the next new object has every one of them looked through.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
