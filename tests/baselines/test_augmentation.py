"""Augmentation on hand-made crops: a dot stays under its keypoint, whatever chance does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from baselines.augmentation import (
    Chances,
    augmented_batch,
    augmented_images,
    augmented_points,
    body_halves,
    crop_affines,
    draw_chances,
)
from baselines.config import TrainConfig
from baselines.crops import (
    MARGIN,
    TrainingCrops,
    load_training_crops,
    margin,
    normalised,
)
from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.geometry import inside_box
from toolkit.schema import Keypoint, Schema

STILL = TrainConfig(
    input_wh=(64, 64), box_padding=1.0, scale=0, rotation=0, shift=0, flip=0, color=0
)
COCO = Schema.load("coco")
NOTHING = {"scale": 1.0, "angle": 0.0, "shift": (0.0, 0.0), "flip": False, "half": 0}


def chances(**options: object) -> Chances:
    """Those of one crop."""
    given = NOTHING | options
    return Chances(
        flips=np.array([given["flip"]]),
        scale=np.array([given["scale"]], float),
        angle=np.array([given["angle"]], float),
        shift=np.array([given["shift"]], float),
        gain=np.ones((1, 1, 1, 3)),
        offset=np.zeros((1, 1, 1, 3)),
        half=np.array([given["half"]], np.int64),
        curve=np.tile(np.linspace(0, 255, 5), (1, 3, 1)),
    )


def one_crop(points: np.ndarray, labelled: np.ndarray | None = None) -> TrainingCrops:
    """A black cached crop of 96 x 96 px for an input of 64 x 64, a white dot on each point."""
    pixels = np.zeros((1, 96, 96, 3), np.uint8)
    for x, y in points:
        cv2.circle(pixels[0], (round(x), round(y)), 3, (255, 255, 255), -1)
    known = np.ones(len(points), bool) if labelled is None else labelled
    return TrainingCrops(pixels, points[None].astype(float), known[None], (64, 64))


def brightness(image: np.ndarray, point: np.ndarray) -> float:
    """Grey level of a normalised image at a point."""
    x, y = np.rint(point).astype(int)
    return float(image[y, x, 1] * 57.12 + 116.28)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 1.3},
        {"scale": 0.75},
        {"angle": 0.4},
        {"shift": (0.2, -0.15)},
        {"flip": True},
        {"flip": True, "angle": -0.5, "scale": 0.8, "shift": (0.1, 0.1)},
        {"half": 1},
        {"half": 2, "flip": True, "angle": 0.2},
    ],
)
def test_pixels_and_keypoints_move_together(options: dict[str, object]) -> None:
    """Three dots of a head, three of legs; wherever one lands in the input it is white."""
    schema = Schema(
        "six",
        "Six",
        tuple(Keypoint(n) for n in ("nose", "neck", "chest", "hip", "knee", "ankle")),
    )
    points = np.array([[48, 30], [44, 36], [52, 42], [48, 52], [40, 58], [56, 64]])
    crops, drawn = one_crop(points), chances(**options)
    rows = np.array([0])
    affines = crop_affines(crops, rows, drawn, body_halves(schema))
    (image,) = augmented_images(crops, rows, affines, drawn)
    moved, labelled = augmented_points(crops, rows, affines, drawn.flips, schema.flip_index)
    assert labelled.all()
    inside = inside_box(moved, np.array([[2.0, 2, 59, 59]]))[0]
    assert inside.sum() >= 3
    for point in moved[0][inside]:
        assert brightness(image, point) > 200
    assert (image[..., 1] * 57.12 + 116.28 < 20).mean() > 0.3, "not all is white"


def test_each_change_is_the_one_that_it_is_called() -> None:
    """The cache's centre, (47.5, 47.5), is the input's, (31.5, 31.5); 10 px right of it."""
    crops = one_crop(np.array([[57.5, 47.5]]))
    schema = Schema("one", "One", (Keypoint("nose"),))

    def moved(**options: object) -> list[float]:
        drawn = chances(**options)
        affines = crop_affines(crops, np.array([0]), drawn, body_halves(schema))
        points, _ = augmented_points(crops, np.array([0]), affines, drawn.flips, np.array([0]))
        return points[0, 0].tolist()

    assert moved() == pytest.approx([41.5, 31.5])
    assert moved(scale=2.0) == pytest.approx([51.5, 31.5])
    assert moved(angle=np.pi / 2) == pytest.approx([31.5, 41.5])
    assert moved(flip=True) == pytest.approx([21.5, 31.5])
    assert moved(shift=(0.5, -0.25)) == pytest.approx([73.5, 15.5])


def tinted(**options: float) -> tuple[Any, ...]:
    """Image, points and labels of a still crop in other colours."""
    crops = one_crop(np.array([[48.0, 48.0]]))
    schema = Schema("one", "One", (Keypoint("nose"),))
    rng = np.random.default_rng(0)
    return augmented_batch(crops, np.array([0]), schema, replace(STILL, **options), rng)


def test_colour_changes_pixels_and_no_keypoint() -> None:
    plain, coloured = tinted(), tinted(color=0.5)
    assert np.array_equal(plain[1], coloured[1])
    assert not np.allclose(plain[0], coloured[0])


def test_a_tone_curve_gives_each_grey_level_another_and_moves_no_keypoint() -> None:
    """The curve 255, ..., 0 of every channel is the negative."""
    crops, rows = one_crop(np.array([[48.0, 48.0]])), np.array([0])
    drawn = chances(half=0)
    affines = crop_affines(crops, rows, drawn, body_halves(COCO))
    plain = augmented_images(crops, rows, affines, drawn)
    turned = replace(drawn, curve=drawn.curve[..., ::-1])

    white = normalised(np.full((1, 64, 64, 3), 255, np.uint8))
    black = normalised(np.zeros((1, 64, 64, 3), np.uint8))
    negative = augmented_images(crops, rows, affines, turned)
    np.testing.assert_allclose(plain + negative, white + black, atol=1e-5)
    bent = tinted(curve=1.0)
    assert np.array_equal(tinted()[1], bent[1])
    assert not np.allclose(tinted()[0], bent[0])


def test_a_tone_curve_is_drawn_for_each_channel_alone() -> None:
    drawn = draw_chances(400, replace(STILL, curve=0.25), np.random.default_rng(0))
    bent = (drawn.curve != np.linspace(0, 255, 5)).any(axis=2)  # (B, 3)
    assert bent.mean() == pytest.approx(0.25, abs=0.05)
    assert (bent.sum(axis=1) == 1).any()
    assert 0 <= drawn.curve.min() <= drawn.curve.max() <= 255


def test_half_body_zooms_in_on_one_half_and_leaves_the_other_outside() -> None:
    """Legs at the cache's bottom: upper half 24 px high, so 64 / (1.5 * 24) = 1.78 times."""
    points = np.zeros((17, 2))
    lower = np.array([n.split("_")[-1] in ("hip", "knee", "ankle") for n in COCO.names])
    points[~lower] = np.linspace([40, 20], [48, 44], 11)
    points[lower] = np.linspace([40, 60], [48, 84], 6)
    crops, rows = one_crop(points), np.array([0])
    for half, kept in ((1, ~lower), (2, lower)):
        drawn = chances(half=half)
        affines = crop_affines(crops, rows, drawn, body_halves(COCO))
        assert affines[0, 0, 0] == pytest.approx(64 / 36)
        moved, labelled = augmented_points(crops, rows, affines, drawn.flips, COCO.flip_index)
        inside = inside_box(moved, np.array([[0.0, 0, 64, 64]]))[0]
        assert inside[kept].all()
        assert not inside[~kept].all()
        assert labelled.all(), "what lies outside is still known"


