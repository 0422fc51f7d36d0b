"""What the practice-data generator can be asked for, and its version number."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from toolkit.errors import UsageError

#: Raised whenever a pixel or a label changes. Checkpoints and data files name it.
GENERATOR_VERSION = "1.0"

Occlusion = Literal["low", "normal", "high"]
OCCLUSIONS: tuple[Occlusion, ...] = ("low", "normal", "high")


def parse_occlusion(text: str) -> Occlusion:
    """Returns the level that `text` names.

    Raises:
        UsageError: There is none of that name.
    """
    for level in OCCLUSIONS:
        if text == level:
            return level
    raise UsageError(f"option 'occlusion': got '{text}', wanted one of {', '.join(OCCLUSIONS)}")


@dataclass(frozen=True)
class SynthOptions:
    """Knobs of a practice data set.

    Attributes:
        players: Smallest and largest number of people placed in a clip; None takes the
            scene's own range (sports 3 to 6, crowds 4 to 11).
        occlusion: How readily people are placed in front of one another.
        blur: Factor on the length of motion blur; 0 switches it off.
        box_padding: Margin added on each side of the human-only box, as a share of
            the box's longer side.
    """

    players: tuple[int, int] | None = None
    occlusion: Occlusion = "normal"
    blur: float = 1.0
    box_padding: float = 0.02

    def __post_init__(self) -> None:
        """Refuses values that no scene can be built from."""
        if self.players is not None:
            low, high = self.players
            if not 1 <= low <= high <= 20:
                raise UsageError(
                    f"option 'players': got '{low}-{high}', wanted MIN-MAX with "
                    "1 <= MIN <= MAX <= 20; for example 3-6"
                )
        parse_occlusion(self.occlusion)
        if not 0 <= self.blur <= 4:
            raise UsageError(f"option 'blur': got {self.blur}, wanted a number from 0 to 4")
        if not 0 <= self.box_padding <= 1:
            raise UsageError(
                f"option 'box_padding': got {self.box_padding}, wanted a share of the "
                "box from 0 to 1"
            )

    def to_json(self) -> dict[str, object]:
        """Returns the options as a JSON object."""
        return asdict(self)
