"""Every rule by its code, whoever finds it: for `--explain`, and for the page in the docs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from toolkit.checks import CHECKS, reader_severities
from toolkit.checks.base import FAMILIES, PROFILES, Profile, Severities
from toolkit.checks.families import reader_family
from toolkit.checks.files import IMAGE_RULES
from toolkit.errors import UsageError
from toolkit.formats.rules import RULES

READING, CHECKING, LOOKING = "reading", "checking", "looking at images"


@dataclass(frozen=True)
class RulePage:
    """What there is to say about one rule.

    Attributes:
        code: Its stable code.
        sentence: What it says and why.
        severity: For each profile; None where the rule does not apply.
        found_by: `reading`, `checking` or `looking at images`.
        family: What it is about, one of `FAMILIES`.
        repair: How to put it right, or nothing.
    """

    code: str
    sentence: str
    severity: Severities
    found_by: str
    family: str
    repair: str = ""

    def lines(self) -> list[str]:
        """The rule as lines of text."""
        shown = ", ".join(f"{name} {self.severity_name(name)}" for name in PROFILES)
        repair = [f"  Repair: {self.repair}"] if self.repair else []
        told = f"  {self.family}; found by {self.found_by}"
        return [self.code, f"  {self.sentence}", *repair, f"  {shown}", told]

    def severity_name(self, profile: Profile) -> str:
        """The severity under a profile; a dash where the rule does not apply."""
        severity = self.severity[profile]
        return "-" if severity is None else severity.value

    def to_json(self) -> dict[str, object]:
        """The rule as a JSON document."""
        return {
            "rule": self.code,
            "family": self.family,
            "sentence": self.sentence,
            "repair": self.repair,
            "severity": {name: self.severity[name] for name in PROFILES},
            "found_by": self.found_by,
        }


def all_rules() -> tuple[RulePage, ...]:
    """The rules of reading, of checking, of looking at images, each in its table's order."""
    reading = [
        RulePage(r.code, r.summary, reader_severities(r), READING, reader_family(r.code))
        for r in RULES
    ]
    checking = [
        RulePage(c.code, c.sentence, c.severity, CHECKING, c.family, c.repair) for c in CHECKS
    ]
    looking = [
        RulePage(r.code, r.sentence, r.severity, LOOKING, r.family, r.repair)
        for r in IMAGE_RULES
    ]
    return (*reading, *checking, *looking)


def explain(code: str) -> RulePage:
    """The rule with this code.

    Raises:
        UsageError: There is no such rule.
    """
    pages = {page.code: page for page in all_rules()}
    if code not in pages:
        close = difflib.get_close_matches(code, pages, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UsageError(f"no rule '{code}'{hint or ';'} docs/rules.md lists all {len(pages)}")
    return pages[code]


def rules_page() -> str:
    """All rules as a page of Markdown: `docs/rules.md`."""
    pages = all_rules()
    lines = [
        "# Rules",
        "",
        f"Every fault that `toolkit validate` reports has one of these {len(pages)} codes.",
        "Codes are stable: scripts may rely on them. Only an error makes a file invalid (exit",
        "code 1); a dash means that the rule does not apply under that profile. `toolkit",
        "validate --explain CODE` prints one of them. Rules are found by reading the file, by",
        "checking what was read, or by looking at the images (`--images DIR`).",
        "",
        "Warnings about geometry are suspicions: each says what it saw, and a person decides.",
        "Their limits leave sound data alone; the modules of `toolkit/checks` state each limit",
        "and what it was measured on.",
        "",
        "This page is made by `toolkit validate --explain all > docs/rules.md`; a test keeps",
        "it in step with the code.",
    ]
    for family in FAMILIES:
        listed = [page for page in pages if page.family == family]
        if not listed:
            continue
        lines += ["", f"## {family.capitalize()}", ""]
        lines += [f"| code | rule | {' | '.join(PROFILES)} | found by |"]
        lines += ["|---|---|" + "---|" * (len(PROFILES) + 1)]
        for page in listed:
            told = f"{page.sentence} Repair: {page.repair}" if page.repair else page.sentence
            severities = " | ".join(page.severity_name(name) for name in PROFILES)
            lines.append(f"| `{page.code}` | {told} | {severities} | {page.found_by} |")
    return "\n".join(lines) + "\n"
