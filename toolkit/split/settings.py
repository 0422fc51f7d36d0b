"""How to split: names and shares of the splits, and what must stay together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.errors import UsageError
from toolkit.split.manifest import NAME

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class SplitSettings:
    """How to split.

    Attributes:
        fractions: Share of each split by name; they add up to 1.
        seed: Another seed, another split.
        group: A field of the images, `file_name:REGEX`, `image`, or None for `clip`.
        ungrouped_own: Make images without a group their own group.
        by_frame: Allow a grouping that tears clips apart.
        allow_moves: Assign all groups anew, whatever the former version says.
    """

    fractions: Mapping[str, float]
    seed: int = 0
    group: str | None = None
    ungrouped_own: bool = False
    by_frame: bool = False
    allow_moves: bool = False

    def __post_init__(self) -> None:
        """Check names and sum.

        Raises:
            UsageError: A name is not usable, a share is negative, or they do not add up.
        """
        folded = [name.casefold() for name in self.fractions]
        for name, share in self.fractions.items():
            if not _NAME.fullmatch(name) or f"{name.casefold()}.json" == NAME:
                raise UsageError(
                    f"option 'fractions': '{name}' cannot name a split; wanted letters, "
                    "digits, '-' and '_', and not 'manifest'"
                )
            if folded.count(name.casefold()) > 1:
                raise UsageError(
                    f"option 'fractions': '{name}' and another name differ in case only; on "
                    "many disks their files would be one"
                )
            if not 0 <= share <= 1:
                raise UsageError(
                    f"option 'fractions': {name}={share:g}; wanted a share from 0 to 1"
                )
        total = sum(self.fractions.values())
        if abs(total - 1) > 1e-6:
            raise UsageError(f"option 'fractions': they add up to {total:g}; wanted 1")
