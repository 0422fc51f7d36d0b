"""A report as SARIF 2.1.0, as GitHub's code scanning and other viewers read it.

Every finding points at its record: line, column and byte in the file, and `annotations[17]`
as a logical location. Fingerprints are made of rule, record id and field, so that a finding
keeps its identity when the file is reordered or grows.

Source: SARIF 2.1.0 (OASIS), and GitHub's page on SARIF support for its limits.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from toolkit.checks.rulebook import RulePage, all_rules
from toolkit.formats.coco_write import CocoSource
from toolkit.formats.document import Document
from toolkit.report import Finding, Report, Severity

SCHEMA_URI = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
MAX_RESULTS = 25_000  # GitHub refuses a run with more
_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_WORST_FIRST = tuple(_LEVEL)
Json = Mapping[str, object]


def sarif_text(report: Report, source: object, version: str) -> str:
    """The report as a SARIF log.

    Args:
        report: What was found.
        source: What the data were read from; without a document findings have no place
            in the file.
        version: Of the toolkit.

    Returns:
        A JSON document of at most `MAX_RESULTS` results, the worst kept.
    """
    pages = {page.code: page for page in all_rules()}
    used = list(pages)
    lines = _Lines(source.document) if isinstance(source, CocoSource) else None
    # by bytes: a name need not be UTF-8, and the locale need not be either
    uri = quote(os.fsencode(relative_path(Path(report.file))))
    seen: Counter[str] = Counter()
    results = [
        _result(finding, used.index(finding.rule) if finding.rule in pages else -1, seen)
        | {"locations": [_location(finding, uri, lines)]}
        for finding in worst(report.findings, MAX_RESULTS)
    ]
    driver = {
        "name": "toolkit validate",
        "semanticVersion": version,
        "rules": [_rule(page, report.profile) for page in pages.values()],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"toolkit-validate/{uri}/{report.profile}"},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"schema": report.schema, "profile": report.profile},
    }
    log = {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, allow_nan=False) + "\n"


def worst(findings: Iterable[Finding], limit: int) -> list[Finding]:
    """The worst findings, in the order of the report within each severity."""
    return sorted(findings, key=lambda f: _WORST_FIRST.index(f.severity))[:limit]


def relative_path(path: Path) -> str:
    """The path as a checkout has it: from its root, else from here, else only the name."""
    whole = Path(os.path.normpath(path.absolute()))
    roots = [folder for folder in whole.parents if (folder / ".git").exists()]
    for root in (*roots[:1], Path.cwd()):
        if whole.is_relative_to(root):
            return whole.relative_to(root).as_posix()
    return path.name


def _rule(page: RulePage, profile: str) -> Json:
    severity = next((s for name, s in page.severity.items() if name == profile), None)
    configuration: dict[str, object] = {"enabled": severity is not None}
    if severity is not None:
        configuration["level"] = _LEVEL[severity]
    help_text = page.sentence + (f" Repair: {page.repair}" if page.repair else "")
    return {
        "id": page.code,
        "shortDescription": {"text": page.sentence.split(": ")[0].split("; ")[0][:1000]},
        "fullDescription": {"text": page.sentence[:1000]},
        "help": {"text": f"{help_text}\nMore: toolkit validate --explain {page.code}"},
        "defaultConfiguration": configuration,
        "properties": {"tags": [page.family]},
    }


def _result(finding: Finding, rule_index: int, seen: Counter[str]) -> dict[str, object]:
    identity = "\0".join(
        str(part) for part in (finding.rule, finding.section, finding.id, finding.field)
    )
    digest = hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    seen[digest] += 1
    result: dict[str, object] = {
        "ruleId": finding.rule,
        "level": _LEVEL[finding.severity],
        "message": {"text": _plain(finding)},
        # The name that GitHub reads; its own would be a hash of the line, and a JSON file
        # often has one line only.
        "partialFingerprints": {"primaryLocationLineHash": f"{digest}:{seen[digest]}"},
        "occurrenceCount": finding.count,
    }
    if rule_index >= 0:
        result["ruleIndex"] = rule_index
    return result


def _plain(finding: Finding) -> str:
    """Place and message, with nothing in it that SARIF takes for a link."""
    text = f"{finding.place}: {finding.message}" if finding.place else finding.message
    return text.replace("](", "] (")


def _location(finding: Finding, uri: str, lines: _Lines | None) -> Json:
    region: Json = {"startLine": 1}
    if lines is not None and finding.section is not None and finding.index is not None:
        region = lines.region(finding.section, finding.index) or region
    location: dict[str, object] = {
        "physicalLocation": {
            "artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"},
            "region": region,
        }
    }
    if finding.section is not None:
        at = "" if finding.index is None else f"[{finding.index}]"
        name = f"{finding.section}{at}"
        path = name + (f".{finding.field}" if finding.field else "")
        logical = {"name": name, "fullyQualifiedName": path, "kind": "member"}
        location["logicalLocations"] = [logical]
    return location


class _Lines:
    """Lines and columns of a document's records, found from their byte offsets."""

    def __init__(self, document: Document) -> None:
        self.document = document
        text = np.frombuffer(document.data, dtype=np.uint8)
        self.breaks: NDArray[np.int64] = np.flatnonzero(text == ord("\n"))
        # Bytes that continue a character are no columns of their own.
        self.continued: NDArray[np.int64] = np.flatnonzero((text & 0xC0) == 0x80)

    def region(self, name: str, index: int) -> Json | None:
        """Where a record stands, lines and columns from 1, the end just after it."""
        section = self.document.sections.get(name)
        if section is None or index >= len(section):
            return None
        begin, end = int(section.starts[index]), int(section.ends[index])
        first, last = self._place(begin), self._place(end)
        return {
            "startLine": first[0],
            "startColumn": first[1],
            "endLine": last[0],
            "endColumn": last[1],
            "byteOffset": begin + len(self.document.prefix),
            "byteLength": end - begin,
        }

    def _place(self, offset: int) -> tuple[int, int]:
        line = int(np.searchsorted(self.breaks, offset))
        start = int(self.breaks[line - 1]) + 1 if line else 0
        inside = np.searchsorted(self.continued, [start, offset])
        return line + 1, offset - start - int(inside[1] - inside[0]) + 1
