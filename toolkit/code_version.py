"""Which code is running: the release, and the commit where there is a checkout."""

from __future__ import annotations

import re
from pathlib import Path

from toolkit import __version__

CHECKOUT = Path(__file__).resolve().parents[1]


def code_version(checkout: Path = CHECKOUT) -> str:
    """`0.1.0`, and of a checkout `0.1.0+g` with twelve digits of its commit.

    Local changes that were not committed do not show.
    """
    found = commit(checkout)
    return __version__ if found is None else f"{__version__}+g{found[:12]}"


def commit(checkout: Path = CHECKOUT) -> str | None:
    """The checkout's commit, read from its files; None outside a checkout."""
    git = checkout / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head or None
        name = head.removeprefix("ref: ")
        if (git / name).is_file():
            return (git / name).read_text(encoding="ascii").strip()
        packed = (git / "packed-refs").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(rf"^([0-9a-f]{{40}}) {re.escape(name)}$", packed, re.MULTILINE)
    return match[1] if match else None
