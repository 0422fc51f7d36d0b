"""Splitting a data set so that nobody can fault it, and finding what leaks.

`make_split` groups, balances and freezes; `verify_split` checks the files against the
manifest and looks for anything that stands on two sides.
"""

from __future__ import annotations

from toolkit.split.freeze import Split, make_split
from toolkit.split.leaks import KINDS, Leak, Side, find_leaks
from toolkit.split.manifest import Manifest, read_manifest
from toolkit.split.previous import Previous
from toolkit.split.settings import SplitSettings
from toolkit.split.verify import Other, Verdict, verify_split

__all__ = [
    "KINDS",
    "Leak",
    "Manifest",
    "Other",
    "Previous",
    "Side",
    "Split",
    "SplitSettings",
    "Verdict",
    "find_leaks",
    "make_split",
    "read_manifest",
    "verify_split",
]
