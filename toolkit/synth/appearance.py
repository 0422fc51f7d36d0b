"""Clothes and solids: a figure becomes capsules and ellipsoids with material numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from toolkit.synth.figure import Build, Figure
from toolkit.synth.raster import F32, U8, Capsule, Ellipsoid, Painter, Part

F64 = NDArray[np.float64]
# Palette rows.
SKIN, SHIRT, TRIM, TROUSERS, SOCK, SOCK_TRIM, GLOVE, HELMET, SHOE = range(1, 10)
SHAFT, TAPE, STEEL, NUMBER, DARK, HAIR, GLOVE_CUFF, BLADE = range(10, 18)
COLOURS = 18


@dataclass(frozen=True)
class Look:
    """What a person wears.

    Attributes:
        palette: (COLOURS, 3) float BGR, 0 to 255; row 0 is unused.
        kind: `hockey`, `lacrosse` or `crowd`.
        number: (16, 16) bool bitmap for the back.
        style: A number in [0, 1) that decides details.
    """

    palette: F32
    kind: str
    number: NDArray[np.bool_]
    style: float


def _colour(rng: np.random.Generator, saturation: float, low: float, high: float) -> F64:
    hue = rng.uniform(0, 6)
    value = rng.uniform(low, high)
    grey = rng.uniform(0, saturation)
    ramps = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return np.asarray(255 * value * (1 - grey * (1 - ramps)))


SKINS = np.array(
    [[170, 190, 230], [140, 170, 215], [110, 140, 190], [70, 100, 150], [45, 60, 95]], float
)


def team_palette(rng: np.random.Generator, kind: str) -> F32:
    """Draws the colours that one team (or one passer-by) shares."""
    p = np.zeros((COLOURS, 3))
    pale = rng.random() < 0.4
    p[SHIRT] = _colour(rng, 0.12, 0.75, 0.95) if pale else _colour(rng, 0.95, 0.2, 0.8)
    p[TRIM] = _colour(rng, 0.95, 0.15, 0.75) if pale else _colour(rng, 0.3, 0.7, 0.95)
    p[NUMBER] = p[TRIM]
    p[TROUSERS] = _colour(rng, 0.7, 0.08, 0.45)
    p[SOCK], p[SOCK_TRIM] = p[SHIRT] * rng.uniform(0.85, 1.05), p[TRIM]
    p[GLOVE] = p[TROUSERS] * 0.9 if rng.random() < 0.6 else p[TRIM] * 0.8
    p[GLOVE_CUFF] = p[SHIRT] * 0.7 + 20
    p[HELMET] = p[TRIM] if rng.random() < 0.4 else p[SHIRT] * 0.9
    if rng.random() < 0.35:
        p[HELMET] = rng.choice([25.0, 235.0])
    p[SHOE] = 30 if kind == "hockey" else rng.uniform(20, 235)
    if kind == "lacrosse":
        p[TROUSERS] = _colour(rng, 0.8, 0.15, 0.9)
        p[SOCK] = rng.choice([230.0, 40.0])
        p[SOCK_TRIM] = p[SOCK]
    if kind == "crowd":
        p[SHIRT] = _colour(rng, 0.85, 0.12, 0.95)
        p[TRIM] = p[SHIRT] * 0.8 if rng.random() < 0.6 else _colour(rng, 0.8, 0.2, 0.9)
        p[TROUSERS] = _colour(rng, 0.6, 0.08, 0.6)
        p[SOCK] = p[SOCK_TRIM] = p[TROUSERS]
        p[NUMBER] = p[SHIRT]
    return np.clip(p, 0, 255).astype(np.float32)


def sample_look(rng: np.random.Generator, kind: str, team: F32) -> Look:
    """Draws one person's look from their team's colours."""
    import cv2  # lazy: OpenCV costs 0.1 s

    p = team.copy()
    p[SKIN] = SKINS[rng.integers(len(SKINS))] * rng.uniform(0.9, 1.08)
    wood = rng.choice(3, p=[0.55, 0.25, 0.2])
    shaft = (rng.uniform(15, 60), [90, 150, 195], rng.uniform(150, 235))[wood]
    p[SHAFT] = shaft
    p[TAPE] = rng.choice([235.0, 25.0])
    p[BLADE] = 28 if rng.random() < 0.7 else 215
    if kind == "lacrosse":
        p[SHAFT] = rng.choice([25.0, 190.0, 225.0])
        p[BLADE] = rng.choice([235.0, 40.0])
    p[STEEL], p[DARK] = 190, 35
    p[HAIR] = np.array([[20, 22, 28], [30, 50, 80], [80, 140, 190], [120, 120, 125]])[
        rng.integers(4)
    ]
    canvas = np.zeros((16, 16), np.uint8)
    cv2.putText(
        canvas, str(int(rng.integers(1, 99))), (0, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 255, 2
    )
    number = canvas > 0
    return Look(np.clip(p, 0, 255).astype(np.float32), kind, number, float(rng.random()))


def _shirt_painter(look: Look) -> Painter:
    def paint(front: F32, left: F32, up: F32) -> U8:
        material = np.full(front.shape, SHIRT, np.uint8)
        if look.kind == "crowd":
            if look.style < 0.3:  # a striped shirt
                material[np.sin(up * 14) > 0.3] = TRIM
            elif look.style < 0.5:  # an open jacket
                material[(front > 0) & (np.abs(left) < 0.25)] = TRIM
            return material
        band = np.abs(up + 0.72) < (0.10 if look.style < 0.7 else 0.0)
        material[band] = TRIM
        col = np.clip(((left * np.sign(front) * 0.9 + 0.6) / 1.2 * 16), 0, 15).astype(np.intp)
        row = np.clip(((0.45 - up) / 0.95 * 16), 0, 15).astype(np.intp)
        near = (np.abs(left) < 0.6) & (up < 0.45) & (up > -0.5)
        material[near & look.number[row, col]] = NUMBER
        return material

    return paint


def _helmet_painter(look: Look) -> Painter:
    def paint(front: F32, left: F32, up: F32) -> U8:
        material = np.full(front.shape, HELMET, np.uint8)
        face = (front > 0.28) & (up < 0.12)
        if look.kind == "lacrosse":
            bars = (np.sin(left * 11) > 0.55) | (np.sin(up * 13) > 0.6)
            material[face] = np.where(bars[face], HELMET, DARK)
            material[face & ~bars] = 0
            return material
        material[face] = 0
        if look.style < 0.7:
            material[(front > 0.28) & (np.abs(up - 0.02) < 0.12)] = DARK
        material[(np.abs(left) < 0.12) & (up > 0.3) & (look.style > 0.6)] = TRIM
        material[(up < -0.55) & (front < 0.28)] = 0
        return material

    return paint


def _hair_painter(look: Look) -> Painter:
    line = -0.35 if look.style < 0.6 else -0.9

    def paint(front: F32, left: F32, up: F32) -> U8:
        material = np.full(front.shape, HAIR, np.uint8)
        material[(front > 0.15) & (up < 0.42)] = 0
        material[up < line] = 0
        return material

    return paint


def _face_painter(front: F32, left: F32, up: F32) -> U8:
    material = np.full(front.shape, SKIN, np.uint8)
    eye = (front > 0.4) & (np.abs(up - 0.1) < 0.1) & (np.abs(np.abs(left) - 0.38) < 0.18)
    material[eye] = DARK
    mouth = (front > 0.4) & (np.abs(up + 0.55) < 0.07) & (np.abs(left) < 0.3)
    material[mouth] = DARK
    return material


def build_parts(figure: Figure, build: Build, look: Look) -> list[Part]:
    """Returns the solids of a person and, last, of their stick."""
    parts = [*_trunk(figure, build, look), *_head(figure, build, look)]
    for name in ("left", "right"):
        parts += _limbs(figure, build, look, name)
    if "butt_end" in figure.joints:
        parts += _stick(figure, look)
    return parts


def head_parts(figure: Figure, build: Build, look: Look) -> list[Ellipsoid]:
    """Returns the solids that the head box is drawn round: skull and helmet or hair."""
    return [part for part in _head(figure, build, look) if isinstance(part, Ellipsoid)]


def _trunk(figure: Figure, build: Build, look: Look) -> list[Part]:
    j, size = figure.joints, build.height / 1.8
    pads = {"hockey": 1.16, "lacrosse": 1.04, "crowd": 0.9}[look.kind] * build.bulk * size
    wide = size * build.breadth
    front, left, spine = figure.torso
    hips = figure.pelvis
    chest = np.stack([front * 0.150 * pads, left * 0.200 * wide * pads, spine * 0.27 * size])
    belly = np.stack([front * 0.135 * pads, left * 0.165 * wide * pads, spine * 0.20 * size])
    seat = np.stack(
        [hips[0] * 0.135 * pads, hips[1] * 0.185 * wide * pads, hips[2] * 0.155 * size]
    )
    middle = 0.55 * j["pelvis"] + 0.45 * j["neck"]
    parts: list[Part] = [
        Ellipsoid(j["pelvis"], seat, TROUSERS),
        Ellipsoid(middle, belly, SHIRT),
        Ellipsoid(j["chest"], chest, SHIRT, _shirt_painter(look)),
        Capsule(j["neck"] - spine * 0.06, j["skull"], 0.062 * size, 0.055 * size, SKIN),
    ]
    for name in ("left", "right"):
        inner = j["neck"] - spine * 0.06 * size
        parts.append(Capsule(inner, j[f"{name}_shoulder"], 0.085 * pads, 0.082 * pads, SHIRT))
    return parts


def _head(figure: Figure, build: Build, look: Look) -> list[Part]:
    size = build.height / 1.8
    gaze, side, top = figure.head
    centre = figure.joints["skull"]
    skull = np.stack([gaze * 0.100, side * 0.078, top * 0.122]) * size
    parts: list[Part] = [Ellipsoid(centre, skull, SKIN, _face_painter)]
    if look.kind == "crowd":
        hair = np.stack([gaze * 0.108, side * 0.088, top * 0.124]) * size
        parts.append(
            Ellipsoid(
                centre + (top * 0.01 - gaze * 0.012) * size, hair, HAIR, _hair_painter(look)
            )
        )
        return parts
    big = 1.0 if look.kind == "hockey" else 1.07
    helmet = np.stack([gaze * 0.135, side * 0.108, top * 0.130]) * size * big
    shift = top * 0.028 - gaze * 0.008
    parts.append(Ellipsoid(centre + shift * size, helmet, HELMET, _helmet_painter(look)))
    return parts


def _limbs(figure: Figure, build: Build, look: Look, name: str) -> list[Part]:
    j, size = figure.joints, build.height / 1.8
    k = {"hockey": 1.12, "lacrosse": 0.98, "crowd": 0.86}[look.kind] * build.bulk * size
    shoulder, elbow = j[f"{name}_shoulder"], j[f"{name}_elbow"]
    wrist, hand = j[f"{name}_wrist"], j[f"{name}_hand"]
    knee, ankle = j[f"{name}_knee"], j[f"{name}_ankle"]
    bare = look.kind == "lacrosse" or (look.kind == "crowd" and look.style > 0.55)
    sleeve = ((0.55, 1.01, SKIN),) if bare and look.kind == "crowd" else ()
    fore = SKIN if bare else SHIRT
    cuffs = () if bare or look.kind == "crowd" else ((0.15, 0.4, TRIM),)
    parts: list[Part] = [
        Capsule(shoulder, elbow, 0.074 * k, 0.056 * k, SHIRT, sleeve),
        Capsule(elbow, wrist, 0.056 * k, 0.043 * k, fore, cuffs),
    ]
    tip = hand + (hand - wrist) * 0.35
    if look.kind == "crowd":
        parts.append(Capsule(wrist, tip, 0.034 * size, 0.036 * size, SKIN))
    else:
        start = wrist - (hand - wrist) * 0.55
        parts.append(
            Capsule(start, tip, 0.060 * size, 0.058 * size, GLOVE, ((-1, 0.3, GLOVE_CUFF),))
        )
    shorts = look.kind == "lacrosse" or (look.kind == "crowd" and look.style > 0.8)
    thigh = ((0.72, 1.01, SKIN),) if shorts else ()
    if look.kind == "hockey":
        thigh = ((0.86, 1.01, SOCK),)
    shin_bands: tuple[tuple[float, float, int], ...] = (
        (0.35, 0.5, SOCK_TRIM),
        (0.6, 0.72, SOCK_TRIM),
    )
    if look.kind != "hockey":
        shin_bands = ((-1, 0.5, SKIN),) if shorts else ()
    shin = SOCK if look.kind != "crowd" or shorts else TROUSERS
    parts += [
        Capsule(j[f"{name}_hip"], knee, 0.105 * k, 0.078 * k, TROUSERS, thigh),
        Capsule(knee, ankle, 0.072 * k, 0.050 * k, shin, shin_bands),
        Capsule(j[f"{name}_heel"], j[f"{name}_toe"], 0.048 * size, 0.040 * size, SHOE),
    ]
    if look.kind == "hockey":
        parts.append(Capsule(ankle, j[f"{name}_heel"], 0.056 * size, 0.050 * size, SHOE))
        drop = np.array([0.0, 0.0, 0.058])
        heel, toe = j[f"{name}_heel"] - drop, j[f"{name}_toe"] - drop
        parts.append(Capsule(heel, toe, 0.014, 0.014, STEEL))
    return parts


def _stick(figure: Figure, look: Look) -> list[Part]:
    j = figure.joints
    butt, heel, toe = j["butt_end"], j["stick_heel"], j["stick_toe"]
    tall = figure.blade_up
    if look.kind == "hockey":
        shaft = Capsule(butt, heel, 0.017, 0.015, SHAFT, ((-1, 0.07, TAPE),), body=False)
        return [
            shaft,
            Capsule(heel, toe, 0.016, 0.014, BLADE, body=False),
            Capsule(heel + tall * 0.025, toe + tall * 0.025, 0.016, 0.014, BLADE, body=False),
            Capsule(heel + tall * 0.05, toe + tall * 0.045, 0.015, 0.013, BLADE, body=False),
        ]
    parts: list[Part] = [
        Capsule(butt, heel, 0.016, 0.016, SHAFT, ((-1, 0.05, TAPE),), body=False)
    ]
    axis = heel - butt
    axis = axis / np.linalg.norm(axis)
    wide = np.cross(axis, tall)
    wide = wide / max(float(np.linalg.norm(wide)), 1e-6)
    rim = [
        heel + axis * a * 0.26 + wide * w * 0.085
        for a, w in (
            (0, 0),
            (0.45, 0.75),
            (0.9, 1.0),
            (1.0, 0.0),
            (0.9, -1.0),
            (0.45, -0.75),
            (0, 0),
        )
    ]
    for a, b in pairwise(rim):
        parts.append(Capsule(a, b, 0.012, 0.012, BLADE, body=False))
    for i, k in ((1, 5), (2, 4), (1, 4), (5, 2), (3, 0)):  # the net's strings
        parts.append(Capsule(rim[i], rim[k], 0.006, 0.006, TAPE, body=False))
    return parts
