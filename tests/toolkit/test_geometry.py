"""Boxes, crops and flips, with numbers that a reader can check by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolkit import geometry

NAN = float("nan")


def points(*xy: tuple[float, float]) -> NDArray[np.float64]:
    """One instance with these keypoints."""
    return np.array([xy], dtype=np.float64)


def box(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    return np.array([[x, y, width, height]], dtype=np.float64)


def test_all_edges_of_a_box_are_inside_it() -> None:
    corners = points((10, 20), (40, 20), (10, 60), (40, 60), (9.99, 30), (20, 60.01), (NAN, 30))

    inside = geometry.inside_box(corners, box(10, 20, 30, 40))

    assert inside.tolist() == [[True, True, True, True, False, False, False]]


def test_distance_from_a_box_is_to_its_nearest_point_and_negative_inside() -> None:
    places = points((13, 14), (5, 12), (10, 5), (4, 5), (NAN, NAN))

    away = geometry.distance_from_box(places, box(0, 0, 10, 10))

    assert np.array_equal(away, [[5.0, 2.0, 0.0, -4.0, np.nan]], equal_nan=True)


def test_the_far_edges_of_an_image_are_outside_it() -> None:
    corners = points((0, 0), (99.9, 49.9), (100, 10), (10, 50), (-0.1, 10), (NAN, NAN))

    inside = geometry.inside_image(corners, np.array([[100, 50]]))

    assert inside.tolist() == [[True, True, False, False, False, False]]


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 10, 10), 50 / 150),
        ((2, 2, 5, 5), 25 / 100),
        ((10, 0, 10, 10), 0.0),
        ((20, 20, 5, 5), 0.0),
        ((0, 0, 0, 0), 0.0),
        ((NAN, NAN, NAN, NAN), 0.0),
    ],
    ids=["same", "half", "within", "touching", "apart", "empty", "missing"],
)
def test_overlap_of_boxes(other: tuple[float, float, float, float], iou: float) -> None:
    assert geometry.bbox_iou(box(0, 0, 10, 10), box(*other)).tolist() == [[iou]]


def test_every_box_meets_every_other() -> None:
    few, many = np.zeros((2, 4)), np.zeros((3, 4))

    assert geometry.bbox_iou(few, many).shape == (2, 3)
    assert geometry.bbox_iou(few[:0], many).shape == (0, 3)


def test_two_empty_boxes_do_not_overlap() -> None:
    assert geometry.bbox_iou(box(1, 1, 0, 0), box(1, 1, 0, 0)).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("given_box", "expected"),
    [
        # 30 x 40 has aspect 3:4 already; padding 2 doubles both sides round (25, 40).
        ((10, 20, 30, 40), (-5, 0, 60, 80)),
        # 60 x 40 grows in height to 80 round (40, 40), then doubles.
        ((10, 20, 60, 40), (-20, -40, 120, 160)),
        # 15 x 40 grows in width to 30 round (17.5, 40), then doubles.
        ((10, 20, 15, 40), (-12.5, 0, 60, 80)),
    ],
    ids=["fits", "too wide", "too narrow"],
)
def test_a_box_grows_to_the_aspect_then_is_padded(
    given_box: tuple[float, float, float, float], expected: tuple[float, float, float, float]
) -> None:
    grown = geometry.expand_to_aspect(box(*given_box), aspect=0.75, padding=2.0)

    assert grown.tolist() == [list(expected)]


def test_box_units_run_from_corner_to_corner() -> None:
    frame = box(10, 20, 30, 40)
    inside = points((10, 20), (40, 60), (25, 40), (55, 0), (NAN, NAN))

    units = geometry.points_to_box(inside, frame)

    expected = [[0, 0], [1, 1], [0.5, 0.5], [1.5, -0.5], [NAN, NAN]]
    np.testing.assert_array_equal(units, [expected])
    np.testing.assert_allclose(geometry.points_from_box(units, frame), inside)


def test_a_crop_of_twice_the_size_doubles_distances() -> None:
    # The box's outer edge is half a pixel before its first centre: centre 10 is 0.5 px
    # into the box, 1 px into the crop, and so lies at crop coordinate 0.5.
    affine = geometry.box_to_crop_affine(box(10, 20, 30, 40), (60, 80))

    moved = geometry.apply_affine(affine, points((10, 20), (39, 59), (9.5, 19.5)))

    np.testing.assert_allclose(moved, [[[0.5, 0.5], [58.5, 78.5], [-0.5, -0.5]]])


def test_each_instance_has_its_own_map() -> None:
    affine = geometry.box_to_crop_affine(np.array([[0.0, 0, 10, 10], [5, 5, 10, 10]]), (10, 10))

    moved = geometry.apply_affine(affine, np.array([[[5.0, 5.0]], [[5.0, 5.0]]]))

    np.testing.assert_allclose(moved, [[[5, 5]], [[0, 0]]])


coordinate = st.floats(-1e4, 1e4)
extent = st.floats(1, 1e4)


@given(coordinate, coordinate, extent, extent, coordinate, coordinate)
def test_the_inverse_map_leads_back(
    x: float, y: float, width: float, height: float, px: float, py: float
) -> None:
    affine = geometry.box_to_crop_affine(box(x, y, width, height), (192, 256))
    there = geometry.apply_affine(affine, points((px, py)))

    back = geometry.apply_affine(geometry.invert_affine(affine), there)

    np.testing.assert_allclose(back, points((px, py)), atol=1e-6)


def test_a_flip_mirrors_x_and_swaps_partners() -> None:
    left, right, nose = (10.0, 5.0), (20.0, 6.0), (NAN, NAN)
    swap = np.array([1, 0, 2])

    flipped = geometry.flip_keypoints(points(left, right, nose), swap, width=100)

    np.testing.assert_array_equal(flipped, points((79, 6), (89, 5), nose))


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=3))
def test_flipping_twice_changes_nothing(three: list[tuple[float, float]]) -> None:
    swap, original = np.array([1, 0, 2]), points(*three)

    twice = geometry.flip_keypoints(geometry.flip_keypoints(original, swap, 640), swap, 640)

    np.testing.assert_allclose(twice, original, atol=1e-9)


def test_a_flip_leaves_its_input_alone() -> None:
    original = points((1, 2), (3, 4))

    geometry.flip_keypoints(original, np.array([0, 1]), 10)

    assert original.tolist() == [[[1, 2], [3, 4]]]
