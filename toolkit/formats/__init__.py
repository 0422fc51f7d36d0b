"""File formats: one module each, listed in one table.

`scan` reads leniently and says what is wrong; `read` refuses a file with errors; `write`
gives back what was read, changed only where the arrays were changed.

Adding a format: write a module that ends in one `Format` constant, list it in `FORMATS`,
add a sample to the round-trip test and a line to `docs/formats.md`.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import cast

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import ReadError, UsageError
from toolkit.formats.adapter import adapt
from toolkit.formats.base import Format, Scan
from toolkit.formats.coco import COCO, CROPCOCO, CROWDPOSE, scan_coco
from toolkit.formats.coco_write import CocoSource, write_coco
from toolkit.formats.csv_table import CSV
from toolkit.formats.cvat import CVAT
from toolkit.formats.labelstudio import LABELSTUDIO
from toolkit.formats.mat import MAT
from toolkit.formats.parquet import PARQUET
from toolkit.formats.results import (
    RESULTS,
    raise_errors,
    read_predictions,
    scan_predictions,
    write_predictions,
)
from toolkit.formats.results_write import ResultsSource
from toolkit.formats.rules import RULES, Rule
from toolkit.formats.text import load_text
from toolkit.formats.yolo import YOLO
from toolkit.schema import Schema

__all__ = [
    "FORMATS",
    "RULES",
    "CocoSource",
    "Format",
    "ResultsSource",
    "Rule",
    "Scan",
    "dataset_format",
    "detect",
    "format_named",
    "read",
    "read_predictions",
    "scan",
    "scan_predictions",
    "write",
    "write_predictions",
]

# In the order in which they are offered. Where several fit a file, the first that is no
# COCO JSON is taken: `detect`.
FORMATS: tuple[Format[Dataset] | Format[Predictions], ...] = (
    COCO,
    CROWDPOSE,
    CROPCOCO,
    RESULTS,
    PARQUET,
    CSV,
    adapt(YOLO),
    adapt(CVAT),
    adapt(LABELSTUDIO),
    adapt(MAT),
)
# Not errors of the arrays: CrowdPose is published with COCO's skeleton, CropCOCO with
# visibility 3. Whether they are faults is for a profile to say.
_NOT_IN_ARRAYS = frozenset({"skeleton-index", "visibility-beyond"})


def scan(
    path: Path | str, schema: Schema | str | None = None, format: str | None = None
) -> Scan:
    """Read an annotation file leniently.

    Args:
        path: The file, or the folder of a format that is one.
        schema: A schema, its name or its file; by default found from the file's categories.
        format: Name of the format; by default found from the file.

    Returns:
        The data set and the findings.

    Raises:
        ReadError: It cannot be read, or no format fits.
        UsageError: There is no such schema or format.
        ResourceError: It is larger than the memory that is left.
    """
    path = Path(path)
    known = Schema.load(schema) if isinstance(schema, str) else schema
    chosen = detect(path) if format is None else format_named(format)
    if format is not None and chosen.name == RESULTS.name:
        raise UsageError("results are no annotations; read them with read_predictions")
    if chosen.is_json or chosen.name == RESULTS.name:
        return scan_coco(path, known)
    found = dataset_format(chosen.name)
    return Scan(*found.scan(path, known))


def read(
    path: Path | str, schema: Schema | str | None = None, format: str | None = None
) -> Dataset:
    """Read an annotation file.

    Args:
        path: The file, or the folder of a format that is one.
        schema: A schema, its name or its file; by default found from the file's categories.
        format: Name of the format; by default found from the file.

    Returns:
        The data set, which remembers its file for `write`.

    Raises:
        InvalidDataError: It has errors that the arrays depend on; `report` lists them.
        ReadError: It cannot be read, or no format fits.
        UsageError: There is no such schema or format.
        ResourceError: It is larger than the memory that is left.
    """
    found = scan(path, schema, format)
    needed = [finding for finding in found.findings if finding.rule not in _NOT_IN_ARRAYS]
    raise_errors(Path(path), found.dataset.schema, needed)
    return found.dataset


def write(dataset: Dataset, path: Path | str, force: bool = False) -> None:
    """Write a data set as COCO JSON; see `toolkit.formats.coco_write.write_coco`.

    Raises:
        UsageError: The name's ending is that of another format.
        OutputExistsError: The file exists and `force` was not given.
        InvalidDataError: A number is infinite, or a box is NaN in part.
        WriteError: The file cannot be written; what stood there before is intact.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    others = [item.name for item in FORMATS if suffix and suffix in item.suffixes]
    if others and COCO.name not in others:
        raise UsageError(
            f"{path}: {suffix} is for format '{others[0]}', and what is written is COCO's "
            "JSON; name a file ending in .json, and make the other with 'toolkit convert'"
        )
    write_coco(dataset, path, force)


def detect(path: Path) -> Format[Dataset] | Format[Predictions]:
    """The format of a file or folder, by its content.

    JSON that is no known format is COCO's: its reader says what is wrong, and where.

    Raises:
        ReadError: It cannot be read, or no format fits; the message lists what was tried.
    """
    try:
        is_folder = path.is_dir()
        # A folder's format may know the file in it that describes it.
        tried = [item for item in FORMATS if item.is_folder or not is_folder]
        if not is_folder:
            if path.exists() and not path.is_file():
                return COCO  # a pipe can be read only once
            path.open("rb").close()
        fitting = [item for item in tried if item.detect(path)]
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"{path}: cannot read: {reason}") from error
    foreign = [item for item in fitting if not item.is_json and item is not RESULTS]
    names = ", ".join(f"'{item.name}'" for item in foreign)
    if len(foreign) > 1:
        raise ReadError(f"{path}: fits formats {names}; say which one with --from")
    if fitting:
        return (foreign or fitting)[0]
    names = ", ".join(item.name for item in tried) or "none"
    if is_folder:
        raise ReadError(
            f"{path}: is a folder; expected a JSON file or a folder of a known format "
            f"(tried: {names})"
        )
    load_text(path)  # Empty, compressed and not UTF-8: its messages say more.
    if path.suffix.lower() in COCO.suffixes:
        return COCO
    raise ReadError(f"{path}: no known format (tried: {names}); say which with --from")


def dataset_format(name: str) -> Format[Dataset]:
    """A format of annotations by its name.

    Raises:
        UsageError: There is none, or it is one of predictions.
    """
    found = format_named(name)
    if found.name == RESULTS.name:
        raise UsageError("results are no annotations; read them with read_predictions")
    return cast("Format[Dataset]", found)


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
