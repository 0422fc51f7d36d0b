"""Text from a file on a terminal: it must neither steer it nor be taken for markup.

Names, notes and messages are whatever a file says. `printable` is for lines that are
printed as they are, `plain` for what rich renders: tables and styled lines.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""The text with everything escaped that could steer a terminal or turn text round.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROL.sub(lambda m: m[0].encode("unicode_escape").decode("ascii"), text)


def printable_lines(text: str) -> str:
    """The same of a text that may have several lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


def plain(text: str) -> str:
    r"""The text as rich shows it letter by letter: `printable`, and no markup.

    >>> plain("[/b]")
    '\\[/b]'
    """
    from rich.markup import escape  # lazy: rich costs 0.1 s

    return escape(printable(text))
