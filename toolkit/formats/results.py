"""COCO results: a list of detections with keypoints `[x, y, score, ...]`.

Each record has `image_id`, `category_id`, `keypoints` and `score`; the toolkit also reads
and writes `bbox`, `annotation_id`, `keypoint_scores` (K numbers) and `sigmas` (2K numbers,
px). Detector boxes are the same list without keypoints.
"""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from toolkit.annotations import Predictions
from toolkit.errors import InvalidDataError
from toolkit.files import write_bytes
from toolkit.formats.base import Format, collector_off
from toolkit.formats.categories import numbered_schema
from toolkit.formats.document import Document
from toolkit.formats.encode import list_lines, result_record
from toolkit.formats.flat import Pieces, flat_section
from toolkit.formats.lint import lint_section
from toolkit.formats.parse import TOO_DEEP, Section, parse, results_section
from toolkit.formats.results_decode import ResultsReader
from toolkit.formats.results_write import ResultsSource, results_edit
from toolkit.formats.rules import Findings
from toolkit.formats.text import BOM, Text, load_text
from toolkit.report import Finding, Report
from toolkit.schema import Schema

_LIST = re.compile(rb"[ \t\r\n]*\[")
_HEAD = 4096


def scan_predictions(
    path: Path, schema: Schema | str | None, *, boxes: bool = False
) -> tuple[Predictions, list[Finding]]:
    """Read a results file leniently.

    Args:
        path: The file.
        schema: What the keypoints are, or the name of a schema; None numbers as many
            as the first result has.
        boxes: Whether a file without any keypoints (detector boxes) is welcome.

    Returns:
        The predictions, and a finding for everything that is wrong. Keypoints are NaN
        where a record has none.

    Raises:
        ReadError: It cannot be read, is not JSON, or is not a list (a ground-truth file).
        ResourceError: It needs more memory than there is.
    """
    known = Schema.load(schema) if isinstance(schema, str) else schema
    findings = Findings()
    # Hashing takes a tenth of the reading and does not hold the interpreter: it runs beside.
    with collector_off(), ThreadPoolExecutor(max_workers=1) as beside:
        text = load_text(Path(path))
        digest = beside.submit(text.digest)
        if text.prefix:
            findings.add("json-bom", "begins with a UTF-8 byte order mark; JSON keeps it")
        quick = None if known is None else _read_flat(text, known)
        if quick is not None:
            reader, section = quick
        else:
            reader, section = _read_parsed(text, known, findings, boxes=boxes)
        if not reader.accounts_for(text.data):
            _lint(text, section, findings)
    found = reader.predictions(text.path, digest.result())
    document = Document(text.prefix, text.data, {"results": section})
    records = reader.records[: reader.count]
    source = ResultsSource(document, found, records)
    return replace(found, source=source), findings.close()


def _lint(text: Text, section: Section, findings: Findings) -> None:
    try:
        lint_section(text.data, section, findings)
    except RecursionError:
        text.fail(TOO_DEEP)


def _read_flat(text: Text, schema: Schema) -> tuple[ResultsReader, Section] | None:
    """Read a list of flat records that are all sound; None where it is anything else."""
    section = flat_section(text.data)
    if section is None:
        return None
    findings = Findings()
    reader = ResultsReader(len(section), schema, findings)
    reader.read(Pieces(text.data, section), boxes=False)
    return None if reader.repaired or findings.close() else (reader, section)


def _read_parsed(
    text: Text, schema: Schema | None, findings: Findings, *, boxes: bool
) -> tuple[ResultsReader, Section]:
    """Parse the document, then read its records, with a finding for every fault."""
    parsed = parse(text)
    if parsed.items is None:
        _fail_object(text, [*parsed.top, *parsed.lists])
    if not parsed.items:
        findings.add("results-empty", "the list is empty: every ground truth counts as missed")
    known = numbered_schema(parsed.items) if schema is None else schema
    reader = ResultsReader(len(parsed.items), known, findings)
    reader.read(parsed.items, boxes=boxes)
    return reader, results_section(parsed)


def read_predictions(
    path: Path | str, schema: Schema | str | None, *, boxes: bool = False
) -> Predictions:
    """Read a results file.

    Args:
        path: The file.
        schema: What the keypoints are, or the name of a schema; None numbers as many
            as the first result has.
        boxes: Whether a file without any keypoints (detector boxes) is welcome.

    Raises:
        InvalidDataError: It has errors; `report` lists them.
        ReadError: It cannot be read, is not JSON, or is a ground-truth file.
    """
    found, findings = scan_predictions(Path(path), schema, boxes=boxes)
    raise_errors(Path(path), found.schema, findings)
    return found


def raise_errors(path: Path, schema: Schema, findings: list[Finding]) -> None:
    """Refuse a file with errors; the message is the first, the report has them all.

    Raises:
        InvalidDataError: There is at least one error.
    """
    report = Report(path.name, schema.name, "read", tuple(findings))
    if report.ok:
        return
    first = report.errors[0].line(path.name)
    more = report.counts()["error"] - report.errors[0].count
    rest = f" (and {more:,} more errors; 'toolkit validate' lists them)" if more else ""
    raise InvalidDataError(first + rest, report)


def write_predictions(predictions: Predictions, path: Path | str, force: bool = False) -> None:
    """Write predictions as COCO results, whole or not at all.

    What was read and not changed is written byte for byte; of what was read, dropped
    records go and changed records are written anew, keeping their unknown keys.

    Raises:
        OutputExistsError: The file exists and `force` was not given.
        InvalidDataError: A number is NaN or infinite.
        WriteError: The file cannot be written; what stood there before is intact.
    """
    source = predictions.source
    if isinstance(source, ResultsSource):
        edits = {"results": results_edit(predictions, source)}
        source.document.write(Path(path), edits, force=force)
        return
    rows = range(len(predictions))
    content = list_lines(result_record(predictions, row) for row in rows) + b"\n"
    write_bytes(Path(path), content, force=force)


def detect_results(path: Path) -> bool:
    """Whether a file begins like a list."""
    with path.open("rb") as stream:
        return _LIST.match(stream.read(_HEAD).removeprefix(BOM)) is not None


def _fail_object(text: Text, keys: list[str]) -> NoReturn:
    shown = ", ".join(f"'{key}'" for key in keys[:6])
    truth = {"annotations", "categories"} & set(keys)
    hint = "; is this a ground-truth file?" if truth else ""
    text.fail(f"the document is an object (keys {shown}); expected a list of results{hint}")


def _scan_any(path: Path, schema: Schema | None) -> tuple[Predictions, list[Finding]]:
    return scan_predictions(path, schema, boxes=True)


def _lost_in_results(found: Predictions) -> Counter[str]:
    """Nothing: predictions that were read as results are results."""
    return Counter()


RESULTS = Format(
    name="results",
    suffixes=(".json",),
    description="COCO results: a list of predictions, or of detector boxes",
    detect=detect_results,
    scan=_scan_any,
    write=write_predictions,
    loses=_lost_in_results,
)
