"""A report as lines of text: by family, then by rule, first examples, totals.

Lines carry the style of their parts, so that a terminal can colour them; in a file or a
pipe each finding is one line, for `grep`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.checks.families import family_rank
from toolkit.checks.fix import EXAMPLES, Plan
from toolkit.checks.rulebook import all_rules
from toolkit.dataset import Dataset
from toolkit.errors import counted
from toolkit.printed import printable
from toolkit.report import Finding, Report

SEVERITIES = ("error", "warning", "info")
STYLES = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}


@dataclass(frozen=True)
class Line:
    """A line in pieces.

    Attributes:
        parts: Text and style of each piece; the style is empty for plain text.
        indent: Spaces before it, and before what a terminal wraps of it.
    """

    parts: tuple[tuple[str, str], ...]
    indent: int = 0

    @property
    def plain(self) -> str:
        """The line without styles."""
        return " " * self.indent + "".join(text for text, _ in self.parts)


def report_lines(report: Report, name: str, dataset: Dataset) -> Iterator[Line]:
    """The report, worst severity first within a family; the last line is the verdict.

    Families get headings where there are several.

    Args:
        report: What was found, capped as it is to be shown.
        name: How to call the file.
        dataset: For the totals.
    """
    families = {page.code: page.family for page in all_rules()}
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in report.findings:
        family = families.get(finding.rule, "")
        key = (family, finding.severity.value, finding.rule)
        groups.setdefault(key, []).append(finding)
    several = len({family for family, _, _ in groups}) > 1
    shown = ""
    for key in sorted(groups, key=lambda k: (family_rank(k[0]), SEVERITIES.index(k[1]))):
        family, severity, rule = key
        if several and family != shown:
            yield Line(((family, "bold underline"),))
            shown = family
        total = sum(finding.count for finding in groups[key])
        yield Line(((severity, STYLES[severity]), (f" {rule}", "bold"), (f" ({total:,})", "")))
        for finding in groups[key]:
            yield Line(((printable(finding.line(name)), ""),), indent=2)
    yield verdict(report, name, dataset)


def verdict(report: Report, name: str, dataset: Dataset) -> Line:
    """Whether the file is valid, and the totals."""
    counts = report.counts()
    word = ("valid", "bold green") if report.ok else ("not valid", "bold red")
    totals = (
        f" under profile '{report.profile}': {counted(counts['error'], 'error')}, "
        f"{counted(counts['warning'], 'warning')}, {counted(counts['info'], 'note')}; "
        f"{counted(len(dataset.images), 'image')}, "
        f"{counted(len(dataset.annotations), 'annotation')}, "
        f"schema '{report.schema}'"
    )
    return Line(((printable(name) + ": ", ""), word, (printable(totals), "")))


def remaining_lines(report: Report, name: str, dataset: Dataset) -> Iterator[Line]:
    """What is left in a repaired file: a line for each rule, then the verdict."""
    totals: dict[tuple[str, str], int] = {}
    for finding in report.findings:
        key = (finding.severity.value, finding.rule)
        totals[key] = totals.get(key, 0) + finding.count
    for (severity, rule), total in sorted(totals.items(), key=lambda t: _rank(t[0])):
        yield Line((("left ", ""), (severity, STYLES[severity]), (f" {rule} ({total:,})", "")))
    yield verdict(report, name, dataset)


def _rank(key: tuple[str, str]) -> int:
    return SEVERITIES.index(key[0])


def plan_lines(plan: Plan) -> Iterator[Line]:
    """What will be repaired, with the first changes, and what could be."""
    if not plan.steps:
        yield Line((("no safe repair to make", ""),))
    for step in plan.steps:
        yield Line(
            (
                ("repair", "bold green"),
                (f" {step.repair.rule}", "bold"),
                (f" ({step.records:,}): {step.repair.does}", ""),
            )
        )
        for change in step.changes[:EXAMPLES]:
            yield Line(((printable(change.line()), ""),), indent=2)
        if len(step.changes) > EXAMPLES:
            yield Line(((f"{len(step.changes) - EXAMPLES:,} more", ""),), indent=2)
    for offer in plan.offered:
        yield Line(
            (
                ("offer", "bold yellow"),
                (f" {offer.repair.rule}", "bold"),
                (f" ({offer.records:,}): {offer.repair.does}", ""),
            )
        )
        told = "not done: scores or other tools depend on it; name it with"
        yield Line(((f"{told} --fix-rule {offer.repair.rule}", ""),), indent=2)
