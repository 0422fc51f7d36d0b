"""Solid shapes into a depth buffer: tapered capsules and ellipsoids, with normals.

Each shape is cast in a local orthographic approximation: its ends are projected with
the real camera, its surface is solved exactly along parallel rays (a part is small
beside its distance). A `Layer` holds one person at twice the picture's resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
#: From local coordinates (unit ball; three arrays) to material ids; 0 leaves a hole.
Painter = Callable[[F32, F32, F32], U8]
SS = 2  # supersampling


@dataclass(frozen=True)
class Capsule:
    """A tapered capsule from `a` to `b` (world, metres).

    Attributes:
        a: (3,) first end.
        b: (3,) second end.
        ra: Radius at `a` in metres.
        rb: Radius at `b` in metres.
        material: Palette index, 1 or more.
        bands: (from, to, material) along the axis, in shares of its length.
        body: False for the stick: it is no part of the human box or area.
    """

    a: F64
    b: F64
    ra: float
    rb: float
    material: int
    bands: tuple[tuple[float, float, int], ...] = ()
    body: bool = True


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid (world, metres).

    Attributes:
        centre: (3,) centre.
        axes: (3, 3) rows are the semi-axis vectors.
        material: Palette index, 1 or more.
        painter: Materials by place on the surface, or None for one material.
        body: As in `Capsule`.
    """

    centre: F64
    axes: F64
    material: int
    painter: Painter | None = None
    body: bool = True


Part = Capsule | Ellipsoid


