"""PCKh, PCK, AUC and their strata on two people whose numbers can be added up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import SchemaError, UsageError
from toolkit.metrics import errors_in_heads, evaluate
from toolkit.metrics.auc import auc
from toolkit.metrics.pck import box_norm, pck
from toolkit.metrics.pckh import median_error, pckh
from toolkit.metrics.strata import STRATA

# Head size is 10 px by the second step. Offsets of head, foot, tip in px:
OFFSETS = [[[0, 0], [5, 0], [5.5, 0]], [[1, 0], [0, 1.5], [0, 3]]]


@pytest.fixture
def truth(make_dataset: Callable[..., Dataset]) -> Dataset:
    return make_dataset()


def test_errors_are_in_head_sizes(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    errors = errors_in_heads(truth, predictions_of(truth, OFFSETS))

    np.testing.assert_allclose(errors.px, [[0, 5, 5.5], [1, 1.5, 3]])
    np.testing.assert_allclose(errors.heads, [[0, 0.5, 0.55], [0.1, 0.15, 0.3]])
    assert errors.head.size.tolist() == [10, 10]


def test_the_threshold_itself_is_right() -> None:
    assert pckh(np.array([[0.5, 0.51, np.inf, np.nan]]), 0.5)[0, :3].tolist() == [1, 0, 0]


def test_shares_by_group_and_stratum(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    found = evaluate(truth, predictions_of(truth, OFFSETS))

    assert found.profile == "extension"
    assert found.metrics["PCKh@0.5"] == pytest.approx(5 / 6)
    assert found.metrics["PCKh@0.1"] == pytest.approx(2 / 6)
    assert found.metrics["median_error_heads"] == pytest.approx((0.15 + 0.3) / 2)
    assert found.strata["in_box"]["body"].values["PCKh@0.5"] == 1
    assert found.strata["in_box"]["body"].n == 4
    outside = found.strata["out_of_box"]["extension"]
    assert (outside.n, outside.values["PCKh@0.5"]) == (2, 0.5)
    assert outside.median_error_heads == pytest.approx((0.55 + 0.3) / 2)
    assert found.strata["out_of_box"]["Tip"] == outside
    assert found.per_keypoint["foot"].values["PCKh@0.1"] == 0


def test_an_empty_stratum_is_null(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    document = evaluate(truth, predictions_of(truth), bootstrap=20).to_json()

    assert document["strata"]["out_of_image"]["Mean"] == {
        "PCKh@0.5": None,
        "PCKh@0.1": None,
        "PCK@0.2": None,
        "AUC": None,
        "ExOKS": None,
        "n": 0,
        "interval": None,
        "intervals": dict.fromkeys(("PCKh@0.5", "PCKh@0.1", "PCK@0.2", "AUC", "ExOKS")),
        "median_error_heads": None,
    }


def test_strata_part_the_labelled_keypoints(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    people = truth.annotations
    flags = np.array([[2, 1, 1], [1, 2, 0]], dtype=np.uint8)
    points = people.keypoints.copy()
    points[0, 2] = [150, 30]  # beyond the image of 100 px
    points[1, 2] = np.nan
    truth = replace(truth, annotations=replace(people, visibility=flags, keypoints=points))

    found = evaluate(truth, predictions_of(truth)).strata

    n = {stratum: found[stratum]["Mean"].n for stratum in ("all", *STRATA)}
    assert n == {
        "all": 5,
        "in_box": 4,
        "out_of_box": 1,
        "out_of_image": 1,
        "visible": 2,
        "occluded": 3,
    }


def test_a_keypoint_on_the_edge_is_inside_the_box_and_outside_the_image(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset(1)
    points = truth.annotations.keypoints.copy()
    points[0, 0] = [30, 10]  # the box runs from (20, 10) to (30, 30)
    points[0, 2] = [100, 30]  # the image is 100 px wide: 99 is the last
    truth = replace(truth, annotations=replace(truth.annotations, keypoints=points))

    found = evaluate(truth, predictions_of(truth)).strata

    assert found["in_box"]["Mean"].n == 2
    assert found["out_of_image"]["Mean"].n == 1


def test_a_box_past_the_image_holds_a_keypoint_outside_the_image_and_the_rule_says_so(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset(1)
    people = truth.annotations
    points = people.keypoints.copy()
    points[0, 2] = [110, 30]  # the image is 100 px wide
    truth = replace(
        truth,
        annotations=replace(people, keypoints=points, bbox_xywh=np.array([[20.0, 10, 95, 20]])),
    )

    found = evaluate(truth, predictions_of(truth))

    assert found.strata["out_of_image"]["Mean"].n == 1
    assert found.strata["out_of_box"]["Mean"].n == 0
    assert "unless the bbox itself reaches past the image" in found.settings["strata_rule"]


def test_an_unmatched_person_is_wrong_and_infinitely_far(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    found = evaluate(truth, predictions_of(truth)[:1])

    assert found.metrics["PCKh@0.5"] == 0.5
    assert found.metrics["AUC"] == 0.5
    assert found.settings["matched"]["unmatched_instances"] == 1
    nobody = evaluate(truth, predictions_of(truth)[:0])
    assert nobody.metrics["median_error_heads"] == np.inf
    assert nobody.to_json()["metrics"]["median_error_heads"] is None


def test_a_person_without_head_size_is_left_out_and_counted(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    points, flags = truth.annotations.keypoints.copy(), truth.annotations.visibility.copy()
    points[0, 0], flags[0, 0] = np.nan, 0
    truth = replace(
        truth, annotations=replace(truth.annotations, keypoints=points, visibility=flags)
    )

    found = evaluate(truth, predictions_of(truth, OFFSETS))

    assert found.strata["all"]["Mean"].n == 3
    assert found.settings["head_size"]["used"]["none"] == 1
    assert any("1 instances have no head size" in note for note in found.notes)


def test_a_crowd_is_not_a_person_to_localise(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    truth = replace(
        truth, annotations=replace(truth.annotations, is_crowd=np.array([True, False]))
    )

    assert evaluate(truth, predictions_of(truth)).strata["all"]["Mean"].n == 3


def test_median_of_nothing_is_nan() -> None:
    assert np.isnan(median_error(np.array([np.nan])))


def test_auc_is_the_share_of_thresholds_that_a_keypoint_passes() -> None:
    found = auc(np.array([[0.0, 0.125, 0.5, 2.0, np.inf]]))

    assert found.tolist() == [[1, 0.75, 0, 0, 0]]


def test_pck_is_relative_to_the_longer_side_of_the_box() -> None:
    norm = box_norm(np.array([[0.0, 0, 10, 20], [0, 0, 0, 0]]))

    found = pck(np.array([[4.0, 4.1], [0.0, np.nan]]), norm)

    np.testing.assert_array_equal(found, [[1, 0], [np.nan, np.nan]])


def test_extra_groups_stand_beside_the_others(
    truth: Dataset, predictions_of: Callable[..., Predictions]
) -> None:
    predictions = predictions_of(truth, OFFSETS)

    found = evaluate(truth, predictions, groups={"ends": ["head", "tip"]})

    assert found.strata["all"]["ends"].values["PCKh@0.5"] == pytest.approx(3 / 4)
    with pytest.raises(UsageError, match="group 'body' exists already"):
        evaluate(truth, predictions, groups={"body": ["head"]})
    with pytest.raises(SchemaError, match="'nose', which does not exist"):
        evaluate(truth, predictions, groups={"face": ["nose"]})
