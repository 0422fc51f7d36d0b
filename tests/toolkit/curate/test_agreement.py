"""Annotators with planted habits are found, and the others are left in peace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images
from toolkit.curate.agreement import Agreement, measure_agreement
from toolkit.curate.agreement_report import agreement_json, queue_json
from toolkit.curate.annotators import Panel, panel_of
from toolkit.curate.habits import student_two_sided
from toolkit.dataset import Dataset
from toolkit.schema import Schema

PEOPLE = 120
SIZE = 40.0


def crowd(seed: int = 0) -> Dataset:
    """People of 40 px, one an image, COCO's 17 keypoints; two in three visible."""
    schema = Schema.load("coco")
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, SIZE, (PEOPLE, 17, 2)) + 100
    people = Annotations.from_arrays(
        schema,
        image_id=np.arange(1, PEOPLE + 1),
        keypoints=points,
        visibility=np.where(rng.random((PEOPLE, 17)) < 2 / 3, 2, 1).astype(np.uint8),
        bbox_xywh=np.tile([100.0, 100.0, SIZE, SIZE], (PEOPLE, 1)),
        area=np.full(PEOPLE, SIZE**2),
    )
    images = Images.from_ids(
        np.arange(1, PEOPLE + 1), size_wh=np.full((PEOPLE, 2), 300, np.int64)
    )
    return Dataset(schema=schema, images=images, annotations=people)


def noisy(dataset: Dataset, seed: int) -> Dataset:
    people = dataset.annotations
    shift = np.random.default_rng(seed).normal(scale=0.02 * SIZE, size=people.keypoints.shape)
    return replace(dataset, annotations=replace(people, keypoints=people.keypoints + shift))


def panel_with(change: Callable[[Annotations], Annotations], count: int = 3) -> Panel:
    """Annotators a, b, c of the same people; what b drew is changed."""
    truth = crowd()
    drawn = [noisy(truth, seed) for seed in range(count)]
    drawn[1] = replace(drawn[1], annotations=change(drawn[1].annotations))
    return panel_of(list(zip("abcd", drawn, strict=False)))


def singled_out(result: Agreement) -> dict[str, list[str]]:
    return {
        row.annotator: [
            *(["bias"] if row.biased else []),
            *(["swaps"] if row.swaps > 5 else []),
            *row.habits,
        ]
        for row in result.annotators
    }


def test_annotators_without_habits_are_left_in_peace() -> None:
    result = measure_agreement(panel_with(lambda people: people))

    assert singled_out(result) == {"a": [], "b": [], "c": []}
    assert result.shared == result.people == PEOPLE


def test_a_planted_bias_is_found_with_its_size_and_only_with_its_owner() -> None:
    result = measure_agreement(
        panel_with(lambda p: replace(p, keypoints=p.keypoints + np.array([0.05 * SIZE, 0.0])))
    )

    assert singled_out(result) == {"a": [], "b": ["bias"], "c": []}
    x, y = result.annotators[1].bias_of_size
    assert x == pytest.approx(0.05, abs=0.003)
    assert y == pytest.approx(0.0, abs=0.003)
    assert result.annotators[1].bias_px[0] == pytest.approx(2.0, abs=0.1)
    low, high = result.annotators[1].bias_interval[0]
    assert low < 0.05 < high


def test_planted_swaps_are_counted_and_not_taken_for_a_bias() -> None:
    flip = Schema.load("coco").flip_index

    def swap(people: Annotations) -> Annotations:
        points, flags = people.keypoints.copy(), people.visibility.copy()
        points[:20], flags[:20] = points[:20][:, flip], flags[:20][:, flip]
        return replace(people, keypoints=points, visibility=flags)

    result = measure_agreement(panel_with(swap))

    assert singled_out(result)["b"] == ["swaps"]
    assert singled_out(result)["a"] == singled_out(result)["c"] == []
    assert 140 <= result.annotators[1].swaps <= 160  # 8 pairs of 20 people
    top = {item.image_id for item in result.queue[:20]}
    assert top == set(range(1, 21))
    assert "left and right exchanged by b" in " ".join(result.queue[0].why)


def test_a_planted_habit_of_flags_is_told_in_words() -> None:
    def all_visible(people: Annotations) -> Annotations:
        return replace(people, visibility=np.full_like(people.visibility, 2))

    result = measure_agreement(panel_with(all_visible))

    found = singled_out(result)
    assert found["a"] == found["c"] == []
    assert found["b"] == ["says visible where others say occluded: 240 people against 0"]
    assert result.annotators[1].visibility["visible", "occluded"] > 1000


