"""A pinhole camera above the playing surface.

World axes: x to the right, y away from the camera, z up, in metres; the ground is z = 0.
Camera axes: x right, y down, z forward. Pixels are continuous: pixel (0, 0) covers
[0, 1) x [0, 1), so its centre is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
WIDTH, HEIGHT = 640, 360


@dataclass(frozen=True)
class Camera:
    """One frame's camera.

    Attributes:
        position: (3,) world position in metres.
        rotation: (3, 3) world to camera.
        focal: Focal length in pixels.
    """

    position: F64
    rotation: F64
    focal: float

    @classmethod
    def looking_at(
        cls, target: F64, yaw: float, elevation: float, distance: float, focal: float
    ) -> Camera:
        """Places a camera on a sphere round `target` (angles in radians)."""
        away = np.array(
            [
                np.sin(yaw) * np.cos(elevation),
                np.cos(yaw) * np.cos(elevation),
                -np.sin(elevation),
            ]
        )
        right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
        down = np.cross(away, right)
        return cls(target - away * distance, np.stack([right, down, away]), focal)

    def to_camera(self, points: F64) -> F64:
        """Moves world points (..., 3) into camera axes, in metres."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: F64) -> F64:
        """Projects world points (..., 3) to pixels and depth (..., 3) (px, px, m)."""
        cam = self.to_camera(points)
        depth = np.maximum(cam[..., 2], 0.1)
        return np.stack(
            [
                WIDTH / 2 + self.focal * cam[..., 0] / depth,
                HEIGHT / 2 + self.focal * cam[..., 1] / depth,
                cam[..., 2],
            ],
            axis=-1,
        )

    def plane_homography(self, origin: F64, along: F64, across: F64) -> F64:
        """Returns the (3, 3) map from plane coordinates (metres) to pixels."""
        intrinsics = np.array(
            [[self.focal, 0, WIDTH / 2], [0, self.focal, HEIGHT / 2], [0, 0, 1.0]]
        )
        columns = np.stack([along, across, origin - self.position], axis=1)
        return intrinsics @ self.rotation @ columns

    def horizon(self) -> float:
        """Returns the row of the horizon in pixels (the camera has no roll)."""
        forward = self.rotation[2]
        slope = -forward[2] / max(float(np.hypot(forward[0], forward[1])), 1e-6)
        return float(HEIGHT / 2 - self.focal * slope)
