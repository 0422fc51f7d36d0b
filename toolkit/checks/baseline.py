"""A baseline: the findings that are known and accepted, so that only new ones fail a build.

A finding is known by its rule, its record's id and its field, never by its index or its
message: records may be added, removed and reordered, and a wrong value may change to
another wrong value. Facts about the whole file, and findings that the reader stopped
listing, are known by their number: fewer is fine, more is new.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from toolkit.errors import ReadError, UsageError
from toolkit.files import write_text
from toolkit.report import Finding, Report

VERSION = 1
# Rule, section, field, and the record's id, None where the finding has no record.
Key = tuple[str, str | None, str | None, int | str | None]


@dataclass(frozen=True)
class Compared:
    """A report without what a baseline knows.

    Attributes:
        report: Only the new findings.
        known: Number of findings that were accepted.
        fixed: Entries of the baseline that no longer occur, one line each.
    """

    report: Report
    known: int
    fixed: tuple[str, ...]


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    rule: str
    section: str | None = None
    field: str | None = None
    ids: list[int | str] = []
    count: int = 0


class _File(msgspec.Struct, forbid_unknown_fields=True):
    toolkit_baseline: int
    profile: str
    findings: list[_Entry]


def baseline_text(report: Report) -> str:
    """The baseline that accepts every finding of a complete report, as a JSON document.

    The same findings give the same text, whatever the order of the file.
    """
    groups: dict[tuple[str, str | None, str | None], _Entry] = {}
    for key, number in _counted(report.findings).items():
        rule, section, field, record = key
        entry = groups.setdefault((rule, section, field), _Entry(rule, section, field, []))
        if record is None:
            entry.count += number
        else:
            entry.ids += [record] * number
    entries = []
    for _, entry in sorted(groups.items(), key=lambda g: [part or "" for part in g[0]]):
        entry.ids.sort(key=lambda i: (isinstance(i, str), i))
        entries.append({k: v for k, v in msgspec.to_builtins(entry).items() if v})
    document = {"toolkit_baseline": VERSION, "profile": report.profile, "findings": entries}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write_baseline(report: Report, path: Path, *, force: bool = False) -> None:
    """Write the baseline of a complete report, whole or not at all.

    Raises:
        OutputExistsError: The file exists and `force` was not given.
        WriteError: It cannot be written; what stood there before is intact.
    """
    write_text(path, baseline_text(report), force=force)


def read_baseline(path: Path, profile: str) -> Counter[Key]:
    """How often each finding is accepted.

    Raises:
        ReadError: The file cannot be read or is no baseline.
        UsageError: It was written under another profile, where severities differ.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise ReadError(f"{path}: cannot read the baseline: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ReadError(
            f"{path}: no baseline: {error}; write one with --write-baseline"
        ) from error
    if found.toolkit_baseline != VERSION:
        raise ReadError(
            f"{path}: baseline of version {found.toolkit_baseline}; this toolkit reads "
            f"version {VERSION}; write it again with --write-baseline"
        )
    if found.profile != profile:
        raise UsageError(
            f"{path}: the baseline is for profile '{found.profile}', not '{profile}'; pass "
            f"--profile {found.profile}, or write one for '{profile}' with --write-baseline"
        )
    known: Counter[Key] = Counter()
    for entry in found.findings:
        for record in entry.ids:
            known[entry.rule, entry.section, entry.field, record] += 1
        if entry.count:
            known[entry.rule, entry.section, entry.field, None] += entry.count
    return known


def compare(report: Report, known: Mapping[Key, int]) -> Compared:
    """Take the known findings out of a complete report.

    A fact that grew stays, with what it counts beyond the baseline.
    """
    collapsed = _collapsed(report.findings) | {
        rule for rule, *place in known if place == [None, None, None]
    }
    left = _folded(known, collapsed)
    had = Counter(left)
    accepted = 0
    new = []
    for finding in report.findings:
        key = _key(finding, collapsed)
        taken = min(left[key], finding.count)
        left[key] -= taken
        accepted += taken
        if taken == finding.count:
            continue
        if taken:
            more = finding.count - taken
            message = f"{more:,} more than the baseline's {had[key]:,}: {finding.message}"
            finding = replace(finding, message=message, count=more)
        new.append(finding)
    return Compared(replace(report, findings=tuple(new)), accepted, _fixed(left))


def capped(report: Report, limit: int) -> Report:
    """The first findings of each rule, then one with the number of the others."""
    listed: Counter[tuple[str, str]] = Counter()
    rest: dict[tuple[str, str], Finding] = {}
    kept = []
    for finding in report.findings:
        key = (finding.rule, finding.severity.value)
        listed[key] += 1
        if listed[key] <= limit:
            kept.append(finding)
        else:
            count = finding.count + (rest[key].count if key in rest else 0)
            message = f"{count:,} more of this kind"
            last = replace(finding, message=message, index=None, id=None, count=count)
            rest[key] = last
    return replace(report, findings=(*kept, *rest.values()))


def _fixed(left: Mapping[Key, int]) -> tuple[str, ...]:
    """What is left of a baseline, one line for each rule, section and field."""
    ids: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    counts: Counter[tuple[str, str, str]] = Counter()
    for (rule, section, field, record), number in left.items():
        if number > 0:
            counts[rule, section or "", field or ""] += number
            if record is not None:
                ids[rule, section or "", field or ""].append(str(record))
    lines = []
    for place in sorted(counts):
        rule, section, field = place
        where = (f" {section}" if section else "") + (f" field '{field}'" if field else "")
        shown = ", ".join(ids[place][:5]) + (", ..." if ids[place][5:] else "")
        lines.append(
            f"{rule}{where}: {counts[place]:,} fixed" + (f" (id {shown})" if shown else "")
        )
    return tuple(lines)


def _counted(findings: Iterable[Finding]) -> Counter[Key]:
    found = tuple(findings)
    collapsed = _collapsed(found)
    counts: Counter[Key] = Counter()
    for finding in found:
        counts[_key(finding, collapsed)] += finding.count
    return counts


def _folded(known: Mapping[Key, int], collapsed: frozenset[str]) -> Counter[Key]:
    """What is known, with one number for each of these rules."""
    folded: Counter[Key] = Counter()
    for key, number in known.items():
        folded[(key[0], None, None, None) if key[0] in collapsed else key] += number
    return folded


def _key(finding: Finding, collapsed: frozenset[str]) -> Key:
    if finding.rule in collapsed:
        return finding.rule, None, None, None
    record = finding.id
    if isinstance(record, str):  # half a surrogate pair has no bytes, and is written as \udXXX
        record = record.encode("utf-8", "backslashreplace").decode("utf-8")
    return finding.rule, finding.section, finding.field, record


def _collapsed(findings: Iterable[Finding]) -> frozenset[str]:
    """Rules of which some findings are listed and the rest is a number.

    Which ones are listed depends on the file's order, so only their number is known.
    """
    listed = {finding.rule for finding in findings if finding.index is not None}
    return frozenset(
        finding.rule for finding in findings if finding.rule in listed and finding.index is None
    )
