"""The crop curve: how much of each keypoint a top-down network never gets to see.

A top-down network is shown the human box, grown to the aspect ratio of its input and
multiplied with a padding. A heatmap has cells inside that crop only, so the share of a
keypoint outside it is what such a model cannot find, whatever it learns. The geometry is
the baselines' own: `expand_to_aspect`, pixel centres at whole numbers, so that a point is
inside where crop px lie in [-0.5, W - 0.5].

For every keypoint the *padding needed* is computed once: the smallest padding whose crop
holds it. All shares and quantiles follow from that.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations
from toolkit.errors import UsageError
from toolkit.geometry import expand_to_aspect
from toolkit.metrics.strata import group_members

Floats = NDArray[np.float64]
ASPECT = 0.75  # of the shipped models' input, 96 x 128 px
PADDINGS = (1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0)
MARKED = {1.1: "shipped models", 1.25: "usual for HRNet"}
HELD = (0.5, 0.9, 0.95, 0.99)
MAX_PADDING = 1000.0
_ROUNDING = 1e-12  # a point on the very edge is inside, whatever the division did


@dataclass(frozen=True)
class CropCurve:
    """What falls outside the network's input, as a function of padding.

    Attributes:
        aspect: Width over height of the input.
        paddings: The paddings that are reported, ascending.
        keypoints: For each keypoint, the padding that each labelled one needs, sorted.
        groups: The same for each group of keypoints.
        left_out: Labelled keypoints without a usable box: they are not in any number.
    """

    aspect: float
    paddings: tuple[float, ...]
    keypoints: Mapping[str, Floats]
    groups: Mapping[str, Floats]
    left_out: int

    def to_json(self) -> dict[str, object]:
        """Plain values; a share of nothing is None."""
        return {
            "aspect": self.aspect,
            "paddings": list(self.paddings),
            "marked": {f"{padding:g}": why for padding, why in MARKED.items()},
            "rule": "outside: crop px not in [-0.5, W - 0.5] x [-0.5, H - 0.5] of the human "
            "box grown to the aspect ratio, times the padding",
            "keypoints": {name: self._row(v) for name, v in self.keypoints.items()},
            "groups": {name: self._row(v) for name, v in self.groups.items()},
            "keypoints_without_box": self.left_out,
        }

    def to_csv(self) -> str:
        """One row a keypoint or group, one column a padding; nothing where there is none."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        held = [f"padding_for_{share:.0%}".rstrip("%") for share in HELD]
        shares = [f"outside_at_{padding:g}" for padding in self.paddings]
        writer.writerow(["kind", "name", "n", *shares, *held])
        for kind, rows in (("keypoint", self.keypoints), ("group", self.groups)):
            for name, needed in rows.items():
                values = [outside_share(needed, padding) for padding in self.paddings]
                values += [padding_to_hold(needed, share) for share in HELD]
                cells = ["" if value is None else f"{value:.6g}" for value in values]
                writer.writerow([kind, harmless(name), len(needed), *cells])
        return stream.getvalue()

    def _row(self, needed: Floats) -> dict[str, object]:
        return {
            "n": len(needed),
            "outside": [outside_share(needed, padding) for padding in self.paddings],
            "padding_to_hold": {f"{share:g}": padding_to_hold(needed, share) for share in HELD},
        }


def crop_curve(
    people: Annotations,
    *,
    paddings: tuple[float, ...] = PADDINGS,
    aspect: float = ASPECT,
) -> CropCurve:
    """Measure the crop curve of labelled instances.

    Args:
        people: N instances; their `bbox_xywh` is what would be cropped.
        paddings: Factors on the box, each above 0.
        aspect: Width over height of the network's input.

    Raises:
        UsageError: A padding or the aspect ratio is not a positive number.
    """
    for value in (*paddings, aspect):
        if not 0 < value <= MAX_PADDING:
            raise UsageError(
                f"padding or aspect {value:g}: expected a number above 0 and at most "
                f"{MAX_PADDING:g}"
            )
    usable = usable_boxes(people.bbox_xywh)
    needed = padding_needed(people.keypoints[usable], people.bbox_xywh[usable], aspect)
    kept = people.labelled[usable]
    sorted_by_keypoint = [
        np.sort(needed[kept[:, k], k]) for k in range(people.schema.num_keypoints)
    ]
    pooled: dict[tuple[int, ...], Floats] = {}
    groups = {}
    for name, members in group_members(people.schema).items():
        key = tuple(members.tolist())
        if key not in pooled:
            parts = [sorted_by_keypoint[k] for k in key]
            pooled[key] = np.sort(np.concatenate(parts)) if parts else np.zeros(0)
        groups[name] = pooled[key]
    return CropCurve(
        aspect=aspect,
        paddings=tuple(sorted(set(paddings))),
        keypoints=dict(zip(people.schema.names, sorted_by_keypoint, strict=True)),
        groups=groups,
        left_out=int(people.labelled[~usable].sum()),
    )


def padding_needed(points: Floats, bbox_xywh: Floats, aspect: float) -> Floats:
    """The smallest padding whose crop holds each point.

    Args:
        points: (N, K, 2) image px, NaN where not labelled.
        bbox_xywh: (N, 4) px, with an extent.
        aspect: Width over height of the crop.

    Returns:
        (N, K), NaN where not labelled.
    """
    crop = expand_to_aspect(bbox_xywh, aspect, 1.0)
    # Two columns: a reduction over an axis of two is many times slower.
    reach = [
        np.abs(points[:, :, axis] + 0.5 - (crop[:, axis] + crop[:, 2 + axis] / 2)[:, None])
        / (crop[:, 2 + axis] / 2)[:, None]
        for axis in (0, 1)
    ]
    return np.asarray(np.maximum(reach[0], reach[1]), np.float64)


def usable_boxes(bbox_xywh: Floats) -> NDArray[np.bool_]:
    """(N,) boxes that can be cropped: finite and with an extent."""
    finite = np.isfinite(bbox_xywh).all(axis=1)
    return np.asarray(finite & (bbox_xywh[:, 2] > 0) & (bbox_xywh[:, 3] > 0))


def outside_share(needed: Floats, padding: float) -> float | None:
    """Share of keypoints outside the crop; None where there are none.

    Args:
        needed: (n,) padding that each keypoint needs, sorted.
        padding: The crop's padding.
    """
    if not len(needed):
        return None
    held = int(np.searchsorted(needed, padding * (1 + _ROUNDING), side="right"))
    return 1 - held / len(needed)


def padding_to_hold(needed: Floats, share: float) -> float | None:
    """The smallest padding whose crop holds at least this share; None where there are none."""
    if not len(needed):
        return None
    return float(needed[max(0, math.ceil(share * len(needed) - 1e-9) - 1)])


def parse_aspect(text: str) -> float:
    """Width over height, from `3:4`, `96x128` or `0.75`.

    Raises:
        UsageError: It is none of these.
    """
    parts = text.lower().replace("x", ":").split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers.append(1.0)
    if len(numbers) != 2 or not all(0 < number < math.inf for number in numbers):
        raise UsageError(f"aspect '{text}': expected width and height, such as 3:4")
    return numbers[0] / numbers[1]


def harmless(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" and name else name
