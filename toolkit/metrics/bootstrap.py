"""Bootstrap over images or clips: how often each resample draws each image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Images
from toolkit.errors import UsageError

By = Literal["image", "clip"]
LEVEL = 0.95


def draw_weights(images: Images, resamples: int, by: By, seed: int) -> NDArray[np.int16]:
    """Draw images, or whole clips, with replacement.

    Args:
        images: I images.
        resamples: B.
        by: The unit that is drawn.
        seed: Same seed, same draws.

    Returns:
        (B, I) how often each resample holds each image.

    Raises:
        UsageError: Clips are asked for and an image names none, or B is negative.
    """
    if resamples < 0:
        raise UsageError(f"bootstrap: got {resamples} resamples; expected 0 or more")
    unit = _units(images, by)
    count = int(unit.max(initial=-1)) + 1
    drawn = np.zeros((resamples, count), dtype=np.int16)
    rng = np.random.default_rng(seed)
    for row in range(resamples if count else 0):
        drawn[row] = np.bincount(rng.integers(0, count, count), minlength=count)
    return drawn[:, unit]


def interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of resampled values; None where none is known."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _units(images: Images, by: By) -> NDArray[np.int64]:
    """(I,) number of the unit that each image belongs to."""
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
    _, unit = np.unique(np.array(images.clips, dtype=str), return_inverse=True)
    return np.asarray(unit, dtype=np.int64)