def test_a_half_without_labels_gives_way_to_the_other_and_then_to_the_whole() -> None:
    points = np.linspace([20, 10], [70, 90], 17)
    lower = np.array([n.split("_")[-1] in ("hip", "knee", "ankle") for n in COCO.names])

    def affine(labelled: np.ndarray, half: int) -> np.ndarray:
        crops = one_crop(points, labelled)
        return crop_affines(crops, np.array([0]), chances(half=half), body_halves(COCO))

    assert np.array_equal(affine(~lower, 2), affine(~lower, 1))
    assert np.array_equal(affine(np.zeros(17, bool), 1), affine(np.zeros(17, bool), 0))


def names_of(schema: Schema, half: int) -> set[str]:
    return {schema.names[k] for k in body_halves(schema)[half]}


@pytest.mark.parametrize("name", ["hockey", "lacrosse", "crowdpose", "coco"])
def test_upper_and_lower_body_are_told_by_name(name: str) -> None:
    schema = Schema.load(name)
    legs = {f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle")}
    assert names_of(schema, 1) == legs
    assert names_of(schema, 0) == {
        k.name for k in schema.keypoints if k.group == "body" and k.name not in legs
    }


def test_where_names_do_not_tell_the_skeleton_does() -> None:
    """A chain a-b-c-d-e-f: the ends lie furthest apart, each takes the nearer three."""
    names = "abcdef"
    snake = Schema(
        "snake",
        "Snake",
        (*(Keypoint(n) for n in names), Keypoint("tongue", group="extension")),
        tuple(pairwise(names)),
    )
    assert names_of(snake, 0) == set("abc")
    assert names_of(snake, 1) == set("def")
    loose = Schema("loose", "Loose", tuple(Keypoint(n) for n in "ab"))
    assert names_of(loose, 0) | names_of(loose, 1) == {"a", "b"}


def wide_frame(folder: Path) -> Dataset:
    """One person in the box (90, 90, 60, 60) of a frame of 240 px, white throughout."""
    cv2.imwrite(str(folder / "0.png"), np.full((240, 240, 3), 255, np.uint8))
    points = np.random.default_rng(0).uniform(92, 148, (1, 17, 2))
    box = np.array([[90.0, 90, 60, 60]])
    people = Annotations.from_arrays(
        COCO, np.array([1]), points, np.full((1, 17), 2, np.uint8), box
    )
    images = Images.from_ids(np.array([1]), size_wh=np.array([[240, 240]]))
    return Dataset(COCO, replace(images, file_names=("0.png",)), people)


def test_a_large_shift_moves_the_body_out_and_shows_the_frame_there(tmp_path: Path) -> None:
    """Half a crop to each side, the frame white everywhere: no black edge of the cache."""
    config = replace(STILL, shift=0.5)
    crops = load_training_crops(wide_frame(tmp_path), tmp_path, config)
    rng, outside = np.random.default_rng(1), []
    for _ in range(20):
        images, points, labelled = augmented_batch(crops, np.array([0]), COCO, config, rng)
        assert images.min() > 1.9, "white, normalised"
        assert labelled.all()
        outside.append(~inside_box(points, np.array([[0.0, 0, 64, 64]]))[0])
    assert np.mean(outside) > 0.2
    assert max(share.mean() for share in outside) > 0.5


def test_the_cache_grows_with_the_shift_and_not_without() -> None:
    assert margin(TrainConfig()) == MARGIN, "shipped checkpoints were trained with it"
    assert margin(STILL) == MARGIN
    assert margin(replace(STILL, shift=0.5)) >= 2, "half a crop on either side"
    assert margin(TrainConfig(shift=0.5)) >= 2 / 0.8


def test_half_body_changes_no_other_chance() -> None:
    """Shipped recipes have none; what they draw must stay what it was."""
    plain = draw_chances(6, TrainConfig(), np.random.default_rng(4))
    halved = draw_chances(6, TrainConfig(half_body=0.5), np.random.default_rng(4))
    for name in ("flips", "scale", "angle", "shift", "gain", "offset"):
        assert np.array_equal(getattr(plain, name), getattr(halved, name))
    assert set(plain.half) == {0}
    assert set(halved.half) <= {0, 1, 2}
    every = draw_chances(99, TrainConfig(half_body=1.0), np.random.default_rng(4))
    assert set(every.half) == {1, 2}


def test_a_process_warps_its_share_of_what_the_whole_batch_drew(
    people: tuple[Dataset, Path],
) -> None:
    dataset, folder = people
    config = TrainConfig(input_wh=(32, 32), half_body=0.5)
    crops = load_training_crops(dataset, folder, config)
    rows, rng = np.arange(8), np.random.default_rng
    whole = augmented_batch(crops, rows, dataset.schema, config, rng(2))
    for share in (slice(0, 4), slice(4, 8)):
        part = augmented_batch(crops, rows, dataset.schema, config, rng(2), share)
        assert np.array_equal(part[0], whole[0][share])
        assert np.array_equal(part[1], whole[1])
        assert np.array_equal(part[2], whole[2])
