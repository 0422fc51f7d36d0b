"""The place: a textured ground plane and walls, seen through the clip's camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.synth.camera import HEIGHT, WIDTH, Camera

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
GROUND_SCALE = 36  # texture pixels a metre
WALL_SCALE = 30
GROUND_SIZE = (44.0, 30.0)  # metres: across, away
WALL_HEIGHT = 9.0


@dataclass(frozen=True)
class Wall:
    """A standing wall: origin (on the ground), direction, its inner side, texture."""

    origin: F64
    along: F64
    inward: F64
    texture: U8


@dataclass(frozen=True)
class Place:
    """Textures of one clip's surroundings.

    Attributes:
        ground: (H, W, 3) BGR texture.
        ground_origin: (3,) world point of the texture's first pixel.
        ground_axes: (2, 3) world directions of the texture's columns and rows.
        walls: Far to near.
        sky: (3,) BGR above everything.
        shadow: How dark a shadow is, 0 to 1.
        light: (3,) towards the main light, world axes.
    """

    ground: U8
    ground_origin: F64
    ground_axes: F64
    walls: tuple[Wall, ...]
    sky: F64
    shadow: float
    light: F64


def _mottle(rng: np.random.Generator, shape: tuple[int, int], cell: int, size: float) -> F32:
    import cv2  # lazy: OpenCV costs 0.1 s

    small = rng.normal(0, size, (shape[0] // cell + 2, shape[1] // cell + 2))
    grown = cv2.resize(small.astype(np.float32), (shape[1], shape[0]))
    return np.asarray(grown, np.float32)


def make_place(rng: np.random.Generator, kind: str) -> Place:
    """Draws a rink, a field or a square."""
    shape = (int(GROUND_SIZE[1] * GROUND_SCALE), int(GROUND_SIZE[0] * GROUND_SCALE))
    painter = {"hockey": _ice, "lacrosse": _grass, "crowd": _pavement}[kind]
    ground = painter(rng, shape)
    turn = rng.uniform(-0.35, 0.35)
    along = np.array([np.cos(turn), np.sin(turn), 0.0])
    away = np.array([-along[1], along[0], 0.0])
    distance = rng.uniform(6.5, 13.0) if kind != "lacrosse" else rng.uniform(8, 16)
    origin = away * distance - along * GROUND_SIZE[0] / 2
    texture = _wall(rng, kind)
    walls = [Wall(origin, along, -away, texture)]
    if rng.random() < 0.4:
        end = origin + along * GROUND_SIZE[0] * rng.uniform(0.68, 0.80)
        walls.append(Wall(end, -away, -along, texture))
    light = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-0.7, 0.3), 1.0])
    if kind != "hockey" and rng.random() < 0.5:
        light = np.array([rng.uniform(-1.4, 1.4), rng.uniform(-1.0, 0.8), 1.0])
    sky = np.array([60, 55, 50.0]) if kind == "hockey" else rng.uniform(150, 240, 3)
    ground_origin = away * distance - along * GROUND_SIZE[0] / 2
    return Place(
        ground, ground_origin, np.stack([along, -away]), tuple(walls), sky,
        float(rng.uniform(0.18, 0.4)), light / np.linalg.norm(light),
    )  # fmt: skip


def _ice(rng: np.random.Generator, shape: tuple[int, int]) -> U8:
    import cv2  # lazy: OpenCV costs 0.1 s

    tone = rng.uniform(212, 240) + np.array([rng.uniform(0, 9), 0.0, rng.uniform(-8, 1)])
    base = np.ones((*shape, 3), np.float32) * tone.astype(np.float32)
    base += (_mottle(rng, shape, 120, 5) + _mottle(rng, shape, 14, 3))[..., None]
    image = np.clip(base, 0, 255).astype(np.uint8)
    for _ in range(240):  # skate marks
        x, y = int(rng.integers(0, shape[1])), int(rng.integers(0, shape[0]))
        dx, dy = rng.normal(0, 50, 2)
        shade = tuple(map(float, tone - rng.uniform(4, 16)))
        cv2.line(image, (x, y), (int(x + dx), int(y + dy)), shade, 1, cv2.LINE_AA)
    red, blue = (50.0, 40.0, 200.0), (190.0, 80.0, 30.0)
    m = GROUND_SCALE
    for _ in range(int(rng.integers(1, 3))):  # lines across the rink
        x = int(rng.uniform(0.2, 0.8) * shape[1])
        colour = red if rng.random() < 0.5 else blue
        cv2.line(image, (x, 0), (x, shape[0]), colour, int(0.3 * m), cv2.LINE_AA)
    for _ in range(int(rng.integers(1, 4))):  # circles and dots
        centre = (
            int(rng.uniform(0.25, 0.75) * shape[1]),
            int(rng.uniform(0.1, 0.7) * shape[0]),
        )
        colour = red if rng.random() < 0.7 else blue
        cv2.circle(image, centre, int(4.5 * m), colour, max(2, int(0.06 * m)), cv2.LINE_AA)
        cv2.circle(image, centre, int(0.3 * m), colour, -1, cv2.LINE_AA)
    if rng.random() < 0.3:  # a painted advertisement
        at = (int(rng.uniform(0.3, 0.6) * shape[1]), int(rng.uniform(0.3, 0.7) * shape[0]))
        paint = tuple(map(float, rng.uniform(30, 220, 3)))
        cv2.putText(image, "HOCKEY", at, cv2.FONT_HERSHEY_DUPLEX, 3, paint, 9, cv2.LINE_AA)
    return image


def _grass(rng: np.random.Generator, shape: tuple[int, int]) -> U8:
    import cv2  # lazy: OpenCV costs 0.1 s

    tone = np.array([rng.uniform(45, 85), rng.uniform(110, 160), rng.uniform(60, 110)])
    base = np.ones((*shape, 3), np.float32) * tone.astype(np.float32)
    width = rng.uniform(2.5, 5) * GROUND_SCALE
    stripes = np.sign(np.sin(np.arange(shape[1]) * np.pi / width)) * rng.uniform(3, 11)
    base += stripes.astype(np.float32)[None, :, None]
    base += (_mottle(rng, shape, 60, 7) + _mottle(rng, shape, 3, 11))[..., None]
    image = np.clip(base, 0, 255).astype(np.uint8)
    white, m = (235.0, 240.0, 238.0), GROUND_SCALE
    x, y = int(rng.uniform(0.2, 0.8) * shape[1]), int(rng.uniform(0.05, 0.5) * shape[0])
    cv2.line(image, (x, 0), (x, shape[0]), white, int(0.1 * m), cv2.LINE_AA)
    if rng.random() < 0.6:
        cv2.line(image, (0, y), (shape[1], y), white, int(0.1 * m), cv2.LINE_AA)
    if rng.random() < 0.5:
        cv2.circle(image, (x, y), int(2.75 * m), white, int(0.08 * m), cv2.LINE_AA)
    return image


def _pavement(rng: np.random.Generator, shape: tuple[int, int]) -> U8:
    tone = rng.uniform(95, 200) + rng.uniform(-14, 14, 3)
    base = np.ones((*shape, 3), np.float32) * tone.astype(np.float32)
    base += (_mottle(rng, shape, 80, 7) + _mottle(rng, shape, 4, 5))[..., None]
    if rng.random() < 0.7:  # slabs
        cell = int(rng.uniform(0.5, 1.6) * GROUND_SCALE)
        dark = np.float32(rng.uniform(15, 40))
        base[::cell] -= dark
        base[:, ::cell] -= dark
        tiles = rng.normal(0, 5, (shape[0] // cell + 1, shape[1] // cell + 1))
        grown = tiles.repeat(cell, 0).repeat(cell, 1)[: shape[0], : shape[1]]
        base += grown.astype(np.float32)[..., None]
    return np.clip(base, 0, 255).astype(np.uint8)


def _spectators(rng: np.random.Generator, width: int, height: int) -> U8:
    """A blurred stand: rows of heads over coloured shirts."""
    import cv2  # lazy: OpenCV costs 0.1 s

    image = np.full((height, width, 3), rng.uniform(25, 70), np.uint8)
    for row in range(height // 13):
        y = height - 10 - row * 13
        for x in range(int(rng.integers(0, 10)), width, 13):
            if rng.random() < 0.2:
                continue
            shirt = tuple(map(float, rng.uniform(15, 190, 3)))
            cv2.circle(image, (x, y + 6), 5, shirt, -1)
            cv2.circle(image, (x, y), 3, (95.0, 120.0, 160.0), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(1.5, 3.5)), np.uint8)


def _wall(rng: np.random.Generator, kind: str) -> U8:
    import cv2  # lazy: OpenCV costs 0.1 s

    m = WALL_SCALE
    width, height = int(GROUND_SIZE[0] * m), int(WALL_HEIGHT * m)
    if kind == "crowd" and rng.random() < 0.65:
        return _facade(rng, width, height)
    image = _spectators(rng, width // 2, height // 2)
    image = np.asarray(cv2.resize(image, (width, height)), np.uint8)
    if kind == "lacrosse" and rng.random() < 0.5:  # trees behind a fence
        leaves = _mottle(rng, (height, width), 12, 22) + _mottle(rng, (height, width), 5, 12)
        green = np.array([45.0, 85, 60], np.float32) + leaves[..., None]
        image = np.clip(green, 0, 255).astype(np.uint8)
    top = height - int(1.07 * m)
    if kind == "hockey":
        board = rng.uniform(215, 245)
        cv2.rectangle(image, (0, top), (width, height), (board, board, board), -1)
        _adverts(rng, image, top, height, 0.7)
        cv2.rectangle(image, (0, height - int(0.2 * m)), (width, height), (40.0, 190, 230), -1)
        dasher = tuple(map(float, rng.choice([[160, 60, 30], [40, 40, 190], [60, 60, 60]])))
        cv2.rectangle(image, (0, top - 3), (width, top), dasher, -1)
        for x in range(0, width, int(1.2 * m)):  # glass and its posts
            cv2.line(image, (x, top), (x, top - int(1.8 * m)), (150.0, 150, 150), 1)
        glass = image[top - int(1.8 * m) : top].astype(np.float32)
        image[top - int(1.8 * m) : top] = (glass * 0.85 + 32).astype(np.uint8)
    else:
        top = height - int(rng.uniform(0.8, 1.3) * m)
        cv2.rectangle(image, (0, top), (width, height), (70.0, 70, 70), -1)
        _adverts(rng, image, top, height, 0.8)
    return image


def _adverts(rng: np.random.Generator, image: U8, top: int, bottom: int, share: float) -> None:
    import cv2  # lazy: OpenCV costs 0.1 s

    x = 0
    while x < image.shape[1]:
        step = int(rng.uniform(2.0, 4.5) * WALL_SCALE)
        if rng.random() < share:
            paint = tuple(map(float, rng.uniform(20, 245, 3)))
            ink = tuple(map(float, rng.uniform(0, 255, 3)))
            cv2.rectangle(image, (x + 3, top + 2), (x + step - 3, bottom - 2), paint, -1)
            word = str(rng.choice(["RINK", "STAR", "NORTH", "SPORT", "CUP", "LINE", "2026"]))
            cv2.putText(
                image, word, (x + 8, bottom - 10), cv2.FONT_HERSHEY_DUPLEX,
                rng.uniform(0.5, 0.9), ink, 2, cv2.LINE_AA,
            )  # fmt: skip
        x += step


def _facade(rng: np.random.Generator, width: int, height: int) -> U8:
    import cv2  # lazy: OpenCV costs 0.1 s

    base = np.ones((height, width, 3), np.float32) * rng.uniform(70, 190, 3).astype(np.float32)
    base += _mottle(rng, (height, width), 30, 6)[..., None]
    image = np.clip(base, 0, 255).astype(np.uint8)
    step, glass = (
        int(rng.uniform(1.6, 3.5) * WALL_SCALE),
        tuple(map(float, rng.uniform(20, 120, 3))),
    )
    tall = int(rng.uniform(1.2, 2.2) * WALL_SCALE)
    for y in range(int(0.4 * WALL_SCALE), height - tall // 2, int(3.0 * WALL_SCALE)):
        for x in range(int(rng.integers(0, 20)), width, step):
            cv2.rectangle(image, (x, y), (x + step * 3 // 5, min(y + tall, height)), glass, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), np.uint8)


def paint_place(place: Place, camera: Camera) -> U8:
    """Renders the empty place as (360, 640, 3) BGR."""
    import cv2  # lazy: OpenCV costs 0.1 s

    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = place.sky.astype(np.uint8)
    view = camera.plane_homography(
        place.ground_origin, place.ground_axes[0], place.ground_axes[1]
    )
    top = int(np.clip(np.ceil(camera.horizon()) + 1, 0, HEIGHT))
    if top < HEIGHT:
        matrix = np.diag([1.0, 1.0, 1.0])
        matrix[1, 2] = -top
        matrix = matrix @ view @ np.diag([1 / GROUND_SCALE, 1 / GROUND_SCALE, 1])
        ground = cv2.warpPerspective(
            place.ground, matrix, (WIDTH, HEIGHT - top), borderMode=cv2.BORDER_REPLICATE
        )
        picture[top:] = ground
    for wall in place.walls:
        _paint_wall(picture, wall, camera)
    return picture


def _paint_wall(picture: U8, wall: Wall, camera: Camera) -> None:
    import cv2  # lazy: OpenCV costs 0.1 s

    if (camera.position - wall.origin) @ wall.inward < 1.0:
        return  # seen from outside, it would stand before the people
    steps = np.arange(0, GROUND_SIZE[0] + 0.5, 1.0)
    depth = camera.to_camera(wall.origin + steps[:, None] * wall.along)[:, 2]
    ahead = np.flatnonzero(depth > 2.0)
    if ahead.size < 2:
        return
    first, last = steps[ahead[0]], steps[ahead[-1]]
    origin = wall.origin + wall.along * first + np.array([0, 0, WALL_HEIGHT])
    view = camera.plane_homography(origin, wall.along, np.array([0.0, 0.0, -1.0]))
    piece = wall.texture[:, int(first * WALL_SCALE) : int(last * WALL_SCALE)]
    matrix = view @ np.diag([1 / WALL_SCALE, 1 / WALL_SCALE, 1])
    cv2.warpPerspective(
        piece, matrix, (WIDTH, HEIGHT), dst=picture, borderMode=cv2.BORDER_TRANSPARENT
    )
