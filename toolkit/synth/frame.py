"""One picture and its labels: layers with depth, shading, shadows, blur, sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.synth.appearance import Look, build_parts, head_parts
from toolkit.synth.background import paint_place
from toolkit.synth.camera import HEIGHT, WIDTH, Camera
from toolkit.synth.figure import Build, Figure
from toolkit.synth.raster import SS, Capsule, Ellipsoid, Layer, Part
from toolkit.synth.scene import Scene

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
#: How far below the visible surface a joint may lie and still count as seen (metres).
DEPTH_TOLERANCE = {
    "shoulder": 0.16, "hip": 0.20, "elbow": 0.11, "knee": 0.13, "wrist": 0.11,
    "ankle": 0.11, "nose": 0.05, "eye": 0.05, "ear": 0.06, "head": 0.09, "neck": 0.13,
    "butt_end": 0.06, "stick_heel": 0.06, "stick_toe": 0.06,
}  # fmt: skip
WEAVE = 100_003  # length of the repeating cloth noise: a prime, so that rows differ


@dataclass(frozen=True)
class Label:
    """What a picture says of one person.

    Attributes:
        person: Index in the scene's cast.
        joints: Name to (x, y, depth) in px, px, metres.
        visible: Name to whether the keypoint's own surface is what its pixel shows.
        body_xyxy: Extent of the whole body without stick, not clipped to the picture.
        head_xyxy: Extent of head and helmet, not clipped.
        body_pixels: Pixels of the body that the picture shows.
        whole_pixels: Pixels of the body if nobody stood in front (within the picture).
    """

    person: int
    joints: dict[str, F64]
    visible: dict[str, bool]
    body_xyxy: F64
    head_xyxy: F64
    body_pixels: int
    whole_pixels: int


@dataclass(frozen=True)
class _Drawn:
    """A person's solids, projected: what both drawing and boxes need."""

    parts: list[Part]
    ends: F64  # (P, 2, 3) capsule ends in px, px, m; an ellipsoid repeats its centre
    axes: list[F64]  # (3, 3) semi-axes in camera axes; zeros for a capsule
    extents: F64  # (P, 4) xyxy


def _project(parts: list[Part], camera: Camera) -> _Drawn:
    points = np.stack(
        [
            np.stack([p.a, p.b] if isinstance(p, Capsule) else [p.centre, p.centre])
            for p in parts
        ]
    )
    ends = camera.project(points)
    axes: list[F64] = []
    margins = np.empty((len(parts), 2, 2))
    for i, part in enumerate(parts):
        scale = camera.focal / ends[i, :, 2]
        if isinstance(part, Capsule):
            axes.append(np.zeros((3, 3)))
            margins[i] = (np.array([part.ra, part.rb]) * scale)[:, None]
        else:
            turned = part.axes @ camera.rotation.T
            axes.append(turned)
            margins[i] = np.sqrt(np.sum(turned[:, :2] ** 2, axis=0)) * scale[0]
    low = np.min(ends[..., :2] - margins, axis=1)
    high = np.max(ends[..., :2] + margins, axis=1)
    return _Drawn(parts, ends, axes, np.concatenate([low, high], axis=1))


def _union(extents: F64) -> F64:
    return np.concatenate([extents[:, :2].min(axis=0), extents[:, 2:].max(axis=0)])


def _draw(drawn: _Drawn, camera: Camera) -> Layer | None:
    x0, y0, x1, y1 = _union(drawn.extents)
    left, top = max(int(x0) - 2, 0), max(int(y0) - 2, 0)
    right, bottom = min(int(x1) + 3, WIDTH), min(int(y1) + 3, HEIGHT)
    if right <= left or bottom <= top or drawn.ends[0, 0, 2] < 2:
        return None
    layer = Layer(left, top, right - left, bottom - top)
    for part, ends, axes in zip(drawn.parts, drawn.ends, drawn.axes, strict=True):
        if isinstance(part, Ellipsoid):
            layer.ellipsoid(part, ends[0], axes, camera.focal)
        else:
            layer.capsule(part, ends[0], ends[1], camera.focal)
    return layer