def test_missing_and_extra_people_are_counted_and_come_first_in_the_queue() -> None:
    truth = crowd()
    without_last = truth.subset(np.arange(PEOPLE - 1))

    result = measure_agreement(
        panel_of([("a", truth), ("b", without_last), ("c", without_last)])
    )

    assert [row.extra for row in result.annotators] == [1, 0, 0]
    assert [row.missing for row in result.annotators] == [0, 0, 0]
    assert result.queue[0].image_id == PEOPLE
    assert result.queue[0].score == 1.0
    assert result.queue[0].why[0] == "not labelled by b, c"


def test_distances_are_those_of_geometry(make_dataset: Callable[..., Dataset]) -> None:
    one = make_dataset(2)  # areas of 200: a size of 14.14 px
    people = one.annotations
    two = replace(
        one, annotations=replace(people, keypoints=people.keypoints + np.array([3.0, 4.0]))
    )

    result = measure_agreement(panel_of([("a", one), ("b", two)]))

    head = result.keypoints[0]
    assert (head.pairs, head.median_px, head.p90_px) == (2, 5.0, 5.0)
    assert head.mean_of_size == pytest.approx(5 / np.sqrt(200))
    assert head.same_visibility == 1.0
    # OKS by hand: mean over keypoints of exp(-25 / (2 (2 sigma)^2 200)).
    sigma = np.array([0.05, 0.05, 0.1])
    assert result.oks == pytest.approx(np.exp(-25 / (2 * (2 * sigma) ** 2 * 200)).mean())
    assert result.confusion[2, 2] == 6


def test_the_document_holds_no_nan_and_the_queue_names_everybody() -> None:
    import json

    truth = crowd()
    panel = panel_of([("a", truth), ("b", truth.subset(np.arange(3)))])
    result = measure_agreement(panel)

    text = json.dumps(agreement_json(result, panel, limit=5), allow_nan=False)
    entry = queue_json(result, panel)["queue"][0]

    assert json.loads(text)["shown"] == 5
    assert entry["ids"] == {"a": 4, "b": None}
    assert entry["reason"] == "not labelled by b"


def test_noise_in_three_images_singles_out_nobody() -> None:
    for seed in range(20):
        truth = crowd(seed).subset(np.arange(3))
        drawn = [noisy(truth, 2 * seed), noisy(truth, 2 * seed + 1)]
        wild = [
            replace(d, annotations=replace(p, keypoints=3 * p.keypoints - 2 * q))
            for d in drawn
            for p, q in [(d.annotations, truth.annotations.keypoints)]
        ]

        result = measure_agreement(panel_of([("a", wild[0]), ("b", wild[1])]))

        assert [(row.biased, row.biased_keypoints) for row in result.annotators] == [
            (False, ())
        ] * 2


def test_student_probabilities_are_those_of_scipy() -> None:
    from scipy.stats import t

    for freedom in (1, 2, 3, 4, 9, 10, 119, 5000):
        for value in (0.1, 1.0, 4.0):
            expected = 2 * t.sf(value, freedom)
            assert student_two_sided(-value, freedom) == pytest.approx(expected, rel=0.02)


def test_a_keypoint_of_one_clip_alone_has_no_interval() -> None:
    truth = crowd().subset(np.arange(10))
    flags = truth.annotations.visibility.copy()
    flags[1:, 0] = 0
    points = np.where(flags[..., None] > 0, truth.annotations.keypoints, np.nan)
    truth = replace(
        truth, annotations=replace(truth.annotations, keypoints=points, visibility=flags)
    )

    result = measure_agreement(panel_of([("a", noisy(truth, 1)), ("b", noisy(truth, 2))]))

    assert result.keypoints[0].pairs == 1
    assert result.keypoints[0].mean_of_size is not None
    assert result.keypoints[0].interval is None
    assert result.keypoints[1].interval is not None


def test_the_queue_never_names_another_annotators_id() -> None:
    truth = crowd()
    panel = panel_of([("a", truth.subset(np.arange(1, PEOPLE))), ("b", truth)])

    first = queue_json(measure_agreement(panel), panel)["queue"][0]

    assert (first["annotation_id"], first["ids"]) == (None, {"a": None, "b": 1})
