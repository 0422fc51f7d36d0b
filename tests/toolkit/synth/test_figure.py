"""The figure and its stick: hands on the shaft, reach, shares outside the box."""

import numpy as np
import pytest

from toolkit.synth.appearance import build_parts, sample_look, team_palette
from toolkit.synth.camera import Camera
from toolkit.synth.clip import crowd_index
from toolkit.synth.figure import TWO_HANDED, pose_figure, sample_build, two_bones
from toolkit.synth.frame import _project, _union
from toolkit.synth.poses import STICK_MODES, sample_motion


def _figures(kind, count):
    for index in range(count):
        rng = np.random.default_rng([11, index])
        build, motion = sample_build(rng, kind), sample_motion(rng, kind)
        heading = float(rng.uniform(-np.pi, np.pi))
        figure = pose_figure(build, motion, motion.at(0.5, 0.3), np.zeros(3), heading)
        yield rng, build, motion, figure


def _off_shaft(figure, name):
    butt, heel = figure.joints["butt_end"], figure.joints["stick_heel"]
    axis = (heel - butt) / np.linalg.norm(heel - butt)
    offset = figure.joints[name] - butt
    return np.linalg.norm(offset - (offset @ axis) * axis)


def test_two_bones_reach_the_target_with_their_own_lengths():
    root, end = np.zeros(3), np.array([0.5, 0.0, 0.0])

    middle, reached = two_bones(root, end, 0.3, 0.4, np.array([0.0, 0.0, 1.0]))

    assert reached == pytest.approx(end)
    assert np.linalg.norm(middle) == pytest.approx(0.3)
    assert np.linalg.norm(end - middle) == pytest.approx(0.4)
    assert middle[2] > 0  # bends towards the pole


def test_two_bones_stop_short_of_a_target_out_of_reach():
    middle, reached = two_bones(
        np.zeros(3), np.array([5.0, 0, 0]), 0.3, 0.4, np.array([0, 0, 1.0])
    )

    assert np.linalg.norm(reached) == pytest.approx(0.7, abs=0.002)
    assert np.linalg.norm(middle) == pytest.approx(0.3)


@pytest.mark.parametrize("kind", ["hockey", "lacrosse"])
def test_in_a_two_handed_grip_both_hands_are_on_the_shaft(kind):
    checked = 0
    for _, _, motion, figure in _figures(kind, 250):
        if motion.stick_mode not in TWO_HANDED:
            continue
        checked += 1
        for side in ("left", "right"):
            assert _off_shaft(figure, f"{side}_hand") < 0.03
            assert _off_shaft(figure, f"{side}_wrist") < 0.12
    assert checked > 100


def test_most_hockey_sticks_are_held_with_two_hands_and_some_with_one():
    shares = STICK_MODES["hockey"]

    assert sum(shares.values()) == pytest.approx(1)
    assert 0.6 <= shares["two_hands"] <= 0.75
    assert 0.12 <= shares["one_hand"] <= 0.2


def test_left_joints_are_on_the_persons_own_left():
    for _, _, _, figure in _figures("hockey", 40):
        forward, left, _ = figure.pelvis
        hips = figure.joints["left_hip"] - figure.joints["right_hip"]
        assert hips @ left > 0
        assert np.cross(forward, left) == pytest.approx([0, 0, 1])
        face = figure.joints["left_eye"] - figure.joints["right_eye"]
        assert face @ figure.head[1] > 0


def test_a_person_facing_the_camera_has_their_left_on_the_pictures_right():
    rng = np.random.default_rng(1)
    build, motion = sample_build(rng, "crowd"), sample_motion(rng, "crowd")
    pose = motion.at(0, 0) | {"turn": 0.0, "twist": 0.0}
    camera = Camera.looking_at(np.array([0, 0, 0.8]), 0.0, 0.2, 15.0, 1200.0)

    figure = pose_figure(build, motion, pose, np.zeros(3), -np.pi / 2)

    left = camera.project(figure.joints["left_shoulder"])
    right = camera.project(figure.joints["right_shoulder"])
    assert left[0] > right[0]


def test_enough_stick_ends_lie_outside_the_human_box():
    camera = Camera.looking_at(np.array([0, 0, 0.8]), 0.0, 0.3, 20.0, 1700.0)
    outside = {"butt_end": [], "stick_heel": [], "stick_toe": []}
    for rng, build, _, figure in _figures("hockey", 600):
        look = sample_look(rng, "hockey", team_palette(rng, "hockey"))
        drawn = _project(build_parts(figure, build, look), camera)
        body = np.array([part.body for part in drawn.parts])
        x0, y0, x1, y1 = _union(drawn.extents[body])
        margin = 0.02 * max(x1 - x0, y1 - y0)
        for name, seen in outside.items():
            x, y, _ = camera.project(figure.joints[name])
            inside = x0 - margin <= x <= x1 + margin and y0 - margin <= y <= y1 + margin
            seen.append(not inside)

    assert np.mean(outside["butt_end"]) >= 0.15
    assert np.mean(outside["stick_heel"]) >= 0.60
    assert np.mean(outside["stick_toe"]) >= 0.60


def test_crowd_index_of_two_people_one_inside_the_other():
    # The big box holds both people's two points (2 others / 2 own = 1); the small box
    # holds its own two only (0): the mean is 0.5.
    big, small = np.array([0.0, 0, 100, 100]), np.array([40.0, 40, 10, 10])
    points = [np.array([[10.0, 10], [90, 90]]), np.array([[42.0, 42], [48, 48]])]

    assert crowd_index(points, [big, small]) == 0.5
    assert crowd_index([], []) == 0.0