def _shade(layer: Layer, look: Look, light: F64, weave: F32) -> tuple[F32, F32, F32]:
    """Returns (H, W, 4) colour times cover and cover; (H, W) depth; (H, W) body share."""
    import cv2  # lazy: OpenCV costs 0.1 s

    rows, cols = layer.depth.shape
    at = np.flatnonzero(layer.material)
    nx, ny = layer.nx.reshape(-1)[at], layer.ny.reshape(-1)[at]
    cloth = weave.reshape(-1)[at % len(weave)]
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
    lambert = nx * np.float32(light[0]) + ny * np.float32(light[1]) - nz * np.float32(light[2])
    lambert = np.maximum(lambert + cloth, 0)
    shade = np.float32(0.34) + np.float32(0.62) * lambert + np.float32(0.16) * nz
    shade -= np.float32(0.08) * ny
    lit = np.empty((len(at), 4), np.float32)
    np.multiply(
        np.take(look.palette, layer.material.reshape(-1)[at], axis=0),
        shade[:, None], out=lit[:, :3],
    )  # fmt: skip
    np.minimum(lit[:, :3], 255, out=lit[:, :3])
    lit[:, 3] = 1
    wide = np.zeros((rows, cols, 4), np.float32)
    wide.reshape(-1, 4)[at] = lit
    size = (cols // SS, rows // SS)
    small = cv2.resize(wide, size, interpolation=cv2.INTER_AREA)
    body = cv2.resize(layer.body.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    d = layer.depth
    depth = np.minimum(
        np.minimum(d[::2, ::2], d[1::2, ::2]), np.minimum(d[::2, 1::2], d[1::2, 1::2])
    )
    return np.asarray(small, np.float32), depth, np.asarray(body, np.float32)


def blur_kernel(dx: float, dy: float) -> F32 | None:
    """Returns a centred line kernel for a movement in pixels, or None for a short one."""
    length = float(np.hypot(dx, dy))
    if length < 1.2:
        return None
    half = int(np.ceil(min(length, 24) / 2)) + 1
    ys, xs = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    ux, uy = dx / length, dy / length
    along, across = xs * ux + ys * uy, xs * uy - ys * ux
    kernel = np.clip(min(length, 24) / 2 + 0.5 - np.abs(along), 0, 1)
    kernel *= np.clip(1 - np.abs(across), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


class Picture:
    """A frame being built: colour, depth, whose pixel it is, and whether it is body."""

    def __init__(self, background: F32) -> None:
        """Starts from the empty place, (360, 640, 3) BGR float."""
        self.colour = background
        self.depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
        self.owner = np.full((HEIGHT, WIDTH), -1, np.int16)
        self.body = np.zeros((HEIGHT, WIDTH), np.bool_)

    def add(
        self, layer: Layer, colour: F32, depth: F32, body: F32, owner: int, move: F32 | None
    ) -> int:
        """Puts a person into the picture by depth; returns their unhidden body pixels."""
        import cv2  # lazy: OpenCV costs 0.1 s

        rows = slice(layer.y0, layer.y0 + layer.height)
        cols = slice(layer.x0, layer.x0 + layer.width)
        solid = colour[..., 3] > 0.5
        is_body = body > 0.25
        finite = np.isfinite(depth)
        typical = np.float32(depth[finite].mean()) if finite.any() else np.float32(1e3)
        near = np.where(finite, depth, typical) <= self.depth[rows, cols]
        if move is not None:
            colour = np.asarray(
                cv2.filter2D(colour, -1, move, borderType=cv2.BORDER_CONSTANT), np.float32
            )
        shown = [np.asarray(c, np.float32) for c in cv2.split(colour * near[..., None])]
        rest = 1 - shown[3]
        view = self.colour[rows, cols]
        for channel in range(3):
            view[..., channel] *= rest
            view[..., channel] += shown[channel]
        wins = solid & near
        np.copyto(self.depth[rows, cols], depth, where=wins)
        np.copyto(self.owner[rows, cols], np.int16(owner), where=wins)
        np.copyto(self.body[rows, cols], is_body, where=wins)
        return int(np.count_nonzero(solid & is_body))

    def sees(self, point: F64, owner: int, tolerance: float) -> bool:
        """Says whether `owner`'s surface at `point` (px, px, m) is what its pixel shows."""
        x, y = int(np.floor(point[0])), int(np.floor(point[1]))
        if not (0 <= point[0] < WIDTH and 0 <= point[1] < HEIGHT):
            return False
        rows = slice(max(y - 1, 0), y + 2)
        cols = slice(max(x - 1, 0), x + 2)
        own = self.owner[rows, cols] == owner
        return bool(np.any(own & (np.abs(self.depth[rows, cols] - point[2]) < tolerance)))


def _shadows(place_light: F64, camera: Camera, people: list[list[Part]], dark: float) -> F32:
    """Returns (360, 640) factors of light on the ground."""
    import cv2  # lazy: OpenCV costs 0.1 s

    mask = np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8)
    slope = place_light[:2] / place_light[2]
    for parts in people:
        points = np.stack(
            [
                np.stack([p.a, p.b] if isinstance(p, Capsule) else [p.centre, p.centre])
                for p in parts
            ]
        )
        ground = points.copy()
        ground[..., :2] -= points[..., 2:] * slope
        ground[..., 2] = 0.0
        flat = camera.project(ground)
        for part, (a, b) in zip(parts, flat, strict=True):
            if a[2] < 2 or b[2] < 2:
                continue
            if isinstance(part, Capsule):
                radius = max(part.ra, part.rb)
            else:
                radius = float(np.linalg.norm(part.axes, axis=1).mean())
            thick = max(1, round(radius * camera.focal / a[2] * 0.75))
            ends = [(int(p[0] / 2), int(p[1] / 2)) for p in (a, b)]
            if max(map(abs, (*ends[0], *ends[1]))) < 4000:
                cv2.line(mask, ends[0], ends[1], 255, thick)
    soft = cv2.GaussianBlur(mask, (0, 0), 2.2)
    full = cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32) * np.float32(-dark / 255) + 1


def _displacement(scene: Scene, point: F64, velocity: F64, seconds: float) -> F64:
    half = scene.exposure / 2
    early = scene.camera(seconds - half).project(point - velocity * half)
    late = scene.camera(seconds + half).project(point + velocity * half)
    return np.asarray(late - early)[:2]


def render_frame(
    scene: Scene, frame: int, keep: set[int] | None, grain: F32, offset: tuple[int, int]
) -> tuple[U8, list[Label]]:
    """Renders one frame.

    Args:
        scene: The clip.
        frame: Its frame number.
        keep: Cast members to draw; None draws all.
        grain: Sensor noise of unit deviation, larger than the picture.
        offset: Where in `grain` this frame's noise begins.

    Returns:
        The (360, 640, 3) BGR picture, and a label for each person drawn in it.
    """
    import cv2  # lazy: OpenCV costs 0.1 s

    seconds = scene.moment(frame)
    camera = scene.camera(seconds)
    figures = scene.figures(frame)
    cast = [i for i in range(len(figures)) if keep is None or i in keep]
    solids = {
        i: build_parts(figures[i], scene.people[i].build, scene.people[i].look) for i in cast
    }
    background = paint_place(scene.place, camera)
    pan = blur_kernel(*_displacement(scene, np.zeros(3) + scene.aim, np.zeros(3), seconds))
    if pan is not None:
        background = np.asarray(cv2.filter2D(background, -1, pan), np.uint8)
    canvas = background.astype(np.float32)
    lit = _shadows(scene.place.light, camera, list(solids.values()), scene.place.shadow)
    canvas *= np.asarray(cv2.merge([lit, lit, lit]), np.float32)
    picture = Picture(canvas)
    drawn = {i: _project(solids[i], camera) for i in cast}
    light = camera.rotation @ scene.place.light
    light = light / np.linalg.norm(light)
    weave = grain.reshape(-1)[:WEAVE] * np.float32(0.035)
    whole: dict[int, int] = {}
    for i in sorted(cast, key=lambda i: -float(drawn[i].ends[0, 0, 2])):
        layer = _draw(drawn[i], camera)
        if layer is None:
            continue
        person = scene.people[i]
        speed = np.array([*person.velocity, 0.0])
        move = blur_kernel(*_displacement(scene, figures[i].joints["chest"], speed, seconds))
        colour, depth, body = _shade(layer, person.look, light, weave)
        whole[i] = picture.add(layer, colour, depth, body, i, move)
    labels = [
        _label(i, figures[i], scene.people[i].build, scene.people[i].look, drawn[i], camera,
               picture, whole[i])
        for i in cast if i in whole
    ]  # fmt: skip
    return _expose(picture.colour, scene, grain, offset), labels


def _label(
    index: int, figure: Figure, build: Build, look: Look, drawn: _Drawn, camera: Camera,
    picture: Picture, whole: int,
) -> Label:  # fmt: skip
    names = list(figure.joints)
    points = camera.project(np.stack([figure.joints[n] for n in names]))
    joints = dict(zip(names, points, strict=True))
    visible = {}
    for name, point in joints.items():
        key = name.removeprefix("left_").removeprefix("right_")
        if key in DEPTH_TOLERANCE:
            visible[name] = picture.sees(point, index, DEPTH_TOLERANCE[key])
    of_body = np.array([p.body for p in drawn.parts])
    head = _project(list(head_parts(figure, build, look)), camera)
    mine = (picture.owner == index) & picture.body
    return Label(
        index, joints, visible, _union(drawn.extents[of_body]), _union(head.extents),
        int(np.count_nonzero(mine)), whole,
    )  # fmt: skip


def _expose(colour: F32, scene: Scene, grain: F32, offset: tuple[int, int]) -> U8:
    import cv2  # lazy: OpenCV costs 0.1 s

    soft = np.asarray(cv2.GaussianBlur(colour, (3, 3), scene.softness), np.float32)
    y, x = offset
    noise = grain[y : y + HEIGHT, x : x + WIDTH] * np.float32(scene.noise)
    for channel in range(3):
        soft[..., channel] *= np.float32(scene.gain * scene.cast[channel])
        soft[..., channel] += noise
    return np.asarray(cv2.convertScaleAbs(np.maximum(soft, 0, out=soft)), np.uint8)
