"""Drawing: depth, visibility and blur on scenes made by hand."""

import numpy as np
import pytest

from toolkit.synth.camera import HEIGHT, WIDTH, Camera
from toolkit.synth.frame import Picture, _draw, _project, blur_kernel
from toolkit.synth.raster import Capsule, Ellipsoid

CAMERA = Camera.looking_at(np.array([0.0, 0.0, 1.0]), 0.0, 0.0, 10.0, 1000.0)


def _ball(y, radius=0.3, material=1):
    return Ellipsoid(np.array([0.0, y, 1.0]), np.eye(3) * radius, material)


def _add(picture, part, owner):
    layer = _draw(_project([part], CAMERA), CAMERA)
    assert layer is not None
    cover = (layer.material[::2, ::2] > 0).astype(np.float32)
    colour = np.repeat(cover[..., None], 4, axis=2)
    depth = layer.depth[::2, ::2]
    return picture.add(
        layer, colour, depth, layer.body[::2, ::2].astype(np.float32), owner, None
    )


def test_the_camera_puts_its_target_in_the_middle_and_up_is_up():
    middle = CAMERA.project(np.array([0.0, 0.0, 1.0]))
    above = CAMERA.project(np.array([0.0, 0.0, 1.5]))
    right = CAMERA.project(np.array([0.5, 0.0, 1.0]))

    assert middle == pytest.approx([WIDTH / 2, HEIGHT / 2, 10.0])
    assert above == pytest.approx([WIDTH / 2, HEIGHT / 2 - 50, 10.0])
    assert right == pytest.approx([WIDTH / 2 + 50, HEIGHT / 2, 10.0])


def test_an_occluder_in_front_turns_a_visible_keypoint_hidden():
    picture = Picture(np.zeros((HEIGHT, WIDTH, 3), np.float32))
    _add(picture, _ball(y=0.0), owner=0)
    point = CAMERA.project(np.array([0.0, -0.3, 1.0]))  # on the ball's near side
    assert picture.sees(point, 0, 0.05)

    _add(picture, _ball(y=-3.0), owner=1)

    assert not picture.sees(point, 0, 0.05)


def test_an_object_behind_changes_nothing_even_when_drawn_later():
    picture = Picture(np.zeros((HEIGHT, WIDTH, 3), np.float32))
    _add(picture, _ball(y=0.0), owner=0)
    point = CAMERA.project(np.array([0.0, -0.3, 1.0]))

    _add(picture, _ball(y=4.0), owner=1)

    assert picture.sees(point, 0, 0.05)
    assert picture.owner[HEIGHT // 2, WIDTH // 2] == 0


def test_the_far_side_of_an_object_is_hidden_by_its_near_side():
    picture = Picture(np.zeros((HEIGHT, WIDTH, 3), np.float32))
    _add(picture, _ball(y=0.0), owner=0)

    assert not picture.sees(CAMERA.project(np.array([0.0, 0.3, 1.0])), 0, 0.05)


def test_a_point_outside_the_picture_is_not_seen():
    picture = Picture(np.zeros((HEIGHT, WIDTH, 3), np.float32))

    assert not picture.sees(np.array([-0.1, 50.0, 10.0]), 0, 1.0)
    assert not picture.sees(np.array([50.0, float(HEIGHT), 10.0]), 0, 1.0)


def test_a_ball_covers_the_disc_that_its_radius_says():
    picture = Picture(np.zeros((HEIGHT, WIDTH, 3), np.float32))

    pixels = _add(picture, _ball(y=0.0), owner=0)

    assert pixels == pytest.approx(np.pi * 30**2, rel=0.03)  # 0.3 m at 100 px a metre
    assert picture.depth.min() == pytest.approx(9.7, abs=0.01)


def test_a_capsules_extent_is_its_ends_and_radii():
    capsule = Capsule(np.array([-0.5, 0, 1.0]), np.array([0.5, 0, 1.0]), 0.1, 0.2, 1)

    extent = _project([capsule], CAMERA).extents[0]

    assert extent == pytest.approx([320 - 60, 180 - 20, 320 + 70, 180 + 20])


def test_a_blur_kernel_is_centred_and_keeps_brightness():
    kernel = blur_kernel(6.0, 0.0)

    assert kernel is not None
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert kernel == pytest.approx(kernel[::-1, ::-1])
    assert kernel[kernel.shape[0] // 2].sum() == pytest.approx(1, abs=1e-6)
    assert blur_kernel(0.5, 0.5) is None
