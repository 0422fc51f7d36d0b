"""Text from files on a terminal."""

from __future__ import annotations

import pytest

from toolkit.printed import plain, printable, printable_lines


def test_control_characters_are_escaped_and_letters_stay() -> None:
    assert printable("é Ω \x1b[2J\x07\n\u202e") == "é Ω \\x1b[2J\\x07\\n\\u202e"


def test_lines_stay_lines() -> None:
    assert printable_lines("a\x07\nb") == "a\\x07\nb"


@pytest.mark.parametrize("text", ["[/b]", "[b]x[].json", "[bold red]x", "a\\[b]"])
def test_rich_shows_a_text_letter_by_letter(text: str) -> None:
    from rich.text import Text

    assert Text.from_markup(plain(text)).plain == text
