"""The jointed figure: from a pose to joints in the world, hands on the stick.

The stick is placed first (blade on the ground at its natural lie, or pointing where the
pose says), the hands are points of its shaft, and the arms follow by two-bone inverse
kinematics; where an arm is too short, the stick comes nearer, so a gripping hand is
really on the shaft.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.synth.poses import Motion, Pose

F64 = NDArray[np.float64]
UP = np.array([0.0, 0.0, 1.0])
TWO_HANDED = {"two_hands", "carried", "wind_up", "cradle", "shot", "low", "across"}
ON_GROUND = {"two_hands", "one_hand"}


@dataclass(frozen=True)
class Build:
    """Lengths of one person and their stick, in metres."""

    height: float
    breadth: float
    bulk: float
    sole: float
    shaft: float
    blade: float

    @property
    def leg(self) -> float:
        """Length of thigh and shank, each."""
        return 0.2455 * self.height

    @property
    def arm(self) -> tuple[float, float]:
        """Length of the upper arm, and of the forearm to the middle of the hand."""
        return 0.176 * self.height, 0.196 * self.height

    @property
    def trunk(self) -> float:
        """From the middle of the hips to the base of the neck."""
        return 0.295 * self.height


def sample_build(rng: np.random.Generator, kind: str) -> Build:
    """Draws a person's build and the stick that goes with it."""
    height = float(np.clip(rng.normal(1.80, 0.07), 1.6, 2.0))
    if kind == "crowd":
        height = float(np.clip(rng.normal(1.71, 0.10), 1.45, 1.98))
    shaft = float(rng.uniform(1.22, 1.45) * height / 1.8)
    if kind == "lacrosse":
        shaft = float(rng.uniform(0.75, 0.95) if rng.random() < 0.75 else rng.uniform(1.2, 1.4))
    return Build(
        height,
        float(rng.uniform(0.93, 1.08)),
        float(rng.uniform(0.9, 1.12)),
        0.07 if kind == "hockey" else 0.0,
        shaft,
        float(rng.uniform(0.25, 0.32)),
    )


@dataclass(frozen=True)
class Figure:
    """Joints and directions of one person in one frame (world, metres).

    Attributes:
        joints: Name to (3,) point: shoulders, elbows, wrists, hands, hips, knees,
            ankles, toes, heels, neck, chest, pelvis, head, and the face; with a stick
            also butt_end, stick_heel, stick_toe.
        torso: (3, 3) rows forward, left, up of the rib cage.
        pelvis: (3, 3) rows forward, left, up of the hips.
        head: (3, 3) rows forward, left, up of the head.
        blade_up: (3,) which way the blade's face is tall.
    """

    joints: dict[str, F64]
    torso: F64
    pelvis: F64
    head: F64
    blade_up: F64


def unit(vector: F64) -> F64:
    """Scales a vector to length one."""
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def two_bones(root: F64, end: F64, first: float, second: float, pole: F64) -> tuple[F64, F64]:
    """Solves a two-bone limb; returns the middle joint and the end it reaches."""
    line = end - root
    span = float(np.linalg.norm(line))
    reach = float(np.clip(span, abs(first - second) + 0.02, (first + second) * 0.998))
    along = line / max(span, 1e-9)
    bend = unit(pole - (pole @ along) * along)
    cosine = (first**2 + reach**2 - second**2) / (2 * first * reach)
    sine = np.sqrt(max(0.0, 1 - cosine**2))
    return root + along * first * cosine + bend * first * sine, root + along * reach


def pose_figure(
    build: Build, motion: Motion, pose: Pose, position: F64, heading: float
) -> Figure:
    """Places a person in the world.

    Args:
        build: Their lengths.
        motion: Their posture, stick mode and side.
        pose: The pose at this moment.
        position: (3,) point on the ground below the hips.
        heading: Where they face, in radians from the world's x axis.
    """
    heading += pose["turn"]
    forward = np.array([np.cos(heading), np.sin(heading), 0.0])
    left = np.array([-forward[1], forward[0], 0.0])
    joints: dict[str, F64] = {}
    pelvis = _legs(joints, build, pose, position, forward, left)
    torso = _torso(joints, build, pose, forward, left)
    head = _head(joints, build, pose, torso, forward, left)
    blade_up = UP
    hands: dict[str, F64] = {}
    if motion.stick_mode != "none":
        hands, blade_up = _stick(joints, build, motion, pose, forward, left)
    _arms(joints, build, motion, pose, torso, forward, left, hands)
    return Figure(joints, torso, pelvis, head, blade_up)


