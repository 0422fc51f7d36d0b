"""Bootstrap weights and intervals, and what they say of known variation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.metrics import evaluate
from toolkit.metrics.bootstrap import draw_weights, interval
from toolkit.schema import Schema


def images(clips: tuple[str | None, ...]) -> Images:
    return replace(Images.from_ids(np.arange(len(clips)) + 1), clips=clips)


def test_each_resample_draws_as_many_images_as_there_are() -> None:
    weights = draw_weights(images((None,) * 7), 50, "image", seed=3)

    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == draw_weights(images((None,) * 7), 50, "image", seed=3)).all()


def test_images_of_one_clip_are_drawn_together() -> None:
    weights = draw_weights(images(("a", "b", "a", "c")), 50, "clip", seed=0)

    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_a_clip_in_two_unicode_forms_is_one_clip() -> None:
    weights = draw_weights(images(("caf\u00e9", "b", "cafe\u0301")), 50, "clip", seed=0)

    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, :2].sum(axis=1) == 2).all()


def test_images_without_clip_are_named() -> None:
    with pytest.raises(UsageError, match=r"1 of 2 images have no 'clip', the first '2\.jpg'"):
        draw_weights(images(("a", None)), 5, "clip", seed=0)


def test_a_negative_number_of_resamples_is_refused() -> None:
    with pytest.raises(UsageError, match="got -1 resamples"):
        draw_weights(images(("a",)), -1, "image", seed=0)


def test_the_interval_is_of_the_middle_95_per_cent() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))
    assert interval(np.array([np.nan, 2.0])) == (2, 2)
    assert interval(np.array([np.nan])) is None


def coin_tosses(tiny_schema: Schema, hits: np.ndarray) -> tuple[Dataset, Predictions]:
    """One person an image; the whole prediction is right or far off."""
    count = len(hits)
    ids = np.arange(count) + 1
    points = np.tile([[[5.0, 0.0], [5.0, 20.0], [15.0, 20.0]]], (count, 1, 1))
    people = Annotations.from_arrays(
        tiny_schema,
        ids,
        points,
        np.full((count, 3), 2),
        np.tile([0.0, 0, 10, 20], (count, 1)),
        area=np.full(count, 200.0),
    )
    predictions = Predictions.from_arrays(
        tiny_schema, ids, points + 500 * ~hits[:, None, None], annotation_id=ids
    )
    return Dataset(tiny_schema, Images.from_ids(ids), people), predictions


def test_the_interval_of_a_share_is_as_wide_as_theory_says(tiny_schema: Schema) -> None:
    sides = coin_tosses(tiny_schema, np.arange(400) % 4 < 3)  # 300 of 400

    found = evaluate(*sides, metrics=["PCKh", "AP"], bootstrap=2000, seed=1)

    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found.intervals["PCKh@0.5"] == pytest.approx((0.75 - half, 0.75 + half), abs=0.008)
    assert found.intervals["AR"] == pytest.approx((0.75 - half, 0.75 + half), abs=0.008)
    assert found.settings["bootstrap"]["resamples"] == 2000


def test_intervals_cover_the_truth_about_as_often_as_they_claim(tiny_schema: Schema) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        sides = coin_tosses(tiny_schema, rng.random(80) < 0.7)
        found = evaluate(*sides, metrics=["PCKh"], bootstrap=200, seed=seed)
        low, high = found.intervals["PCKh@0.5"] or (0, 0)
        covered += low <= 0.7 <= high

    assert 51 <= covered <= 60  # 95 % of 60 is 57


def test_clips_that_agree_within_themselves_widen_the_interval(
    tiny_schema: Schema,
) -> None:
    truth, predictions = coin_tosses(tiny_schema, np.arange(100) // 10 % 2 == 0)
    clips = tuple(f"clip {i // 10}" for i in range(100))
    truth = replace(truth, images=replace(truth.images, clips=clips))

    widths = []
    for by in ("image", "clip"):
        low, high = evaluate(
            truth, predictions, metrics=["PCKh"], bootstrap=500, by=by
        ).intervals["PCKh@0.5"] or (0, 0)
        widths.append(high - low)

    assert widths[1] > 2 * widths[0]


def test_the_same_seed_gives_the_same_document(
    make_dataset: Callable[..., Dataset], predictions_of: Callable[..., Predictions]
) -> None:
    truth = make_dataset()

    first = evaluate(truth, predictions_of(truth, 3), bootstrap=30, seed=4)
    again = evaluate(truth, predictions_of(truth, 3), bootstrap=30, seed=4)

    assert first.to_json() == again.to_json()


def test_one_clip_alone_has_no_interval_and_a_note(tiny_schema: Schema) -> None:
    truth, predictions = coin_tosses(tiny_schema, np.arange(20) % 2 == 0)
    truth = replace(truth, images=replace(truth.images, clips=("a",) * 20))

    found = evaluate(truth, predictions, metrics=["PCKh", "AP"], bootstrap=50, by="clip")

    assert set(found.intervals.values()) == {None}
    assert found.strata["all"]["Mean"].intervals == {"PCKh@0.5": None, "PCKh@0.1": None}
    assert found.settings["bootstrap"]["units"] == 1
    assert any("one clip only, and nothing to resample" in note for note in found.notes)


def test_intervals_from_a_few_clips_are_told_to_be_too_narrow(tiny_schema: Schema) -> None:
    truth, predictions = coin_tosses(tiny_schema, np.arange(20) % 2 == 0)

    def notes(clips: int) -> list[str]:
        names = tuple(f"clip {n % clips}" for n in range(20))
        named = replace(truth, images=replace(truth.images, clips=names))
        found = evaluate(named, predictions, metrics=["PCKh"], bootstrap=5, by="clip")
        return [note for note in found.notes if "bootstrap" in note]

    assert notes(10) == []
    (note,) = notes(9)
    assert note.startswith("the bootstrap draws from 9 clips only")


def test_the_interval_of_infinite_medians_is_infinite_and_never_nan() -> None:
    assert interval(np.array([1.0] * 50 + [np.inf] * 50)) == (1, np.inf)
    assert interval(np.full(30, np.inf)) == (np.inf, np.inf)
