"""Every rule by its code, whoever finds it: for `--explain`, and for the page in the docs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from toolkit.checks import CHECKS, reader_severities
from toolkit.checks.base import ERROR, PROFILES, Profile, Severities, everywhere
from toolkit.checks.files import IMAGE_MISSING, IMAGE_MISSING_SENTENCE
from toolkit.errors import UsageError
from toolkit.formats.rules import RULES


@dataclass(frozen=True)
class RulePage:
    """What there is to say about one rule.

    Attributes:
        code: Its stable code.
        sentence: What it says and why.
        severity: For each profile; None where the rule does not apply.
        found_by: `reading` or `checking`.
    """

    code: str
    sentence: str
    severity: Severities
    found_by: str

    def lines(self) -> list[str]:
        """The rule as lines of text."""
        shown = ", ".join(f"{name} {self.severity_name(name)}" for name in PROFILES)
        return [self.code, f"  {self.sentence}", f"  {shown}", f"  found by {self.found_by}"]

    def severity_name(self, profile: Profile) -> str:
        """The severity under a profile; a dash where the rule does not apply."""
        severity = self.severity[profile]
        return "-" if severity is None else severity.value

    def to_json(self) -> dict[str, object]:
        """The rule as a JSON document."""
        return {
            "rule": self.code,
            "sentence": self.sentence,
            "severity": {name: self.severity[name] for name in PROFILES},
            "found_by": self.found_by,
        }


def all_rules() -> tuple[RulePage, ...]:
    """The rules of reading, then those of checking, each in its table's order."""
    reading = [
        RulePage(rule.code, rule.summary, reader_severities(rule), "reading") for rule in RULES
    ]
    checking = [
        RulePage(check.code, check.sentence, check.severity, "checking") for check in CHECKS
    ]
    looking = RulePage(
        IMAGE_MISSING,
        f"{IMAGE_MISSING_SENTENCE} Looked at with `--images`.",
        everywhere(ERROR),
        "checking",
    )
    return (*reading, *checking, looking)


def explain(code: str) -> RulePage:
    """The rule with this code.

    Raises:
        UsageError: There is no such rule.
    """
    pages = {page.code: page for page in all_rules()}
    if code not in pages:
        close = difflib.get_close_matches(code, pages, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UsageError(f"no rule '{code}'{hint} docs/rules.md lists all {len(pages)}")
    return pages[code]


def rules_page() -> str:
    """All rules as a page of Markdown: `docs/rules.md`."""
    lines = [
        "# Rules",
        "",
        "Every fault that `toolkit validate` reports has one of these codes. Codes are stable:",
        "scripts may rely on them. Only an error makes a file invalid (exit code 1); a dash",
        "means that the rule does not apply under that profile. `toolkit validate --explain",
        "CODE` prints one of them.",
        "",
        "This page is made by `toolkit validate --explain all > docs/rules.md`; a test keeps",
        "it in step with the code.",
    ]
    for found_by in ("reading", "checking"):
        lines += ["", f"## Found by {found_by}", ""]
        lines += [f"| code | rule | {' | '.join(PROFILES)} |"]
        lines += ["|---|---|" + "---|" * len(PROFILES)]
        for page in all_rules():
            if page.found_by == found_by:
                severities = " | ".join(page.severity_name(name) for name in PROFILES)
                lines.append(f"| `{page.code}` | {page.sentence} | {severities} |")
    return "\n".join(lines) + "\n"
