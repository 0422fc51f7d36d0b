"""Postures: what a person does over a clip, as two key poses and a stride between them.

A pose is a flat dictionary of numbers in the person's own frame (forward, left, up), in
metres and radians; between the key poses every number moves smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Pose = dict[str, float]
SPORTS = ("hockey", "lacrosse")
STICK_MODES = {
    "hockey": {
        "two_hands": 0.64, "one_hand": 0.16, "carried": 0.09, "wind_up": 0.07, "raised": 0.04,
    },
    "lacrosse": {"cradle": 0.46, "shot": 0.16, "low": 0.14, "one_hand": 0.16, "across": 0.08},
    "crowd": {"none": 1.0},
}  # fmt: skip
#: How often the shaft lies across the body in the modes with the blade on the ground.
ACROSS = {"two_hands": 0.38, "one_hand": 0.62}
POSTURES = {
    "hockey": {"stride": 0.38, "glide": 0.27, "upright": 0.15, "crouch": 0.12, "lunge": 0.08},
    "lacrosse": {"run": 0.5, "upright": 0.22, "crouch": 0.16, "lunge": 0.12},
    "crowd": {"walk": 0.4, "upright": 0.5, "crouch": 0.04, "run": 0.06},
}


@dataclass(frozen=True)
class Motion:
    """How one person moves in a clip.

    Attributes:
        start: Pose at the first frame.
        end: Pose at the last frame.
        posture: Name of the posture.
        stick_mode: Name of the way the stick is held; `none` without a stick.
        side: 1 when the stick's far end lies on the person's left, -1 on the right.
        stride: Strides a second.
        phase: Where in the stride the clip begins, in radians.
        amplitude: Length of the stride, 1 is ordinary.
    """

    start: Pose
    end: Pose
    posture: str
    stick_mode: str
    side: int
    stride: float
    phase: float
    amplitude: float

    def at(self, share: float, seconds: float) -> Pose:
        """Returns the pose at a share (0 to 1) of the clip, `seconds` after its start."""
        smooth = share * share * (3 - 2 * share)
        pose = {k: v + (self.end[k] - v) * smooth for k, v in self.start.items()}
        if self.posture in ("stride", "run", "walk"):
            _add_stride(pose, self, self.phase + 2 * np.pi * self.stride * seconds)
        return pose


def _add_stride(pose: Pose, motion: Motion, phase: float) -> None:
    for name, swing in (("left", phase), ("right", phase + np.pi)):
        push, lift = max(0.0, float(np.sin(swing))), max(0.0, -float(np.cos(swing)))
        size = motion.amplitude
        if motion.posture == "stride":  # skating pushes back and out
            pose[f"{name}_forward"] += size * (0.16 * np.cos(swing) - 0.42 * push)
            pose[f"{name}_out"] += size * 0.34 * push
            pose[f"{name}_up"] += size * 0.10 * lift * push
            pose[f"{name}_toe_out"] += 0.6 * push
        else:
            reach = 0.44 if motion.posture == "run" else 0.27
            pose[f"{name}_forward"] += size * reach * np.cos(swing)
            pose[f"{name}_up"] += (
                size
                * (0.24 if motion.posture == "run" else 0.09)
                * max(0.0, -float(np.sin(swing)))
            )
            pose[f"{name}_swing"] += size * 0.5 * -np.cos(swing)
    pose["twist"] += 0.12 * motion.amplitude * np.cos(phase)


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    names = list(shares)
    return names[int(rng.choice(len(names), p=np.array(list(shares.values()))))]


def sample_motion(rng: np.random.Generator, kind: str) -> Motion:
    """Draws a posture, a way to hold the stick and the movement between two poses."""
    posture = _pick(rng, POSTURES[kind])
    mode = _pick(rng, STICK_MODES[kind])
    side = 1 if rng.random() < 0.6 else -1
    if mode == "two_hands" and rng.random() < 0.08:
        posture = "faceoff"
    start = _body(rng, kind, posture) | _stick(rng, mode)
    other = _body(rng, kind, posture) | _stick(rng, mode)
    move = rng.uniform(0.15, 0.75)
    end = {k: v + (other[k] - v) * move for k, v in start.items()}
    if mode in ("wind_up", "shot"):  # the swing itself is fast
        end["lift"] = start["lift"] + rng.uniform(-0.8, 0.3)
    constant = ("overhang",) if mode not in ("two_hands",) else ("overhang", "grip")
    end |= {k: start[k] for k in constant}
    return Motion(
        start, end, posture, mode, side, float(rng.uniform(0.6, 1.3)),
        float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.6, 1.15)),
    )  # fmt: skip


def _body(rng: np.random.Generator, kind: str, posture: str) -> Pose:
    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    hip = {"stride": (0.78, 0.90), "glide": (0.80, 0.93), "upright": (0.95, 1.0),
           "crouch": (0.66, 0.80), "lunge": (0.68, 0.82), "faceoff": (0.66, 0.76),
           "run": (0.92, 0.98), "walk": (0.97, 1.0)}[posture]  # fmt: skip
    lean = {"stride": (0.45, 0.95), "glide": (0.3, 0.75), "upright": (0.0, 0.28),
            "crouch": (0.55, 1.0), "lunge": (0.5, 1.1), "faceoff": (0.9, 1.2),
            "run": (0.12, 0.45), "walk": (-0.02, 0.12)}[posture]  # fmt: skip
    wide = {"stride": (0.12, 0.2), "glide": (0.15, 0.3), "upright": (0.12, 0.26),
            "crouch": (0.22, 0.4), "lunge": (0.15, 0.3), "faceoff": (0.32, 0.45),
            "run": (0.07, 0.13), "walk": (0.07, 0.13)}[posture]  # fmt: skip
    if kind == "crowd" and posture == "upright":
        lean = (-0.05, 0.15)
    stagger = u(-0.2, 0.2) if posture not in ("walk", "run", "stride") else 0.0
    if posture == "lunge":
        stagger = u(0.3, 0.5) * (1 if rng.random() < 0.5 else -1)
    pose = {
        "hip": u(*hip), "lean": u(*lean), "side_lean": u(-0.16, 0.16), "twist": u(-0.4, 0.4),
        "head_yaw": float(np.clip(rng.normal(0, 0.5), -1.2, 1.2)), "head_pitch": u(-0.1, 0.45),
        "turn": u(-0.3, 0.3),
    }  # fmt: skip
    for name, sign in (("left", 1), ("right", -1)):
        pose |= {
            f"{name}_forward": sign * stagger + u(-0.06, 0.06),
            f"{name}_out": u(*wide),
            f"{name}_up": 0.0,
            f"{name}_toe_out": u(-0.05, 0.5),
            f"{name}_swing": 0.0,
            f"{name}_hand_forward": u(0.05, 0.4),
            f"{name}_hand_out": u(0.06, 0.3),
            f"{name}_hand_up": u(-0.5, -0.2),
        }
        if kind == "crowd":
            pose |= _crowd_arm(rng, name)
    return pose


def _crowd_arm(rng: np.random.Generator, name: str) -> Pose:
    kind = rng.random()
    if kind < 0.6:  # hanging, swinging with the step
        values = (rng.uniform(-0.05, 0.15), rng.uniform(0.02, 0.14), rng.uniform(-0.58, -0.5))
    elif kind < 0.85:  # bent in front of the body
        values = (rng.uniform(0.2, 0.4), rng.uniform(-0.15, 0.1), rng.uniform(-0.35, -0.05))
    else:  # raised
        values = (rng.uniform(0.0, 0.3), rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.5))
    keys = (f"{name}_hand_forward", f"{name}_hand_out", f"{name}_hand_up")
    return dict(zip(keys, map(float, values), strict=True))


def _stick(rng: np.random.Generator, mode: str) -> Pose:
    """Where the anchor hand is, where the shaft points, and how far the hands are apart.

    `hand_*` is the anchor hand's place from the middle between the shoulders (forward,
    towards the stick's side, up, in units of the trunk's length); `azimuth` turns the
    shaft from forward to the stick's side; `lift` is its angle above the horizontal
    (hockey on ice: solved instead); `roll` turns the blade.
    """

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    ranges: dict[str, tuple[tuple[float, float], ...]] = {
        # hand forward, side, up, azimuth, lift, grip, overhang
        "two_hands": ((0.3, 1.0), (-0.9, 0.0), (-1.0, -0.55), (-0.1, 1.5), (0, 0),
                      (0.28, 0.52), (0.07, 0.16)),
        "one_hand": ((0.1, 1.4), (-0.6, 0.6), (-1.0, -0.4), (-0.7, 1.0), (0, 0),
                     (0, 0), (0.08, 0.45)),
        "carried": ((0.1, 0.8), (-0.8, 0.2), (-1.0, -0.4), (0.2, 2.4), (-0.45, 0.4),
                    (0.25, 0.45), (0.25, 0.7)),
        "wind_up": ((0.4, 1.0), (-0.3, 0.3), (-0.7, -0.2), (1.6, 2.7), (0.1, 1.0),
                    (0.3, 0.5), (0.10, 0.36)),
        "raised": ((0.1, 0.7), (-0.6, 0.6), (-0.3, 0.5), (0.0, 2.2), (-0.3, 1.4),
                   (0, 0), (0.15, 0.6)),
        "cradle": ((0.25, 0.75), (-0.2, 0.35), (-0.95, -0.6), (0.1, 1.6), (0.7, 1.35),
                   (0.3, 0.5), (0.07, 0.2)),
        "shot": ((0.5, 1.0), (-0.2, 0.3), (-0.5, -0.1), (1.4, 2.6), (0.3, 1.1),
                 (0.3, 0.5), (0.07, 0.14)),
        "low": ((0.3, 0.7), (-0.5, 0.1), (-0.95, -0.6), (-0.2, 0.7), (-1.0, -0.5),
                (0.3, 0.5), (0.07, 0.2)),
        "across": ((0.3, 0.7), (-0.5, -0.1), (-0.9, -0.5), (0.6, 1.7), (-0.3, 0.5),
                   (0.3, 0.55), (0.07, 0.25)),
        "none": ((0, 0),) * 7,
    }  # fmt: skip
    if mode in ACROSS and rng.random() < ACROSS[mode]:
        # The shaft lies across the body: the top hand well out on its own side, held
        # lower on the shaft, so that the butt end sticks out beyond the glove.
        ranges[mode] = (
            (0.1, 0.8), (-1.7, -0.8), (-1.0, -0.55), (1.0, 1.9), (0, 0),
            (0.22, 0.38) if mode == "two_hands" else (0, 0), (0.36, 0.68),
        )  # fmt: skip
    keys = ("hand_forward", "hand_side", "hand_up", "azimuth", "lift", "grip", "overhang")
    pose = {k: u(*r) for k, r in zip(keys, ranges[mode], strict=True)}
    pose["roll"] = u(-0.5, 0.5)
    return pose
