"""The crop curve: worked by hand, and the same geometry as the models' own crops."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.annotations import Annotations
from toolkit.crop_curve import (
    crop_curve,
    harmless,
    outside_share,
    padding_needed,
    padding_to_hold,
    parse_aspect,
)
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.geometry import apply_affine, box_to_crop_affine, expand_to_aspect
from toolkit.schema import Keypoint, Schema

BOX = np.array([[99.5, 99.5, 60.0, 80.0]])  # 3:4 already; its centre is (129.5, 139.5)


def needed(x: float, y: float) -> float:
    return float(padding_needed(np.array([[[x, y]]]), BOX, 0.75)[0, 0])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (129.0, 139.0, 0.0),  # the centre, half a pixel from its pixel's corner
        (159.0, 139.0, 1.0),  # 30 px right of it: half the width of 60
        (189.0, 139.0, 2.0),
        (129.0, 219.0, 2.0),  # 80 px below: half the height is 40
        (99.0, 99.0, 1.0),
        (144.0, 199.0, 1.5),  # 15 / 30 across, 60 / 40 down: the larger counts
    ],
)
def test_the_padding_that_a_point_needs(x: float, y: float, expected: float) -> None:
    assert needed(x, y) == pytest.approx(expected, abs=1e-12)


def test_a_narrow_box_grows_to_the_inputs_aspect_first() -> None:
    narrow = np.array([[119.5, 99.5, 20.0, 80.0]])  # becomes 60 wide round the same centre

    found = padding_needed(np.array([[[159.0, 139.0]]]), narrow, 0.75)

    assert found[0, 0] == pytest.approx(1.0)


@given(
    st.lists(st.floats(-400, 700), min_size=8, max_size=8),
    st.floats(5, 300),
    st.floats(5, 300),
    st.sampled_from([1.0, 1.1, 1.25, 1.7, 3.0]),
    st.sampled_from([(96, 128), (192, 256), (128, 128)]),
)
def test_outside_means_what_the_models_crops_mean(
    values: list[float], width: float, height: float, padding: float, size: tuple[int, int]
) -> None:
    points = np.array(values).reshape(1, 4, 2)
    box = np.array([[50.0, 60.0, width, height]])
    aspect = size[0] / size[1]

    need = padding_needed(points, box, aspect)

    crop = expand_to_aspect(box, aspect, padding)
    at = apply_affine(box_to_crop_affine(crop, size), points)
    inside = ((at >= -0.5) & (at <= np.array(size) - 0.5)).all(axis=2)
    clear = np.abs(need - padding) > 1e-9  # on the very edge rounding decides
    np.testing.assert_array_equal((need <= padding)[clear], inside[clear])


def test_shares_and_quantiles_of_four_points() -> None:
    values = np.array([0.5, 1.0, 1.5, 2.0])

    assert [outside_share(values, p) for p in (0.4, 1.0, 1.2, 2.0)] == [1.0, 0.5, 0.5, 0.0]
    assert [padding_to_hold(values, q) for q in (0.5, 0.75, 0.9, 0.99)] == [1.0, 1.5, 2.0, 2.0]


def test_nothing_labelled_gives_none_and_not_zero() -> None:
    assert outside_share(np.zeros(0), 1.25) is None
    assert padding_to_hold(np.zeros(0), 0.9) is None


def test_the_curve_of_two_people_by_keypoint_and_group(
    make_dataset: Callable[..., Dataset],
) -> None:
    # Box [20, 10, 10, 20] grows to 15 x 20 round (25, 20). Head (25, 10): 9.5 up of 10, 0.95.
    # Foot (25, 30): 10.5 / 10 = 1.05. Tip (35, 30): 10.5 / 7.5 = 1.4.
    curve = crop_curve(make_dataset().annotations, paddings=(1.5, 1.0, 1.1))

    assert curve.paddings == (1.0, 1.1, 1.5)
    document = curve.to_json()
    rows = document["keypoints"]
    assert isinstance(rows, dict)
    assert rows["head"]["outside"] == [0.0, 0.0, 0.0]
    assert rows["foot"]["outside"] == [1.0, 0.0, 0.0]
    assert rows["tip"]["outside"] == [1.0, 1.0, 0.0]
    assert rows["tip"]["padding_to_hold"]["0.99"] == pytest.approx(1.4)
    groups = document["groups"]
    assert isinstance(groups, dict)
    assert groups["body"]["outside"] == [0.5, 0.0, 0.0]
    assert groups["Mean"]["outside"] == pytest.approx([2 / 3, 1 / 3, 0.0])


def test_people_without_a_usable_box_are_left_out_and_counted(tiny_schema: Schema) -> None:
    boxes = np.array([[0.0, 0, 10, 20], [np.nan] * 4, [5.0, 5, 0, 10], [5.0, 5, 4, -1]])
    people = Annotations.from_arrays(
        tiny_schema,
        np.ones(4, np.int64),
        np.full((4, 3, 2), 5.0),
        np.full((4, 3), 2, np.uint8),
        boxes,
    )

    curve = crop_curve(people)

    assert curve.left_out == 9
    assert len(curve.keypoints["tip"]) == 1


def test_a_body_schema_has_no_extension_share(tiny_schema: Schema) -> None:
    schema = Schema(name="b", title="B", keypoints=(Keypoint("head"),))
    people = Annotations.from_arrays(
        schema, np.ones(1, np.int64), np.ones((1, 1, 2)), np.ones((1, 1), np.uint8), BOX
    )

    groups = crop_curve(people).to_json()["groups"]

    assert isinstance(groups, dict)
    assert groups["extension"]["n"] == 0
    assert groups["extension"]["outside"] == [None] * 7


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_padding_that_is_no_positive_number_is_refused(
    value: float, make_dataset: Callable[..., Dataset]
) -> None:
    with pytest.raises(UsageError, match="expected a number above 0"):
        crop_curve(make_dataset().annotations, paddings=(value,))


@pytest.mark.parametrize(
    ("text", "expected"), [("3:4", 0.75), ("96x128", 0.75), ("1", 1.0), ("0.75", 0.75)]
)
def test_an_aspect_is_a_ratio_or_a_number(text: str, expected: float) -> None:
    assert parse_aspect(text) == expected


@pytest.mark.parametrize("text", ["", "a:b", "3:0", "1:2:3", "-3:4", "nan", "inf"])
def test_an_aspect_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected width and height"):
        parse_aspect(text)


def test_the_table_is_csv_without_formulas(make_dataset: Callable[..., Dataset]) -> None:
    schema = Schema(
        name="evil",
        title="E",
        keypoints=(Keypoint("=cmd()"), Keypoint("a,b"), Keypoint('"q"', group="extension")),
    )
    text = crop_curve(make_dataset(schema=schema).annotations, paddings=(1.0,)).to_csv()

    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][:4] == ["kind", "name", "n", "outside_at_1"]
    assert [row[1] for row in rows[1:4]] == ["'=cmd()", "a,b", '"q"']
    assert rows[3][3] == "1"
    assert rows[5][:2] == ["group", "extension"]
    assert harmless("nose") == "nose"