class Layer:
    """One person's pixels: depth, normals, material, at SS times the resolution.

    Attributes:
        x0, y0: Top left of the window in picture pixels.
        width, height: Size of the window in picture pixels.
        depth: (SS*height, SS*width) metres, inf where empty.
        nx, ny: Normals in camera axes.
        material: Palette index; 0 where empty.
        body: True on pixels of the body, False on the stick and where empty.
    """

    def __init__(self, x0: int, y0: int, width: int, height: int) -> None:
        """Makes an empty window."""
        self.x0, self.y0, self.width, self.height = x0, y0, width, height
        shape = (height * SS, width * SS)
        self.depth = np.full(shape, np.inf, np.float32)
        self.nx = np.zeros(shape, np.float32)
        self.ny = np.zeros(shape, np.float32)
        self.material = np.zeros(shape, np.uint8)
        self.body = np.zeros(shape, np.bool_)

    def _window(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[slice, slice, F32, F32] | None:
        rows, cols = self.depth.shape
        x0, x1 = max(int(left), 0), min(int(right) + 2, cols)
        y0, y1 = max(int(top), 0), min(int(bottom) + 2, rows)
        if x0 >= x1 or y0 >= y1:
            return None
        xs = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5)
        ys = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5)
        return slice(y0, y1), slice(x0, x1), xs, ys

    def _write(
        self,
        rows: slice,
        cols: slice,
        inside: Mask,
        depth: F32,
        nx: F32,
        ny: F32,
        material: U8 | int,
        body: bool,
    ) -> None:
        inside &= depth < self.depth[rows, cols]
        np.copyto(self.depth[rows, cols], depth, where=inside)
        np.copyto(self.nx[rows, cols], nx, where=inside)
        np.copyto(self.ny[rows, cols], ny, where=inside)
        np.copyto(self.material[rows, cols], np.asarray(material, np.uint8), where=inside)
        np.copyto(self.body[rows, cols], body, where=inside)

    def capsule(self, part: Capsule, a: F64, b: F64, focal: float) -> None:
        """Draws a capsule whose ends `a`, `b` are (px, px, depth in metres)."""
        scale = SS * focal / (0.5 * (a[2] + b[2]))
        ax, ay = (a[0] - self.x0) * SS, (a[1] - self.y0) * SS
        dx, dy = (b[0] - a[0]) * SS, (b[1] - a[1]) * SS
        dz = (b[2] - a[2]) * scale
        ra, rb = part.ra * scale, part.rb * scale
        reach = max(ra, rb) + 1
        window = self._window(
            min(ax, ax + dx) - reach,
            min(ay, ay + dy) - reach,
            max(ax, ax + dx) + reach,
            max(ay, ay + dy) + reach,
        )
        if window is None:
            return
        rows, cols, xs, ys = window
        flat = max(float(np.hypot(dx, dy)), 1e-3)
        length = max(float(np.hypot(flat, dz)), 1e-3)
        ux, uy, tilt = dx / flat, dy / flat, dz / length
        x, y = xs - np.float32(ax), ys - np.float32(ay)
        along = x * np.float32(ux / flat) + y * np.float32(uy / flat)
        t = np.clip(along, 0, 1)
        if abs(tilt) > 0.15:
            side = x * np.float32(uy) - y * np.float32(ux)
            radius = np.float32(ra) + np.float32(rb - ra) * t
            half = np.sqrt(np.maximum(radius * radius - side * side, 0))
            bent = max(flat, 0.05 * length)
            t = np.clip((along * np.float32(flat) - np.float32(tilt) * half) / bent, 0, 1)
            t = t.astype(np.float32)
        radius = np.float32(ra) + np.float32(rb - ra) * t
        ex, ey = x - t * np.float32(dx), y - t * np.float32(dy)
        square = radius * radius - ex * ex - ey * ey
        inside = square > 0
        rise = np.sqrt(np.maximum(square, 0))
        depth = np.float32(a[2]) + (t * np.float32(dz) - rise) * np.float32(1 / scale)
        material: U8 | int = part.material
        if part.bands:
            material = np.full(t.shape, part.material, np.uint8)
            for low, high, other in part.bands:
                material[(t >= low) & (t < high)] = other
        inverse = 1 / radius
        nx = np.asarray(ex * inverse, np.float32)
        ny = np.asarray(ey * inverse, np.float32)
        self._write(rows, cols, inside, depth, nx, ny, material, part.body)

    def ellipsoid(self, part: Ellipsoid, centre: F64, axes: F64, focal: float) -> None:
        """Draws an ellipsoid: centre (px, px, m), semi-axes in camera axes (rows)."""
        scale = SS * focal / centre[2]
        cx, cy = (centre[0] - self.x0) * SS, (centre[1] - self.y0) * SS
        matrix = axes.T * scale
        extent = np.sqrt(np.sum(matrix**2, axis=1))
        window = self._window(
            cx - extent[0] - 1, cy - extent[1] - 1, cx + extent[0] + 1, cy + extent[1] + 1
        )
        if window is None:
            return
        rows, cols, xs, ys = window
        inverse = np.linalg.inv(matrix).astype(np.float32)
        q = inverse.T @ inverse
        x, y = xs - np.float32(cx), ys - np.float32(cy)
        linear = q[0, 2] * x + q[1, 2] * y
        plane = q[0, 0] * x * x + (2 * q[0, 1] * x + q[1, 1] * y) * y
        square = linear * linear - q[2, 2] * (plane - 1)
        inside = square > 0
        z = (-linear - np.sqrt(np.maximum(square, 0))) / q[2, 2]
        gx = q[0, 0] * x + q[0, 1] * y + q[0, 2] * z
        gy = q[0, 1] * x + q[1, 1] * y + q[1, 2] * z
        gz = linear + q[2, 2] * z
        norm = 1 / np.sqrt(gx * gx + gy * gy + gz * gz + np.float32(1e-12))
        material: U8 | int = part.material
        if part.painter is not None:
            material = part.painter(
                *(inverse[i, 0] * x + inverse[i, 1] * y + inverse[i, 2] * z for i in range(3))
            )
            inside &= material > 0
        depth = np.float32(centre[2]) + z * np.float32(1 / scale)
        self._write(rows, cols, inside, depth, gx * norm, gy * norm, material, part.body)
