"""Findings about data, and the report that collects them.

A finding names a stable rule code (kebab-case, named by the fault), says what is wrong in
one line, and points at the record: section of the file, index in it, id, field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from dataclasses import field as dataclass_field
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is; only errors make a data set invalid."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing, about one record.

    Attributes:
        rule: Stable code, for example `keypoints-length`.
        severity: Error, warning or info; a profile may change it.
        message: One line: what, got, wanted. It does not repeat the place.
        section: Top-level key of the file (`images`, `annotations`, ...), or None.
        index: 0-based index in that section, or None.
        id: The record's id as the file gives it, or None.
        field: The field, or None.
        count: How many records this finding stands for.
        unlisted: Of a finding that stands for many, the places that are not listed one by
            one: section, field, and the records' indices.
    """

    rule: str
    severity: Severity
    message: str
    section: str | None = None
    index: int | None = None
    id: int | str | None = None
    field: str | None = None
    count: int = 1
    unlisted: tuple[tuple[str, str | None, tuple[int, ...]], ...] = dataclass_field(
        default=(), repr=False
    )

    @property
    def place(self) -> str:
        """Where it is, as `annotations[17] id=1234 field 'keypoints'`."""
        parts = []
        if self.section is not None:
            at = "" if self.index is None else f"[{self.index}]"
            parts.append(f"{self.section}{at}")
        if self.id is not None:
            parts.append(f"id={self.id}")
        if self.field is not None:
            parts.append(f"field '{self.field}'")
        return " ".join(parts)

    def line(self, file: str) -> str:
        """The whole finding on one line, file first."""
        place = self.place
        where = f"{file}: {place}: " if place else f"{file}: "
        return where + self.message

    def places(self) -> Iterator[tuple[str, str | None, int]]:
        """Section, field and index of every record that it stands for and knows."""
        if self.section is not None and self.index is not None:
            yield self.section, self.field, self.index
        for section, field, indices in self.unlisted:
            for index in indices:
                yield section, field, index

    def to_json(self) -> dict[str, object]:
        """The finding as a JSON document."""
        document = asdict(replace(self, unlisted=())) | {"severity": self.severity.value}
        del document["unlisted"]
        return document

    def with_severity(self, severity: Severity) -> Finding:
        """The same finding at another severity."""
        return replace(self, severity=severity)


@dataclass(frozen=True)
class Report:
    """All findings about one file, under one profile.

    Attributes:
        file: Name of the file, as the user gave it.
        schema: Name of the schema, or None where none was found.
        profile: Name of the profile that set the severities.
        findings: Every finding, in file order within each rule.
    """

    file: str
    schema: str | None
    profile: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings and notes do not count."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    def counts(self) -> dict[str, int]:
        """How many records each severity concerns: `error`, `warning`, `info`."""
        totals = {severity.value: 0 for severity in Severity}
        for finding in self.findings:
            totals[finding.severity.value] += finding.count
        return totals

    def to_json(self) -> dict[str, object]:
        """The report as the command line's JSON document."""
        return {
            "file": self.file,
            "schema": self.schema,
            "profile": self.profile,
            "ok": self.ok,
            "counts": self.counts(),
            "findings": [finding.to_json() for finding in self.findings],
            "total": sum(f.count for f in self.findings),
        }
