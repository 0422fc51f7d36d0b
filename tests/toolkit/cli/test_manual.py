"""docs/cli.md says what the commands themselves say, and every command has an example."""

from __future__ import annotations

from pathlib import Path

from toolkit.cli import COMMANDS
from toolkit.cli.manual import manual_page


def test_the_page_in_the_docs_is_in_step_with_the_commands(root: Path) -> None:
    """Where this fails: python -m toolkit.cli.manual > docs/cli.md."""
    assert (root / "docs" / "cli.md").read_text(encoding="utf-8") == manual_page()


def test_every_command_has_a_section_and_an_example() -> None:
    sections = manual_page().split("\n## ")[1:]

    names = {section.split()[1] for section in sections}
    assert names == set(COMMANDS)
    without = [s.splitlines()[0] for s in sections if "Example: toolkit " not in s]
    assert without == []