def _legs(
    joints: dict[str, F64], build: Build, pose: Pose, position: F64, forward: F64, left: F64
) -> F64:
    leg, half = build.leg, 0.052 * build.height
    ankle_height = build.sole + 0.045 * build.height
    hips_height = ankle_height + pose["hip"] * 2 * leg
    ankles: dict[str, F64] = {}
    for name, sign in (("left", 1.0), ("right", -1.0)):
        ahead, out = pose[f"{name}_forward"], pose[f"{name}_out"] - half
        flat = float(np.hypot(ahead, out))
        limit = 0.85 * 2 * leg
        if flat > limit:
            ahead, out, flat = ahead * limit / flat, out * limit / flat, limit
        ankles[name] = (
            position + forward * ahead + left * (sign * (out + half))
            + UP * (ankle_height + pose[f"{name}_up"])
        )  # fmt: skip
        tallest = float(np.sqrt((1.985 * leg) ** 2 - flat**2))
        hips_height = min(hips_height, float(ankles[name][2]) + tallest)
    middle = position + UP * hips_height
    joints["pelvis"] = middle
    for name, sign in (("left", 1.0), ("right", -1.0)):
        hip = middle + left * (sign * half)
        toes = unit(forward + left * (sign * np.tan(min(pose[f"{name}_toe_out"], 1.1))))
        knee, ankle = two_bones(hip, ankles[name], leg, leg, forward + left * sign * 0.25)
        pitch = 0.5 * pose[f"{name}_up"] / 0.2
        toes = unit(toes - UP * pitch)
        joints |= {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle}
        drop = UP * (0.03 * build.height)
        joints[f"{name}_toe"] = ankle + toes * 0.105 * build.height - drop
        joints[f"{name}_heel"] = ankle - toes * 0.03 * build.height - drop
    return np.stack([forward, left, UP])


def _torso(joints: dict[str, F64], build: Build, pose: Pose, forward: F64, left: F64) -> F64:
    spine = unit(
        UP * np.cos(pose["lean"])
        + forward * np.sin(pose["lean"])
        + left * np.sin(pose["side_lean"])
    )
    across = unit(left - (left @ spine) * spine)
    across = across * np.cos(pose["twist"]) + np.cross(spine, across) * np.sin(pose["twist"])
    front = np.cross(across, spine)
    neck = joints["pelvis"] + spine * build.trunk
    half = 0.108 * build.height * build.breadth
    joints["neck"] = neck
    joints["chest"] = joints["pelvis"] + spine * build.trunk * 0.68
    for name, sign in (("left", 1.0), ("right", -1.0)):
        joints[f"{name}_shoulder"] = neck - spine * 0.035 + across * sign * half
    return np.stack([front, across, spine])


def _head(
    joints: dict[str, F64], build: Build, pose: Pose, torso: F64, forward: F64, left: F64
) -> F64:
    size = build.height / 1.8
    yaw, pitch = pose["head_yaw"], pose["head_pitch"]
    level = forward * np.cos(yaw) + left * np.sin(yaw)
    gaze = level * np.cos(pitch) - UP * np.sin(pitch)
    side = np.cross(UP, level)
    top = np.cross(gaze, side)
    centre = joints["neck"] + unit(0.65 * torso[2] + 0.6 * UP) * 0.155 * size + gaze * 0.03
    joints["skull"] = centre
    joints["nose"] = centre + (gaze * 0.106 - top * 0.025) * size
    for name, sign in (("left", 1.0), ("right", -1.0)):
        joints[f"{name}_eye"] = (
            centre + (gaze * 0.088 + side * sign * 0.033 + top * 0.012) * size
        )
        joints[f"{name}_ear"] = (
            centre + (-gaze * 0.012 + side * sign * 0.078 - top * 0.012) * size
        )
    joints["head"] = centre + top * 0.125 * size
    return np.stack([gaze, side, top])


