"""Augmentation: what chance does to a training crop, and to its keypoints in the same way.

All that is random about a step is drawn at once, from the step's own generator, for the whole
batch (`draw_chances`). A process of several then warps the crops of its own share, so that
the number of processes changes nothing.

Scale, rotation, shift and mirroring are one affine map from the cached crop to the network's
input. A shift moves the crop over the frame: other keypoints then lie outside it. Half body
zooms in on one half of the body, so that the other half lies outside.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from baselines.config import TrainConfig
from baselines.crops import TrainingCrops, normalised
from toolkit.geometry import apply_affine
from toolkit.schema import Schema

Floats = NDArray[np.float64]
Halves = tuple[NDArray[np.int64], NDArray[np.int64]]
HALF_PADDING = 1.5  # round the keypoints of a half, as in HRNet's published training
HALF_KEYPOINTS = 3  # a half with fewer labelled keypoints is no crop
MAX_ZOOM = 2.5  # the cache holds no more detail than the input: beyond this all is blur
TONES = 5
_STRAIGHT = np.linspace(0, 255, TONES)  # the curve that changes nothing
_LOWER = frozenset(
    {"hip", "pelvis", "thigh", "leg", "knee", "shin", "calf", "ankle", "foot", "toe", "heel"}
)


@dataclass(frozen=True)
class Chances:
    """What was drawn for each of B crops.

    Attributes:
        flips: (B,) bool, mirrored.
        scale: (B,) factor.
        angle: (B,) rad.
        shift: (B, 2) share of the input's width and height.
        gain: (B, 1, 1, 3) factor of each channel.
        offset: (B, 1, 1, 3) added to each channel, in grey levels.
        half: (B,) 0 for the whole person, else which half is tried first.
        curve: (B, 3, TONES) what `TONES` evenly spaced grey levels of each channel become.
    """

    flips: NDArray[np.bool_]
    scale: Floats
    angle: Floats
    shift: Floats
    gain: Floats
    offset: Floats
    half: NDArray[np.int64]
    curve: Floats

    def __getitem__(self, rows: slice) -> Chances:
        """Those of some crops."""
        return Chances(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})


def draw_chances(count: int, config: TrainConfig, rng: np.random.Generator) -> Chances:
    """Everything that is random about a batch, drawn in an order that is never changed.

    Args:
        count: Crops in the whole batch.
        config: Strengths.
        rng: The only source of chance.
    """
    flips = rng.random(count) < config.flip
    scale = 1 + config.scale * rng.uniform(-1, 1, count)
    angle = np.deg2rad(config.rotation) * rng.uniform(-1, 1, count)
    shift = config.shift * rng.uniform(-1, 1, (count, 2))
    gain = 1 + config.color * rng.uniform(-1, 1, (count, 1, 1, 3))
    offset = 64 * config.color * rng.uniform(-1, 1, (count, 1, 1, 3))
    half: NDArray[np.int64] = np.zeros(count, np.int64)
    if config.half_body:
        chosen = rng.random(count) < config.half_body
        half = rng.integers(1, 3, count) * chosen
    curve = np.tile(_STRAIGHT, (count, 3, 1))
    if config.curve:
        bent = rng.random((count, 3, 1)) < config.curve
        curve = np.where(bent, rng.uniform(0, 255, curve.shape), curve)
    return Chances(flips, scale, angle, shift, gain, offset, half, curve)


def crop_affines(
    crops: TrainingCrops, rows: NDArray[np.int64], chances: Chances, halves: Halves
) -> Floats:
    """(B, 2, 3) maps from cached px to input px; a mirrored crop has a negative x axis.

    Args:
        crops: The cache.
        rows: (B,) which instances.
        chances: Of these B crops.
        halves: Of the schema, see `body_halves`.
    """
    size = np.array(crops.input_wh, dtype=np.float64)
    cached = np.array(crops.pixels.shape[2:0:-1], dtype=np.float64)
    source = np.tile((cached - 1) / 2, (len(rows), 1))
    zoom = np.ones(len(rows))
    for place in np.flatnonzero(chances.half):
        points, labelled = crops.points[rows[place]], crops.labelled[rows[place]]
        found = _half_region(points, labelled, halves, int(chances.half[place]), size)
        if found is not None:
            source[place], zoom[place] = found
    scale = chances.scale * zoom
    cos, sin = np.cos(chances.angle) * scale, np.sin(chances.angle) * scale
    linear = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    linear[:, 0] *= np.where(chances.flips, -1.0, 1.0)[:, None]
    target = (size - 1) / 2 + chances.shift * size
    offset = target - np.einsum("nij,nj->ni", linear, source)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def augmented_images(
    crops: TrainingCrops, rows: NDArray[np.int64], affines: Floats, chances: Chances
) -> NDArray[np.float32]:
    """Warped, toned and tinted network inputs (B, H, W, 3), normalised."""
    width, height = crops.input_wh
    images = np.empty((len(rows), height, width, 3), dtype=np.uint8)
    for place, row in enumerate(rows):
        images[place] = cv2.warpAffine(crops.pixels[row], affines[place], (width, height))
        if (chances.curve[place] != _STRAIGHT).any():
            images[place] = cv2.LUT(images[place], _tones(chances.curve[place]))
    gain, offset = chances.gain.astype(np.float32), chances.offset.astype(np.float32)
    return normalised(images * gain + offset)


def _tones(curve: Floats) -> NDArray[np.uint8]:
    """(1, 256, 3) what each grey level of each channel becomes."""
    table = [np.interp(np.arange(256), _STRAIGHT, channel) for channel in curve]
    return np.stack(table, axis=1).round().astype(np.uint8)[None]


def augmented_points(
    crops: TrainingCrops,
    rows: NDArray[np.int64],
    affines: Floats,
    flips: NDArray[np.bool_],
    flip_index: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Keypoints (B, K, 2) in input px, unclamped and also outside, and labelled (B, K)."""
    points = apply_affine(affines, crops.points[rows])
    labelled = crops.labelled[rows]
    points[flips] = points[flips][:, flip_index]
    labelled = np.where(flips[:, None], labelled[:, flip_index], labelled)
    return points.astype(np.float32), labelled


