"""Bootstrap over images or clips: how often each resample draws each image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Images
from toolkit.errors import UsageError
from toolkit.images import one_text

By = Literal["image", "clip"]
LEVEL = 0.95
FEW = 10  # resampling fewer images or clips says little about the next one


def draw_weights(images: Images, resamples: int, by: By, seed: int) -> NDArray[np.int16]:
    """Draw images, or whole clips, with replacement.

    Args:
        images: I images.
        resamples: B.
        by: The unit that is drawn.
        seed: Same seed, same draws.

    Returns:
        (B, I) how often each resample holds each image; B is 0 where there is one unit only,
        which every resample would repeat: such an interval has no width and means nothing.

    Raises:
        UsageError: Clips are asked for and an image names none, or B is negative.
    """
    if resamples < 0:
        raise UsageError(f"bootstrap: got {resamples} resamples; expected 0 or more")
    unit = units(images, by)
    count = int(unit.max(initial=-1)) + 1
    drawn = np.zeros((0 if count == 1 else resamples, count), dtype=np.int16)
    rng = np.random.default_rng(seed)
    for row in range(len(drawn) if count else 0):
        drawn[row] = np.bincount(rng.integers(0, count, count), minlength=count)
    return drawn[:, unit]


def settings_of_draws(
    images: Images, resamples: int, by: By, seed: int
) -> dict[str, int | str | float]:
    """What was drawn and how often, for the rules of a result."""
    return {
        "resamples": resamples,
        "by": by,
        "units": len(np.unique(units(images, by))),
        "seed": seed,
        "level": LEVEL,
        "interval": "percentile",
    }


def note_on_few(images: Images, by: By) -> str | None:
    """What a reader must know where hardly anything can be drawn; None where enough can."""
    count = len(np.unique(units(images, by)))
    if count >= FEW:
        return None
    if count < 2:
        return (
            f"there is one {by} only, and nothing to resample: intervals and p-values are null"
        )
    return (
        f"the bootstrap draws from {count} {by}s only: with fewer than {FEW} its intervals are "
        "too narrow, and its p-values too small"
    )


def interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of resampled values; None where none is known.

    Infinite values (a median over people who were not found) are values like others: a bound
    that falls between a finite one and infinity is infinite above, and finite below.
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    ends = 50 * (1 - level), 50 * (1 + level)
    if np.isinf(known).any():  # between two of them numpy's interpolation is NaN
        lowest = float(np.percentile(known, ends[0], method="lower"))
        return lowest, float(np.percentile(known, ends[1], method="higher"))
    low, high = np.percentile(known, ends)
    return float(low), float(high)


def clip_or_image(images: Images, least: int) -> By:
    """Clips as units where every image names one and there are so many; else images."""
    return "clip" if all(images.clips) and len(set(units(images, "clip"))) >= least else "image"


def units(images: Images, by: By) -> NDArray[np.int64]:
    """(I,) number of the unit that each image belongs to; a clip in two spellings is one.

    Raises:
        UsageError: Clips are asked for and an image names none.
    """
    if by == "image":
        return np.arange(len(images))
    if by != "clip":
        raise UsageError(f"bootstrap by '{by}' is unknown; known: image, clip")
    missing = [
        name for name, clip in zip(images.file_names, images.clips, strict=True) if not clip
    ]
    if missing:
        raise UsageError(
            f"bootstrap by clip: {len(missing)} of {len(images)} images have no 'clip', the "
            f"first '{missing[0]}'; use --by image, or write 'clip' on every image record"
        )
    clips = [one_text(clip) for clip in images.clips if clip]
    _, unit = np.unique(np.array(clips, dtype=str), return_inverse=True)
    return np.asarray(unit, dtype=np.int64)
