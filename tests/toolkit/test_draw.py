"""What is drawn lies where the keypoint is, inside the image and beyond it."""

from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations, Predictions
from toolkit.draw import Canvas, draw_image, instance_view, whole_view
from toolkit.ink import (
    OUTSIDE,
    PREDICTED_BODY,
    TRUTH_BODY,
    TRUTH_STICK,
    contact_sheet,
    encode_jpeg,
    encode_png,
    legend,
)
from toolkit.schema import Keypoint, Schema

SCHEMA = Schema(
    name="tiny",
    title="Tiny",
    keypoints=(
        Keypoint("head"),
        Keypoint("foot"),
        Keypoint("tip", group="extension", report_group="Tip"),
    ),
    edges=(("head", "foot"), ("foot", "tip")),
)


def person(
    tip: tuple[float, float] = (120.0, 60.0), visibility: tuple[int, ...] = (2, 1, 2)
) -> Annotations:
    """Box (40, 20, 40, 60): head and foot inside it, tip outside unless moved."""
    points = np.array([[[60.0, 30.0], [60.0, 70.0], tip]])
    return Annotations.from_arrays(
        SCHEMA,
        np.array([1]),
        points,
        np.array([visibility], dtype=np.uint8),
        np.array([[40.0, 20.0, 40.0, 60.0]]),
    )


def grey(width: int = 160, height: int = 120) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def color_at(canvas: Canvas, x: float, y: float) -> tuple[int, ...]:
    column, row = np.rint(canvas.locate(np.array([x, y]))).astype(int)
    return tuple(int(c) for c in canvas.pixels[row, column])


def test_a_visible_marker_is_filled_and_an_occluded_one_is_a_ring() -> None:
    canvas = draw_image(grey(), person())

    assert color_at(canvas, 60, 30) == TRUTH_BODY
    assert color_at(canvas, 120, 60) == TRUTH_STICK
    assert sum(color_at(canvas, 60, 70)) < 100  # the ring's dark middle


def test_a_small_image_is_enlarged_and_an_image_point_keeps_its_pixel() -> None:
    image = grey()
    image[90, 10] = (255, 0, 0)

    canvas = draw_image(image, person())

    assert canvas.scale == 5
    assert canvas.pixels.shape == (600, 800, 3)
    red, green, blue = color_at(canvas, 10, 90)
    assert red > 200
    assert max(green, blue) < 80


def test_only_keypoints_outside_their_box_wear_the_diamond() -> None:
    def diamonds(tip: tuple[float, float]) -> int:
        canvas = draw_image(grey(), person(tip))
        return int((canvas.pixels == OUTSIDE).all(axis=2).sum())

    assert diamonds((120.0, 60.0)) > 50
    assert diamonds((70.0, 60.0)) == 0
    assert diamonds((80.0, 80.0)) == 0  # the box's own edge is inside


@pytest.mark.parametrize(
    "tip", [(-30.0, 60.0), (190.0, 60.0), (60.0, -40.0), (60.0, 150.0), (-30.0, 150.0)]
)
def test_a_keypoint_beyond_the_image_is_on_the_grown_canvas(
    tip: tuple[float, float],
) -> None:
    canvas = draw_image(grey(), person(tip))

    at = canvas.locate(np.array(tip))
    height, width = canvas.pixels.shape[:2]
    assert (at > 10).all()
    assert (at < np.array([width, height]) - 10).all()
    assert color_at(canvas, *tip) == TRUTH_STICK
    assert color_at(canvas, 60, 30) == TRUTH_BODY
    assert color_at(canvas, 150, 110) == (128, 128, 128)


def test_a_keypoint_absurdly_far_out_does_not_grow_the_canvas_without_end() -> None:
    canvas = draw_image(grey(), person((1e9, 1e9)))

    assert max(canvas.pixels.shape) <= 5 * 160 * 2


def test_unlabelled_keypoints_are_not_drawn() -> None:
    canvas = draw_image(grey(), person(visibility=(2, 2, 0)))

    assert not (canvas.pixels == TRUTH_STICK).all(axis=2).any()


def test_predictions_have_colours_of_their_own_and_use_the_box_they_name() -> None:
    truth = person()
    found = Predictions.from_arrays(
        SCHEMA,
        np.array([1]),
        np.array([[[50.0, 40.0], [50.0, 65.0], [130.0, 90.0]]]),
        annotation_id=np.array([1]),
    )

    canvas = draw_image(grey(), truth, found)

    assert color_at(canvas, 50, 40) == PREDICTED_BODY
    assert color_at(canvas, 60, 30) == TRUTH_BODY
    only = draw_image(grey(), None, found)  # no box is known: nothing is outside
    assert not (only.pixels == OUTSIDE).all(axis=2).any()