def augmented_batch(
    crops: TrainingCrops,
    rows: NDArray[np.int64],
    schema: Schema,
    config: TrainConfig,
    rng: np.random.Generator,
    share: slice = slice(None),
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Randomly scaled, turned, shifted, mirrored, halved and tinted network inputs.

    Args:
        crops: The cache.
        rows: (B,) which instances, of the whole batch.
        schema: K keypoints, their mirror partners and their halves.
        config: Strengths.
        rng: The only source of chance.
        share: Which of the B crops this process warps.

    Returns:
        Images of the share (b, H, W, 3) normalised; points (B, K, 2) in crop px (unclamped,
        also outside) and labelled (B, K) of the whole batch.
    """
    chances = draw_chances(len(rows), config, rng)
    affines = crop_affines(crops, rows, chances, body_halves(schema))
    points, labelled = augmented_points(crops, rows, affines, chances.flips, schema.flip_index)
    images = augmented_images(crops, rows[share], affines[share], chances[share])
    return images, points, labelled


def body_halves(schema: Schema) -> Halves:
    """The body's keypoints in two halves; extension keypoints belong to neither.

    Upper and lower by the words of their names (hips and below are lower). Where a schema's
    names do not tell, as a dog's or a hand's, the skeleton does: each keypoint goes with the
    nearer of the two that lie furthest apart along its edges.

    Returns:
        Indices of the first (upper) and of the second half.
    """
    body = np.flatnonzero(~schema.is_extension)
    lower = [bool(_LOWER & set(schema.names[k].lower().split("_"))) for k in body]
    second = np.array(lower, dtype=bool)
    if second.all() or not second.any():
        second = _far_side(schema, body)
    return body[~second], body[second]


def _far_side(schema: Schema, body: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which body keypoints are nearer to the second of the two that lie furthest apart."""
    count = schema.num_keypoints
    steps = np.full((count, count), float(count))
    np.fill_diagonal(steps, 0)
    for a, b in schema.edge_index.tolist():
        steps[a, b] = steps[b, a] = 1
    for k in range(count):  # Floyd and Warshall; K is small
        steps = np.minimum(steps, steps[:, k, None] + steps[None, k])
    apart = steps[np.ix_(body, body)]
    first, second = np.unravel_index(int(apart.argmax()), apart.shape)
    return np.asarray(apart[second] < apart[first])


def _half_region(
    points: Floats, labelled: NDArray[np.bool_], halves: Halves, half: int, size_wh: Floats
) -> tuple[Floats, float] | None:
    """Centre (cached px) and zoom of a crop on one half; None where neither has keypoints.

    Args:
        points: (K, 2) cached px.
        labelled: (K,).
        halves: Of the schema.
        half: 1 or 2, tried first.
        size_wh: Of the network's input, px.
    """
    for which in (half - 1, 2 - half):
        rows = halves[which][labelled[halves[which]]]
        if len(rows) >= HALF_KEYPOINTS:
            low, high = points[rows].min(axis=0), points[rows].max(axis=0)
            fits = size_wh / np.maximum(HALF_PADDING * (high - low), 1)
            return (low + high) / 2, float(np.clip(fits.min(), 1, MAX_ZOOM))
    return None
