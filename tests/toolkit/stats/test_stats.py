"""Statistics, worked by hand on tiny data, and known numbers of a real file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import formats
from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.geometry import bbox_iou, inside_box, inside_image
from toolkit.report import Finding, Severity
from toolkit.schema import Schema
from toolkit.stats import measure
from toolkit.stats.density import EXTENT, densities
from toolkit.stats.keypoints import outside_masks
from toolkit.stats.people import measure_crowding, measure_sizes, quantiles
from toolkit.stats.text import facts, group_rows, plain
from toolkit.stats.webpage import charts, crop_page, statistics_page


def people_of(
    schema: Schema, boxes: list[list[float]], image_id: list[int] | None = None, **more: Any
) -> Annotations:
    count = len(boxes)
    return Annotations.from_arrays(
        schema,
        np.array(image_id or [1] * count),
        np.full((count, 3, 2), 5.0),
        np.full((count, 3), 2, np.uint8),
        np.array(boxes, dtype=float).reshape(-1, 4),
        **more,
    )


def test_visibility_and_shares_outside_box_and_image(
    make_dataset: Callable[..., Dataset],
) -> None:
    dataset = make_dataset()
    people = dataset.annotations
    points, flags = people.keypoints.copy(), people.visibility.copy()
    flags[0] = [1, 0, 2]  # head occluded, foot absent
    points[0, 1] = np.nan
    points[1, 2] = [100, 30]  # x = width: outside the image
    people = replace(people, keypoints=points, visibility=flags)

    stats = measure(replace(dataset, annotations=people))

    head, foot, tip = stats.keypoints
    assert (head.visible, head.occluded, head.absent) == (1, 1, 0)
    assert (foot.visible, foot.occluded, foot.absent) == (1, 0, 1)
    assert (tip.out_of_box, tip.out_of_box_share) == (2, 1.0)
    assert (tip.out_of_image, tip.out_of_image_share) == (1, 0.5)
    assert (foot.out_of_box, foot.boxed) == (0, 1)  # (65, 30) is on the box's edge
    groups = {row.name: row for row in stats.groups}
    assert groups["Mean"].labelled == 5
    assert groups["Mean"].out_of_box_share == pytest.approx(2 / 5)
    assert groups["body"].instances == 4


def test_without_boxes_or_image_sizes_a_share_is_none(
    make_dataset: Callable[..., Dataset],
) -> None:
    dataset = make_dataset()
    people = replace(dataset.annotations, bbox_xywh=np.full((2, 4), np.nan))
    images = Images.from_ids(np.array([1]))

    document = measure(replace(dataset, annotations=people, images=images)).to_json()

    tip = document["keypoints"]["tip"]  # type: ignore[index]
    assert tip["out_of_box_share"] is None
    assert tip["out_of_image_share"] is None
    assert document["counts"]["instances_without_box"] == 2  # type: ignore[index]
    assert document["density"]["tip"]["median"] is None  # type: ignore[index]


def test_a_file_without_people_has_no_zero_shares(tiny_schema: Schema) -> None:
    people = people_of(tiny_schema, [])
    dataset = Dataset(tiny_schema, Images.from_ids(np.array([1, 2])), people)

    stats = measure(dataset)
    text = json.dumps(stats.to_json(), allow_nan=False)

    assert stats.images_without_annotations == 2
    assert json.loads(text)["crowding"]["people_per_image"] is None
    assert json.loads(text)["groups"]["Mean"]["labelled_share"] is None
    assert "no data" in statistics_page(stats)
    assert charts(stats)


def test_masks_agree_with_the_geometry(tiny_schema: Schema) -> None:
    rng = np.random.default_rng(3)
    points = rng.integers(-2, 12, (200, 3, 2)).astype(float)
    boxes = np.tile([1.0, 2.0, 6.0, 7.0], (200, 1))
    people = Annotations.from_arrays(
        tiny_schema,
        np.ones(200, np.int64),
        points,
        rng.integers(0, 3, (200, 3)).astype(np.uint8),
        boxes,
    )
    size = np.tile([10, 9], (200, 1))

    found = outside_masks(people, size)

    labelled = people.labelled
    box = labelled & ~inside_box(people.keypoints, boxes)
    image = labelled & ~inside_image(people.keypoints, size)
    np.testing.assert_array_equal(found.out_of_box, box)
    np.testing.assert_array_equal(found.out_of_image, image)


def test_sizes_follow_cocos_limits_on_the_files_area(tiny_schema: Schema) -> None:
    boxes = [[0.0, 0, 10, 10 * n] for n in range(1, 6)]
    area = np.array([1023.9, 1024.0, 9216.0, 9216.1, np.nan])

    sizes = measure_sizes(people_of(tiny_schema, boxes, area=area))

    assert (sizes.small, sizes.medium, sizes.large, sizes.unknown) == (1, 2, 1, 1)
    assert sizes.rule == "area field of the annotations"
    assert sizes.heights.tolist() == [10, 20, 30, 40, 50]


def test_without_areas_the_box_stands_in_and_the_rule_says_so(tiny_schema: Schema) -> None:
    sizes = measure_sizes(people_of(tiny_schema, [[0, 0, 40, 40], [0, 0, 100, 100]]))

    assert (sizes.small, sizes.medium) == (1, 1)  # 848 and 5,300 px²
    assert "0.53 x box" in sizes.rule


def test_overlap_is_the_largest_iou_with_another_of_the_image(tiny_schema: Schema) -> None:
    # Image 1: A and B share 5 x 10 of 150: 1/3; C is alone. Image 2: one person.
    boxes = [[0.0, 0, 10, 10], [5.0, 0, 10, 10], [50.0, 50, 10, 10], [0.0, 0, 10, 10]]
    people = people_of(tiny_schema, boxes, [1, 1, 1, 2])

    crowding = measure_crowding(people)

    assert crowding.people.tolist() == [1, 3]
    assert crowding.overlap == pytest.approx([0, 0, 1 / 3, 1 / 3])
    shares = crowding.to_json()["share_with_iou_above"]
    assert shares == {"0.1": 0.5, "0.3": 0.5, "0.5": 0.0}


@pytest.mark.parametrize("images", [[1] * 40, [1] * 20 + [2] * 20])
def test_overlap_in_batches_agrees_with_all_pairs(
    images: list[int], tiny_schema: Schema
) -> None:
    rng = np.random.default_rng(5)
    boxes = np.concatenate([rng.uniform(0, 60, (40, 2)), rng.uniform(1, 50, (40, 2))], axis=1)
    boxes[7] = np.nan
    crowd = np.arange(40) == 11

    found = measure_crowding(people_of(tiny_schema, boxes.tolist(), images, is_crowd=crowd))

    kept = np.flatnonzero(~crowd & np.isfinite(boxes).all(axis=1))
    iou = bbox_iou(boxes[kept], boxes[kept])
    same = np.array(images)[kept]
    iou[(same[:, None] != same[None]) | np.eye(len(kept), dtype=bool)] = 0
    np.testing.assert_allclose(found.overlap, np.sort(iou.max(axis=1)))


def test_an_absurdly_crowded_image_is_not_compared(
    tiny_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.stats.people.MAX_PEOPLE", 2)

    crowding = measure_crowding(people_of(tiny_schema, [[0, 0, 9, 9]] * 4, [1, 1, 1, 2]))

    assert crowding.not_compared == 3
    assert crowding.overlap.tolist() == [0]


def test_clips_and_frames(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset()
    images = Images.from_ids(np.arange(1, 7))
    images = replace(images, clips=("a", "a", "a", "b", None, "b"))

    clips = measure(replace(dataset, images=images)).to_json()["clips"]

    assert clips["clips"] == 2  # type: ignore[index]
    assert clips["images_without_clip"] == 1  # type: ignore[index]
    frames = clips["frames_per_clip"]  # type: ignore[index]
    assert (frames["min"], frames["median"], frames["max"]) == (2, 2, 3)


def test_quantiles_are_values_that_occur() -> None:
    assert quantiles(np.array([1, 2, 3, 4])) == {
        "min": 1, "p5": 1, "p25": 1, "median": 2, "p75": 3, "p95": 3, "max": 4,
    }  # fmt: skip


def test_a_density_puts_a_point_into_its_cell(make_dataset: Callable[..., Dataset]) -> None:
    # Tip (35, 30) of box [20, 10, 10, 20]: (1.5, 1.0) in box units.
    (tip,) = densities(make_dataset().annotations, np.array([2]))

    rows, columns = np.nonzero(tip.counts)
    cell = (EXTENT[2] - EXTENT[0]) / tip.counts.shape[0]
    assert (tip.total, tip.beyond, tip.median_xy) == (2, 0, (1.5, 1.0))
    assert EXTENT[0] + columns[0] * cell <= 1.5 < EXTENT[0] + (columns[0] + 1) * cell
    assert EXTENT[1] + rows[0] * cell <= 1.0 < EXTENT[1] + (rows[0] + 1) * cell


def test_points_beyond_the_drawing_are_counted(make_dataset: Callable[..., Dataset]) -> None:
    people = make_dataset().annotations
    points = people.keypoints.copy()
    points[0, 2] = [500, 500]

    (tip,) = densities(replace(people, keypoints=points), np.array([2]))

    assert (tip.total, tip.beyond, int(tip.counts.sum())) == (2, 1, 1)


def test_groups_that_repeat_a_keypoint_are_not_shown_twice(
    make_dataset: Callable[..., Dataset],
) -> None:
    stats = measure(make_dataset())

    assert [row.name for row in group_rows(stats)] == ["body", "Mean"]


def test_what_the_reader_could_not_use_is_told_errors_first(
    make_dataset: Callable[..., Dataset],
) -> None:
    findings = [
        Finding("json-bom", Severity.INFO, "begins with a byte order mark"),
        Finding("bbox-shape", Severity.ERROR, "got 3", "annotations", 4, 9, "bbox"),
        Finding("bbox-shape", Severity.ERROR, "41 more of this kind", count=41),
    ]

    stats = measure(make_dataset(), findings)

    first, second = stats.unread
    assert first == ("bbox-shape", "error", 42, "annotations[4] id=9 field 'bbox': got 3")
    assert second[0] == "json-bom"


def test_crowdpose_has_the_published_numbers(shared_data: Path) -> None:
    scan = formats.scan(shared_data / "crowdpose" / "crowdpose_val.json")

    stats = measure(scan.dataset, scan.findings)

    total = next(row for row in stats.groups if row.name == "Mean")
    assert (stats.images, stats.instances) == (2000, 8527)
    assert (total.out_of_box, total.out_of_image) == (3915, 9)
    assert ("images by crowdIndex", "192 easy, 1,459 medium, 349 hard") in facts(stats)


def test_ski_files_are_counted_although_one_category_has_no_keypoints(
    shared_data: Path,
) -> None:
    for path in sorted((shared_data / "roboflow_ski").glob("*.json")):
        scan = formats.scan(path)
        stats = measure(scan.dataset, scan.findings)
        objects, skier = stats.categories
        assert (objects.name, objects.instances) == ("objects", None)
        assert skier.instances == stats.instances == stats.images > 0


def test_hostile_names_are_text_in_page_chart_and_terminal(
    make_dataset: Callable[..., Dataset], tiny_schema: Schema
) -> None:
    evil = "</text><script>alert(1)</script>\x1b[31m\ud800"
    keypoints = (*tiny_schema.keypoints[:2], replace(tiny_schema.keypoints[2], name=evil))
    schema = Schema(name="evil", title="E", keypoints=keypoints)
    stats = measure(make_dataset(schema=schema))

    pages = [statistics_page(stats), crop_page(stats.crop, evil), *charts(stats).values()]

    for page in pages:
        assert "<script>alert" not in page
        assert "\x1b" not in page
        page.encode("utf-8")
    assert "&lt;script&gt;" in pages[0]
    assert "\x1b" not in plain(evil)


def test_the_same_data_give_the_same_page(make_dataset: Callable[..., Dataset]) -> None:
    first, second = (statistics_page(measure(make_dataset())) for _ in range(2))

    assert first == second
    assert "http:" not in first
    assert "https:" not in first