def test_a_keypoint_that_was_not_predicted_is_not_drawn_in_the_corner() -> None:
    points = person().keypoints.copy()
    points[0, 0] = 0
    scores = np.array([[0.0, 0.9, 0.9]])

    canvas = draw_image(
        grey(),
        None,
        Predictions.from_arrays(SCHEMA, np.array([1]), points, keypoint_scores=scores),
    )
    sure = draw_image(grey(), None, Predictions.from_arrays(SCHEMA, np.array([1]), points))

    assert color_at(canvas, 0, 0) == (128, 128, 128)
    assert color_at(canvas, 30, 35) == (128, 128, 128)  # half way to the foot
    assert color_at(sure, 0, 0) == PREDICTED_BODY


def test_a_view_has_the_size_asked_for_and_shows_what_lies_beyond_the_image() -> None:
    truth = person((-20.0, 60.0))
    view = instance_view(truth.bbox_xywh[0], truth.keypoints[0])

    canvas = draw_image(grey(), truth, view_xywh=view, long_side=300)

    assert canvas.pixels.shape == (300, 300, 3)
    assert color_at(canvas, -20, 60) == TRUTH_STICK


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the box's far corner
def test_a_view_of_a_person_whose_numbers_overflow_is_a_picture() -> None:
    truth = person(tip=(1.7e308, -1.7e308))

    view = instance_view(np.array([0, 0, 1e308, 1e308]), truth.keypoints[0])
    canvas = draw_image(np.zeros((80, 100, 3), np.uint8), truth, view_xywh=view, long_side=64)

    assert np.isfinite(view).all()
    assert canvas.pixels.shape == (64, 64, 3)


def test_an_id_is_written_at_a_box_with_room_for_it_and_at_no_other() -> None:
    box = person().bbox_xywh.copy()
    tiny = replace(person(), bbox_xywh=np.array([[40.0, 20.0, 1.0, 60.0]]))

    plain, labelled, narrow = (
        draw_image(grey(), people, crops=False, labels=labels).pixels
        for people, labels in ((person(), False), (person(), True), (tiny, True))
    )
    without = draw_image(grey(), tiny, crops=False).pixels

    changed = np.argwhere((plain != labelled).any(axis=2))
    assert len(changed) > 50
    top_left = box[0, :2] * 5  # the canvas is enlarged five times
    assert (np.abs(changed - top_left[::-1]).max(axis=1) < 40).all()
    assert np.array_equal(narrow, without)


def test_the_crop_has_the_padding_that_was_asked_for() -> None:
    # Box (40, 20, 40, 60) becomes 45 x 60 round (60, 50); padding 2: 90 x 120.
    usual, wide = (
        draw_image(grey(400, 300), person(), crop_padding=padding).pixels
        for padding in (1.1, 2.0)
    )
    none = draw_image(grey(400, 300), person(), crops=False).pixels

    def right_edge(pixels: np.ndarray) -> float:
        return float(np.argwhere((pixels != none).any(axis=2))[:, 1].max()) / 2

    assert right_edge(usual) == pytest.approx(60 + 45 * 1.1 / 2, abs=2)
    assert right_edge(wide) == pytest.approx(60 + 45 * 2.0 / 2, abs=2)


def test_lines_grow_with_a_canvas_that_is_larger_than_a_screen() -> None:
    def share_of_green(factor: int) -> float:
        people = person()
        large = replace(
            people, keypoints=people.keypoints * factor, bbox_xywh=people.bbox_xywh * factor
        )
        pixels = draw_image(grey(160 * factor, 120 * factor), large, crops=False).pixels
        return float((pixels == TRUTH_BODY).all(axis=2).mean())

    assert share_of_green(25) == pytest.approx(share_of_green(6), rel=0.35)


def test_the_whole_view_is_what_is_drawn_by_itself() -> None:
    people = person((190.0, 60.0))
    view = whole_view(grey(), people, None)

    by_itself = draw_image(grey(), people)
    same = draw_image(grey(), people, view_xywh=view, long_side=max(by_itself.pixels.shape))

    assert view[:2].tolist() == [0, 0]
    assert view[2] > 190
    assert same.pixels.shape == by_itself.pixels.shape


def test_drawing_twice_gives_the_same_bytes() -> None:
    first, second = (draw_image(grey(), person()).pixels for _ in range(2))

    assert encode_jpeg(first) == encode_jpeg(second)
    assert encode_png(first) == encode_png(second)


def test_the_legend_wraps_and_the_contact_sheet_keeps_its_tiles() -> None:
    wide, narrow = (legend(SCHEMA, width, predicted=True) for width in (1400, 300))
    sheet = contact_sheet([np.full((4, 6, 3), n, np.uint8) for n in range(3)], 2, gap=1)

    assert wide.shape[1] == 1400
    assert narrow.shape[0] > wide.shape[0]
    assert sheet.shape == (11, 15, 3)
    assert (sheet[6:10, 1:7] == 2).all()
    large = legend(SCHEMA, 4000, predicted=True, scale=3.6)
    assert large.shape[1] == 4000
    assert large.shape[0] > 2 * legend(SCHEMA, 4000, predicted=True).shape[0]
