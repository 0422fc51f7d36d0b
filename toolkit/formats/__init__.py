"""File formats: one module each, listed in one table.

`scan` reads leniently and says what is wrong; `read` refuses a file with errors; `write`
gives back what was read, changed only where the arrays were changed.

Adding a format: write a module that ends in one `Format` constant, list it in `FORMATS`,
add a sample to the round-trip test and a line to `docs/formats.md`.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats.base import Format, Scan
from toolkit.formats.coco import COCO, CROWDPOSE, scan_coco
from toolkit.formats.coco_write import CocoSource, write_coco
from toolkit.formats.results import (
    RESULTS,
    raise_errors,
    read_predictions,
    scan_predictions,
    write_predictions,
)
from toolkit.formats.results_write import ResultsSource
from toolkit.formats.rules import RULES, Rule
from toolkit.schema import Schema

__all__ = [
    "FORMATS",
    "RULES",
    "CocoSource",
    "Format",
    "ResultsSource",
    "Rule",
    "Scan",
    "read",
    "read_predictions",
    "scan",
    "scan_predictions",
    "write",
    "write_predictions",
]

FORMATS: tuple[Format[Dataset] | Format[Predictions], ...] = (COCO, CROWDPOSE, RESULTS)
# Not errors of the arrays: CrowdPose is published with COCO's skeleton, CropCOCO with
# visibility 3. Whether they are faults is for a profile to say.
_NOT_IN_ARRAYS = frozenset({"skeleton-index", "visibility-beyond"})


def scan(
    path: Path | str, schema: Schema | str | None = None, format: str | None = None
) -> Scan:
    """Read an annotation file leniently.

    Args:
        path: The file.
        schema: A schema or its name; by default found from the file's categories.
        format: Name of the format; by default COCO's, which CrowdPose's is too.

    Returns:
        The data set and the findings.

    Raises:
        ReadError: The file cannot be read or is not JSON.
    """
    known = Schema.load(schema) if isinstance(schema, str) else schema
    if format_named(format or COCO.name) is RESULTS:
        raise UsageError("results are no annotations; read them with read_predictions")
    return scan_coco(Path(path), known)


def read(
    path: Path | str, schema: Schema | str | None = None, format: str | None = None
) -> Dataset:
    """Read an annotation file.

    Raises:
        InvalidDataError: It has errors that the arrays depend on; `report` lists them.
        ReadError: It cannot be read or is not JSON.
    """
    found = scan(path, schema, format)
    needed = [finding for finding in found.findings if finding.rule not in _NOT_IN_ARRAYS]
    raise_errors(Path(path), found.dataset.schema, needed)
    return found.dataset


def write(dataset: Dataset, path: Path | str, force: bool = False) -> None:
    """Write a data set as COCO JSON; see `toolkit.formats.coco_write.write_coco`."""
    write_coco(dataset, Path(path), force)


def format_named(name: str) -> Format[Dataset] | Format[Predictions]:
    """A format by its name.

    Raises:
        UsageError: There is none.
    """
    known = {item.name: item for item in FORMATS}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise UsageError(f"unknown format '{name}'; {hint}known: {', '.join(known)}")
    return known[name]
