"""Splits: balanced, whole, deterministic, lossless."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import formats
from toolkit.errors import InvalidDataError, UsageError
from toolkit.split import Previous, Split, SplitSettings, make_split, verify_split
from toolkit.split.assign import assign
from toolkit.split.strata import STRATA, Counts, count_groups

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}
Write = Callable[..., Path]


def split_of(result: Split) -> dict[str, str]:
    return result.manifest.files()


def small(clips: int = 10, **fields: Any) -> dict[str, Any]:
    """One image and one person for each clip; person i is i px lower."""
    from toolkit.schema import Schema

    people = [
        {
            "id": 100 + i,
            "image_id": i,
            "category_id": 1,
            "keypoints": [
                v for k in range(17) for v in (10 + k * k % (7 + i), 20 + 3 * k + i, 2)
            ],
            "num_keypoints": 17,
            "bbox": [10, 20 + i, 20, 50],
            "area": 1000,
            "iscrowd": 0,
        }
        for i in range(clips)
    ]
    images = [
        {
            "id": i,
            "file_name": f"{i}.jpg",
            "width": 100,
            "height": 100,
            "clip": f"c{i}",
            **fields,
        }
        for i in range(clips)
    ]
    return {
        "images": images,
        "annotations": people,
        "categories": [Schema.load("coco").coco_category()],
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sixty_clips_reach_their_fractions_and_strata(rendered: Any, seed: int) -> None:
    dataset = formats.read(rendered.file)

    result = make_split(dataset, SplitSettings(FRACTIONS, seed))

    assert len(set(dataset.images.clips)) == 60
    assert result.notes == ()
    for name, part in result.manifest.parts.items():
        fraction: Any = part.figures["fraction"]
        off: Any = part.figures["difference_points"]
        assert abs(fraction["images"] - FRACTIONS[name]) <= 0.02
        assert abs(fraction["instances"] - FRACTIONS[name]) <= 0.02
        assert set(off) == set(STRATA)
        assert max(abs(value) for value in off.values()) <= 3


def test_no_clip_is_in_two_splits_and_no_image_is_lost(rendered: Any) -> None:
    dataset = formats.read(rendered.file)

    parts = make_split(dataset, SplitSettings(FRACTIONS)).manifest.parts

    groups = [{entry.group for entry in part.images} for part in parts.values()]
    assert sum(len(each) for each in groups) == len(set.union(*groups)) == 60
    names = [entry.file_name for part in parts.values() for entry in part.images]
    assert sorted(names) == sorted(dataset.images.file_names)
    ids = [i for part in parts.values() for entry in part.images for i in entry.instances]
    assert sorted(ids) == sorted(dataset.annotations.instance_id.tolist())


def test_the_order_of_the_file_does_not_matter(rendered: Any, write_json: Write) -> None:
    document = rendered.document()
    random.Random(4).shuffle(document["images"])
    random.Random(5).shuffle(document["annotations"])
    shuffled = formats.read(write_json(document))

    settings = SplitSettings(FRACTIONS, seed=9)

    expected = split_of(make_split(formats.read(rendered.file), settings))
    assert split_of(make_split(shuffled, settings)) == expected


def test_another_seed_gives_another_split_and_the_same_seed_the_same_bytes(
    rendered: Any,
) -> None:
    dataset = formats.read(rendered.file)

    one, again, other = (make_split(dataset, SplitSettings(FRACTIONS, s)) for s in (1, 1, 2))

    assert one.files == again.files
    assert split_of(one) != split_of(other)


def test_every_kept_record_and_every_other_key_keeps_its_bytes(rendered: Any) -> None:
    dataset = formats.read(rendered.file)
    text = rendered.file.read_text("utf-8")

    files = make_split(dataset, SplitSettings(FRACTIONS)).files

    for content in files.values():
        assert '"our_own": {\n  "kept": [\n   1.5,\n   "ü"\n  ]\n }' in content.decode()
        assert json.loads(content)["categories"] == rendered.document()["categories"]
    whole = rendered.document()
    images = [i for c in files.values() for i in json.loads(c)["images"]]
    people = [a for c in files.values() for a in json.loads(c)["annotations"]]
    assert sorted(images, key=lambda i: i["id"]) == whole["images"]
    assert sorted(people, key=lambda a: a["id"]) == whole["annotations"]
    first = text[text.index("  {", text.index('"annotations"')) :].split("\n  },")[0]
    assert sum(first in content.decode() for content in files.values()) == 1


def test_images_without_annotations_and_other_categories_follow_their_clip(
    write_json: Write,
) -> None:
    document = small(3)
    document["images"].append({**document["images"][0], "id": 9, "file_name": "bare.jpg"})
    document["categories"].append({"id": 2, "name": "puck"})
    document["annotations"].append(
        {"id": 7, "image_id": 9, "category_id": 2, "bbox": [1, 2, 3, 4]}
    )
    dataset = formats.read(write_json(document))

    result = make_split(dataset, SplitSettings({"train": 0.5, "test": 0.5}))

    files = split_of(result)
    assert files["bare.jpg"] == files["0.jpg"]
    there = json.loads(result.files[files["bare.jpg"]])
    assert 7 in [a["id"] for a in there["annotations"]]


def test_grouping_by_game_keeps_games_whole(rendered: Any) -> None:
    dataset = formats.read(rendered.file)

    by_field = make_split(dataset, SplitSettings(FRACTIONS, group="game"))
    by_name = make_split(dataset, SplitSettings(FRACTIONS, group=r"file_name:c000(\d\d)"))

    assert len(by_field.manifest.groups()) == 11
    assert len(by_name.manifest.groups()) == 60


def test_frames_of_a_clip_are_torn_apart_only_when_told(rendered: Any) -> None:
    dataset = formats.read(rendered.file)

    with pytest.raises(UsageError, match=r"tears 60 clips apart.*neighbouring frames"):
        make_split(dataset, SplitSettings(FRACTIONS, group="image"))

    told = SplitSettings(FRACTIONS, group="image", by_frame=True)
    assert len(make_split(dataset, told).manifest.groups()) == len(dataset.images)


def test_a_clip_is_one_group_however_its_accents_are_written(write_json: Write) -> None:
    document = small(40)
    for at, image in enumerate(document["images"]):
        image["clip"] = ("caf\u00e9" if at % 2 else "cafe\u0301") + str(at // 4)
    dataset = formats.read(write_json(document))

    made = make_split(dataset, SplitSettings({"train": 0.5, "test": 0.5}))

    assert len(made.manifest.groups()) == 10
    for part in made.manifest.parts.values():
        assert part.figures["groups"] == len(part.images) / 4


def test_images_without_a_group_are_listed_or_stand_alone(write_json: Write) -> None:
    document = small(4)
    del document["images"][2]["clip"]
    dataset = formats.read(write_json(document))

    with pytest.raises(InvalidDataError, match=r"1 of 4 images have no 'clip': '2.jpg'"):
        make_split(dataset, SplitSettings(FRACTIONS))

    own = make_split(dataset, SplitSettings(FRACTIONS, ungrouped_own=True))
    assert sorted(own.manifest.groups()) == ["c0", "c1", "c3", "image:2.jpg"]


def test_an_unknown_field_names_the_fields_there_are(write_json: Write) -> None:
    dataset = formats.read(write_json(small(3, rink="north")))

    with pytest.raises(UsageError, match=r"none of 3 images has 'game'.*\(clip, rink\)"):
        make_split(dataset, SplitSettings(FRACTIONS, group="game"))


@pytest.mark.parametrize(
    ("fractions", "match"),
    [
        ({"train": 0.8, "test": 0.3}, "add up to 1.1; wanted 1"),
        ({"train": 1.5, "test": -0.5}, "train=1.5; wanted a share"),
        ({"../train": 1.0}, "cannot name a split"),
        ({"manifest": 1.0}, "cannot name a split"),
        ({"Manifest": 1.0}, "cannot name a split"),
        ({"train": 0.5, "Train": 0.5}, "differ in case only"),
    ],
)
def test_fractions_that_make_no_sense_are_refused(
    fractions: dict[str, float], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        SplitSettings(fractions)


def test_what_few_groups_cannot_reach_is_said(write_json: Write) -> None:
    dataset = formats.read(write_json(small(2)))

    notes = make_split(dataset, SplitSettings(FRACTIONS)).notes

    assert any("is empty: 2 groups do not go round" in note for note in notes)
    assert any("of the images; asked" in note for note in notes)


def test_an_empty_set_is_refused(write_json: Write) -> None:
    dataset = formats.read(write_json({**small(1), "images": [], "annotations": []}))

    with pytest.raises(InvalidDataError, match="no images; there is nothing to split"):
        make_split(dataset, SplitSettings(FRACTIONS))


def test_strata_are_counted_as_a_reader_would(make_dataset: Callable[..., Any]) -> None:
    # Two people with one extension keypoint each, both right of their boxes, all visible,
    # both of size sqrt(10 * 20).
    counts = count_groups(make_dataset(), ["a"])

    assert counts.table.tolist() == [[1, 2, 2, 2, 0, 6, 2, 2, 0, 2, 0, 2]]


def test_equal_groups_fill_the_fractions_exactly() -> None:
    table = np.tile(np.array([1, 2, 1, 2, 1, 4, 1, 2, 1, 2, 0, 2]), (20, 1))
    counts = Counts(tuple(f"g{i}" for i in range(20)), np.arange(20), table, (0.0, 0.0))

    where = assign(counts, FRACTIONS, 0, {"g3": "test", "g4": "test"})

    assert np.bincount(where).tolist() == [16, 2, 2]
    assert where[[3, 4]].tolist() == [2, 2]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("groups", [3, 4, 5])
def test_no_split_is_empty_where_there_are_groups_enough(groups: int, seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, 9, (groups, 1))
    table = sizes * np.array([[1, 2, 1, 2, 1, 4, 1, 2, 1, 2, 0, 2]])
    names = tuple(f"g{i}" for i in range(groups))
    counts = Counts(names, np.arange(groups), table, (0.0, 0.0))

    found = np.bincount(assign(counts, FRACTIONS, seed, {}), minlength=3)

    assert found.min() >= 1
    settled = assign(counts, FRACTIONS, seed, {"g0": "train", "g1": "train"})
    assert settled[:2].tolist() == [0, 0]
    assert assign(counts, {"train": 0.9, "val": 0.1, "test": 0.0}, seed, {}).max() == 1


def test_four_clips_are_split_two_one_one(write_json: Write) -> None:
    result = make_split(formats.read(write_json(small(4))), SplitSettings(FRACTIONS))

    groups = [part.figures["groups"] for part in result.manifest.parts.values()]
    assert groups == [2, 1, 1]


def test_a_new_version_keeps_every_old_group_and_may_add_to_test(
    write_json: Write, tmp_path: Path
) -> None:
    old = make_split(formats.read(write_json(small(10))), SplitSettings(FRACTIONS, 1))
    old.write(tmp_path / "v1")

    grown = formats.read(write_json(small(40), "grown.json"))
    previous = Previous.load(tmp_path / "v1")
    new = make_split(grown, SplitSettings(FRACTIONS, 2), previous=previous)

    before, after = split_of(old), split_of(new)
    assert {name: after[name] for name in before} == before
    assert list(after.values()).count("test") > list(before.values()).count("test")


def test_a_test_clip_is_known_however_its_name_is_written(
    write_json: Write, tmp_path: Path
) -> None:
    document = small(10)
    for at, image in enumerate(document["images"]):
        image |= {"clip": f"caf\u00e9{at}", "file_name": f"caf\u00e9{at}.jpg"}
    document["annotations"] = []
    old = make_split(formats.read(write_json(document)), SplitSettings(FRACTIONS, 1))
    old.write(tmp_path / "v1")
    for image in document["images"]:
        image |= {"clip": unicodedata.normalize("NFD", image["clip"])}
        image |= {"file_name": unicodedata.normalize("NFD", image["file_name"])}
    changed = formats.read(write_json(document, "changed.json"))

    new = make_split(
        changed, SplitSettings(FRACTIONS, 2), previous=Previous.load(tmp_path / "v1")
    )

    assert new.manifest.groups() == old.manifest.groups()
    assert new.notes == old.notes


def test_a_test_clip_under_another_name_cannot_go_to_train(
    write_json: Write, tmp_path: Path
) -> None:
    old = make_split(formats.read(write_json(small(10))), SplitSettings(FRACTIONS, 1))
    old.write(tmp_path / "v1")
    tested = next(name for name, part in split_of(old).items() if part == "test")
    document = small(10)
    row = int(tested.removesuffix(".jpg"))
    document["images"][row] |= {"clip": "renamed", "file_name": "renamed.jpg"}
    changed = formats.read(write_json(document, "changed.json"))
    previous = Previous.load(tmp_path / "v1")
    only_train = {"train": 0.98, "val": 0.01, "test": 0.01}

    with pytest.raises(
        InvalidDataError,
        match=rf"'renamed.jpg' \(people of '{tested}'\) from 'test' to 'train'",
    ):
        make_split(changed, SplitSettings(only_train), previous=previous)

    broken = SplitSettings(only_train, allow_moves=True)
    result = make_split(changed, broken, previous=previous)
    assert any("left a held-out split" in note for note in result.notes)
    assert result.manifest.settings["broke"] is True


@pytest.mark.parametrize(("before", "now"), [("clip", "game"), ("game", "clip")])
def test_new_frames_of_a_test_clip_stay_out_of_train_though_grouped_by_another_field(
    write_json: Write, tmp_path: Path, before: str, now: str
) -> None:
    halves = {"train": 0.5, "test": 0.5}
    document = {**small(8), "annotations": []}
    for at, image in enumerate(document["images"]):
        image["game"] = f"g{at}"
    old = make_split(formats.read(write_json(document)), SplitSettings(halves, group=before))
    old.write(tmp_path / "v1")
    held = {
        int(name.removesuffix(".jpg")) for name, part in split_of(old).items() if part == "test"
    }
    for at, image in enumerate(document["images"]):
        image |= {"id": 50 + at, "file_name": f"new{at}.jpg", "game": f"other{at}"}
    changed = formats.read(write_json(document, "changed.json"))
    previous = Previous.load(tmp_path / "v1")

    for seed in range(3):
        new = make_split(changed, SplitSettings(halves, seed, now), previous=previous)
        assert {split_of(new)[f"new{at}.jpg"] for at in held} == {"test"}

    free = SplitSettings({"train": 0.99, "test": 0.01}, group=now, allow_moves=True)
    make_split(changed, free, previous=previous).write(tmp_path / "v2")
    verdict = verify_split(tmp_path / "v2", previous=previous)
    assert {leak.kind for leak in verdict.leaks} == {"group"}
    assert {leak.first["split"] for leak in verdict.leaks} == {"former test"}


def test_force_replaces_a_split_and_nothing_else(write_json: Write, tmp_path: Path) -> None:
    result = make_split(formats.read(write_json(small(5))), SplitSettings(FRACTIONS))
    result.write(tmp_path / "out")
    result.write(tmp_path / "out", force=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")

    with pytest.raises(UsageError, match=r"also holds notes.txt"):
        result.write(tmp_path / "out", force=True)

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="it holds no split"):
        result.write(tmp_path / "other", force=True)
    assert (tmp_path / "other" / "thesis.tex").read_text() == "mine"