def _stick(
    joints: dict[str, F64], build: Build, motion: Motion, pose: Pose, forward: F64, left: F64
) -> tuple[dict[str, F64], F64]:
    """Places stick and hands; returns the gripping hands and the blade's up vector."""
    across = left * motion.side
    middle = 0.5 * (joints["left_shoulder"] + joints["right_shoulder"])
    place = forward * pose["hand_forward"] + across * pose["hand_side"]
    hand = middle + place * 0.5 + UP * pose["hand_up"] * build.trunk
    hand[2] = max(hand[2], 0.45)
    far_name, near_name = ("left", "right") if motion.side > 0 else ("right", "left")
    shoulders = {"near": joints[f"{near_name}_shoulder"], "far": joints[f"{far_name}_shoulder"]}
    reach = 0.985 * sum(build.arm)
    flat = forward * np.cos(pose["azimuth"]) + across * np.sin(pose["azimuth"])
    length = build.shaft + 0.19 - pose["overhang"]
    two = motion.stick_mode in TWO_HANDED
    grip = pose["grip"]
    for _ in range(12):
        hand = _within(hand, shoulders["near"], reach)
        direction = _direction(motion, pose, hand, flat, length)
        if not two:
            break
        gap = np.linalg.norm(hand + direction * grip - shoulders["far"]) - reach
        if gap <= 0:
            break
        grip = max(0.16, grip - 0.03)
        target = 0.5 * (shoulders["near"] + shoulders["far"]) + forward * 0.22 - UP * 0.25
        hand = hand + (target - hand) * 0.18
    direction = _direction(motion, pose, hand, flat, length)
    heel = hand + direction * length
    joints["butt_end"] = hand - direction * pose["overhang"]
    joints["stick_heel"] = heel
    toe, blade_up = _blade(motion, pose, direction, flat)
    joints["stick_toe"] = heel + toe * build.blade
    grips = {near_name: hand}
    if two:
        grips[far_name] = hand + direction * grip
    return grips, blade_up


def _within(point: F64, centre: F64, radius: float) -> F64:
    offset = point - centre
    distance = float(np.linalg.norm(offset))
    return point if distance <= radius else centre + offset * (radius / distance)


def _direction(motion: Motion, pose: Pose, hand: F64, flat: F64, length: float) -> F64:
    """From the anchor hand to the far end; on the ground by the height of the hand."""
    if motion.stick_mode in ON_GROUND and motion.start["lift"] == 0.0:
        drop = min(float(hand[2]) - 0.025, 0.97 * length) / length
        return flat * math.sqrt(1 - drop**2) - UP * drop
    lift = pose["lift"]
    if float(hand[2]) + np.sin(lift) * length < 0.03:
        lift = float(np.arcsin(np.clip((0.03 - hand[2]) / length, -1, 1)))
    return flat * float(np.cos(lift)) + UP * float(np.sin(lift))


def _blade(motion: Motion, pose: Pose, direction: F64, flat: F64) -> tuple[F64, F64]:
    """Returns where the toe lies from the heel, and the blade's tall side (units)."""
    side = np.cross(UP, flat)
    if motion.stick_mode in ON_GROUND and motion.start["lift"] == 0.0:
        toe = unit(
            np.asarray(flat * np.cos(pose["roll"]) + side * np.sin(pose["roll"]), np.float64)
        )
        return toe, UP
    bend = unit(np.asarray(np.cross(side, direction), np.float64))
    turn = pose["roll"] * 2.5
    turned = bend * np.cos(turn) + np.cross(direction, bend) * np.sin(turn)
    bend = np.asarray(turned, np.float64)
    toe = np.asarray(direction * np.cos(0.8) + bend * np.sin(0.8), np.float64)
    toe = unit(toe)
    return toe, unit(np.asarray(bend * np.cos(0.8) - direction * np.sin(0.8), np.float64))


def _arms(
    joints: dict[str, F64],
    build: Build,
    motion: Motion,
    pose: Pose,
    torso: F64,
    forward: F64,
    left: F64,
    grips: dict[str, F64],
) -> None:
    upper, lower = build.arm
    for name, sign in (("left", 1.0), ("right", -1.0)):
        shoulder = joints[f"{name}_shoulder"]
        if name in grips:
            target = grips[name]
        else:
            swing = pose[f"{name}_swing"]
            target = (
                shoulder
                + forward * (pose[f"{name}_hand_forward"] + 0.45 * swing)
                + left * (sign * pose[f"{name}_hand_out"])
                + UP * (pose[f"{name}_hand_up"] + 0.12 * abs(swing))
            )
        raised = float(np.clip((target[2] - shoulder[2]) * 2, 0, 1))
        pole = left * sign * (0.7 + raised) - UP * 0.8 - forward * (0.55 - 0.4 * raised)
        elbow, hand = two_bones(shoulder, target, upper, lower, pole)
        joints[f"{name}_elbow"], joints[f"{name}_hand"] = elbow, hand
        joints[f"{name}_wrist"] = elbow + (hand - elbow) * 0.77
