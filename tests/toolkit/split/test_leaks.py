"""Planted leaks are found and named; the clean split has no finding."""

from __future__ import annotations

import copy
import json
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from toolkit import formats
from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ReadError
from toolkit.files import sha256_file
from toolkit.schema import Schema
from toolkit.split import (
    Other,
    Side,
    SplitSettings,
    Verdict,
    find_leaks,
    make_split,
    verify_split,
)
from toolkit.split.people import people_of, same_poses

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}
Pixels = Callable[[Path, Path], None]


@pytest.fixture
def frozen(rendered: Any, tmp_path: Path) -> Path:
    """A split folder, with a copy of the images beside it."""
    split = make_split(formats.read(rendered.file), SplitSettings(FRACTIONS, 3))
    split.write(tmp_path / "split")
    shutil.copytree(rendered.images, tmp_path / "images")
    return tmp_path / "split"


def plant(
    folder: Path, pixels: Pixels, keep: str, *, shift: int = 0, mirror: bool = False
) -> str:
    """Put a frame of train (or its neighbour) into test under another name and clip.

    `keep` says which labels travel: `all`, `moved` (3 px of noise) or `none`. The manifest
    is brought up to date, as somebody who leaks unknowingly would do it.
    """
    train, test = (json.loads((folder / f"{n}.json").read_text()) for n in ("train", "test"))
    first = next(i for i in train["images"] if i["frame"] == 1)
    near = next(
        i
        for i in train["images"]
        if i["clip"] == first["clip"] and i["frame"] == first["frame"] + shift
    )
    people = [a for a in train["annotations"] if a["image_id"] == near["id"]]
    if shift:  # the neighbour leaves train, so that only the frame beside it is left there
        train["images"].remove(near)
        train["annotations"] = [a for a in train["annotations"] if a not in people]
    test["images"].append(
        {**near, "id": 90001, "file_name": "planted.jpg", "clip": "planted", "game": "planted"}
    )
    for at, person in enumerate(people if keep != "none" else []):
        test["annotations"].append(relabelled(person, 90001 + at, keep, mirror))
    for name, document in (("train", train), ("test", test)):
        (folder / f"{name}.json").write_text(json.dumps(document))
    pixels(folder.parent / "images" / near["file_name"], folder.parent / "images/planted.jpg")
    renew_manifest(folder, test["images"][-1])
    return str(first["file_name"])


def relabelled(person: dict[str, Any], new_id: int, keep: str, mirror: bool) -> dict[str, Any]:
    schema = Schema.load("hockey")
    points = np.array(person["keypoints"], float).reshape(-1, 3)
    box = list(person["bbox"])
    if mirror:
        points = points[schema.flip_index]
        points[:, 0] = np.where(points[:, 2] > 0, 640 - 1 - points[:, 0], 0)
        box[0] = 640 - 1 - box[0] - box[2]
    if keep == "moved":
        points[:, :2] += np.random.default_rng(new_id).normal(0, 3, (len(points), 2))
    return {
        **copy.deepcopy(person),
        "id": new_id,
        "image_id": 90001,
        "keypoints": points.ravel().tolist(),
        "bbox": box,
    }


def renew_manifest(folder: Path, planted: dict[str, Any]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, part in manifest["splits"].items():
        part["sha256"] = sha256_file(folder / f"{name}.json")
        held = {i["id"] for i in json.loads((folder / f"{name}.json").read_text())["images"]}
        part["images_list"] = [e for e in part["images_list"] if e["id"] in held]
    entry = {"id": planted["id"], "file_name": planted["file_name"], "group": "planted"}
    manifest["splits"]["test"]["images_list"].append({**entry, "instances": []})
    path.write_text(json.dumps(manifest))


def copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def mirrored(source: Path, target: Path) -> None:
    cv2.imwrite(str(target), cv2.flip(cv2.imread(str(source)), 1))


def saved_again(source: Path, target: Path) -> None:
    cv2.imwrite(str(target), cv2.imread(str(source)), [cv2.IMWRITE_JPEG_QUALITY, 40])


def scaled(source: Path, target: Path) -> None:
    half = cv2.resize(cv2.imread(str(source)), None, fx=0.5, fy=0.5)
    cv2.imwrite(str(target), half)


def named(verdict: Verdict) -> set[tuple[str, str, str]]:
    return {
        (leak.kind, str(leak.first["file_name"]), str(leak.second["file_name"]))
        for leak in verdict.leaks
    }


def test_the_clean_split_of_one_rink_has_no_finding(frozen: Path) -> None:
    verdict = verify_split(frozen, images=frozen.parent / "images")

    assert verdict.ok
    assert verdict.notes == ()
    assert verdict.compared == (("train", "val"), ("train", "test"), ("val", "test"))
    assert verify_split(frozen).leaks == ()


@pytest.mark.parametrize("keep", ["all", "moved", "none"])
@pytest.mark.parametrize(
    ("pixels", "kind", "mirror"),
    [
        (copied, "image-bytes", False),
        (saved_again, "near-duplicate", False),
        (scaled, "near-duplicate", False),
        (mirrored, "near-duplicate", True),
    ],
)
def test_a_copied_frame_is_found_whatever_its_labels(
    frozen: Path, pixels: Pixels, kind: str, mirror: bool, keep: str
) -> None:
    original = plant(frozen, pixels, keep, mirror=mirror)

    verdict = verify_split(frozen, images=frozen.parent / "images")

    assert (kind, original, "planted.jpg") in named(verdict)
    assert {second for _, _, second in named(verdict)} == {"planted.jpg"}
    assert verdict.altered == ()


def test_the_next_frame_is_found_with_and_without_pictures(frozen: Path) -> None:
    original = plant(frozen, copied, "all", shift=1)

    with_pictures = verify_split(frozen, images=frozen.parent / "images")
    without = verify_split(frozen)

    for verdict in (with_pictures, without):
        assert ("near-duplicate", original, "planted.jpg") in named(verdict)
        assert {second for _, _, second in named(verdict)} == {"planted.jpg"}


@pytest.mark.parametrize(("mirror", "words"), [(False, "have one pose"), (True, "mirrored")])
def test_the_same_people_are_found_without_pictures(
    frozen: Path, mirror: bool, words: str
) -> None:
    original = plant(frozen, copied, "all", mirror=mirror)

    verdict = verify_split(frozen)

    leak = next(x for x in verdict.leaks if x.first["file_name"] == original)
    assert leak.second["file_name"] == "planted.jpg"
    found = verify_split(frozen, skip=frozenset({"near-duplicate"})).leaks
    assert [(x.kind, x.second["file_name"]) for x in found] == [("instance", "planted.jpg")]
    assert words in found[0].message
    assert found[0].instances[0][1] >= 90001


def test_one_pose_is_known_when_cropped_and_scaled_but_not_when_bent() -> None:
    schema = Schema.load("coco")
    points = np.random.default_rng(1).uniform(0, 100, (1, 17, 2))
    one = people_like(points, schema)

    assert len(same_poses(one, people_like(points * 2.5 + 40, schema))[0]) == 1
    bent = points.copy()
    bent[0, 9] += 15
    assert len(same_poses(one, people_like(bent, schema))[0]) == 0


def people_like(points: np.ndarray[Any, Any], schema: Schema) -> Any:
    people = Annotations.from_arrays(
        schema,
        np.array([1]),
        points,
        np.full((1, 17), 2, np.uint8),
        np.array([[0.0, 0, 100, 100]]),
    )
    images = Images.from_ids(np.array([1]), size_wh=np.array([[640, 360]]))
    return people_of(Dataset(schema, images, people), schema.names)


def test_a_group_an_id_and_a_name_on_two_sides_are_named(frozen: Path) -> None:
    train, test = (json.loads((frozen / f"{n}.json").read_text()) for n in ("train", "test"))
    test["images"].append(train["images"][0])
    (frozen / "test.json").write_text(json.dumps(test))
    clip, name = train["images"][0]["clip"], train["images"][0]["file_name"]

    verdict = verify_split(frozen)

    assert any(line.startswith("test.json: SHA-256 ") for line in verdict.altered)
    assert any(name in line and "not in the manifest" in line for line in verdict.altered)
    kinds = {(leak.kind, leak.second["file_name"]) for leak in verdict.leaks}
    assert ("group", name) in kinds
    assert ("image-id", name) in kinds
    assert any(f"group '{clip}' is on both sides" in leak.message for leak in verdict.leaks)


def two_clips(write_json: Callable[..., Path], folder: Path, **settings: Any) -> Path:
    """A split in halves of two clips of four images each, without people."""
    document = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 9, "height": 9, "clip": f"é{i // 4}"}
            for i in range(8)
        ],
        "annotations": [],
        "categories": [Schema.load("coco").coco_category()],
    }
    halves = SplitSettings({"train": 0.5, "test": 0.5}, **settings)
    make_split(formats.read(write_json(document)), halves).write(folder)
    return folder


def test_a_clip_on_two_sides_is_named_whatever_the_manifest_calls_its_group(
    write_json: Callable[..., Path], tmp_path: Path
) -> None:
    folder = two_clips(write_json, tmp_path / "split")
    assert verify_split(folder).ok
    train, test = (json.loads((folder / f"{n}.json").read_text()) for n in ("train", "test"))
    renamed = unicodedata.normalize("NFD", train["images"][0]["clip"])
    test["images"][0]["clip"] = renamed
    (folder / "test.json").write_text(json.dumps(test))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"]["test"]["sha256"] = sha256_file(folder / "test.json")
    (folder / "manifest.json").write_text(json.dumps(manifest))

    verdict = verify_split(folder)

    clip = train["images"][0]["clip"]
    assert [(leak.kind, leak.message) for leak in verdict.leaks] == [
        ("group", f"clip {clip!r} is on both sides")
    ]
    assert verify_split(folder, skip=frozenset({"group"})).ok


def test_a_split_by_frame_says_that_clips_are_on_two_sides(
    write_json: Callable[..., Path], tmp_path: Path
) -> None:
    folder = two_clips(write_json, tmp_path / "split", group="image", by_frame=True, seed=1)

    verdict = verify_split(folder)

    assert verdict.ok
    assert any("on more than one side" in note for note in verdict.notes)
    assert any("made by frame" in note for note in verdict.notes)


def test_a_clip_of_another_data_set_is_named_whatever_the_split_was_grouped_by(
    write_json: Callable[..., Path], tmp_path: Path
) -> None:
    folder = two_clips(
        write_json,
        tmp_path / "split",
        group="file_name:^([0-3])",
        ungrouped_own=True,
        by_frame=True,
    )
    document = json.loads((folder / "test.json").read_text())
    for image in document["images"]:
        image["file_name"] = f"else-{image['id']}.jpg"
    other = formats.read(write_json(document, "other.json"))

    verdict = verify_split(folder, against=Other(other))

    clips = {image["clip"] for image in document["images"]}
    found = [leak for leak in verdict.leaks if leak.second["split"] == other.name]
    assert {leak.message for leak in found} >= {f"clip {c!r} is on both sides" for c in clips}


def test_a_file_name_and_a_group_in_another_spelling_are_the_same() -> None:
    schema = Schema.load("coco")
    flags = np.zeros((0, 17), np.uint8)
    nobody = Annotations.from_arrays(
        schema, np.zeros(0, np.int64), np.zeros((0, 17, 2)), flags, np.zeros((0, 4))
    )

    def side(name: str, clip: str, image: int) -> Side:
        images = Images.from_ids(np.array([image]))
        images = replace(images, file_names=(name,), clips=(clip,))
        return Side(clip, Dataset(schema, images, nobody), (clip,))

    one, other = side("./é.jpg", "ü", 1), side("e\u0301.jpg", "u\u0308", 2)

    kinds = [leak.kind for leak in find_leaks(one, other, skip=frozenset())]

    assert kinds == ["group", "file-name"]


def test_another_data_set_is_searched_by_pictures_people_and_names(
    frozen: Path, rendered: Any, tmp_path: Path
) -> None:
    document = rendered.document()
    first = json.loads((frozen / "test.json").read_text())["images"][0]
    other = {**first, "id": 1, "file_name": "else.jpg", "clip": "elsewhere"}
    document |= {"images": [other], "annotations": []}
    file = tmp_path / "other.json"
    file.write_text(json.dumps(document))
    (tmp_path / "others").mkdir()
    saved_again(rendered.images / first["file_name"], tmp_path / "others/else.jpg")
    dataset = formats.read(file)

    seen = verify_split(
        frozen, images=frozen.parent / "images", against=Other(dataset, tmp_path / "others")
    )
    blind = verify_split(frozen, against=Other(dataset))

    assert named(seen) == {("near-duplicate", first["file_name"], "else.jpg")}
    assert seen.leaks[0].second["split"] == "other.json"
    assert blind.leaks == ()
    assert any("pass --images" in note for note in blind.notes)


def test_altered_and_missing_files_are_named(frozen: Path) -> None:
    name = json.loads((frozen / "val.json").read_text())["images"][0]["file_name"]
    split = make_split(
        formats.read(frozen / "val.json"),
        SplitSettings({"train": 1.0}),
        images=frozen.parent / "images",
    )
    split.write(frozen.parent / "one")
    with (frozen.parent / "images" / name).open("ab") as stream:
        stream.write(b"\0")
    (frozen / "train.json").unlink()

    image = verify_split(frozen.parent / "one", images=frozen.parent / "images")
    gone = verify_split(frozen)

    assert [line for line in image.altered if name in line and "another picture than" in line]
    assert gone.altered == ("train.json: missing; the manifest names it",)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("{", ReadError, "cannot read the manifest"),
        ("[]", InvalidDataError, "no manifest of a split"),
        ('{"kind": "toolkit-split"}', InvalidDataError, "damaged"),
        (
            '{"kind": "toolkit-split", "splits": {"a": {"file": "../x", "sha256": "", '
            '"images_list": []}}}',
            InvalidDataError,
            "no plain name",
        ),
        (
            '{"kind": "toolkit-split", "splits": {"a": {"file": "..", "sha256": "", '
            '"images_list": []}}}',
            InvalidDataError,
            "no plain name",
        ),
        (
            '{"kind": "toolkit-split", "splits": {"a": {"file": "a.json", "sha256": "", '
            '"images_list": [{"id": 1e400, "file_name": "", "group": "", "instances": []}]}}}',
            InvalidDataError,
            "damaged",
        ),
        ('{"kind": "toolkit-split", "splits": {}}', InvalidDataError, "it names no split"),
        (
            '{"kind": "toolkit-split", "splits": {"a": {"file": "folder", "sha256": "", '
            '"images_list": []}}}',
            ReadError,
            "folder: cannot read it: Is a directory",
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    tmp_path: Path, text: str, error: type[Exception], match: str
) -> None:
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "folder").mkdir()

    with pytest.raises(error, match=match):
        verify_split(tmp_path)


def test_real_people_of_crowdpose_are_told_apart(shared_data: Path) -> None:
    """The published set has its own repeats; they must stay few enough to look at."""
    dataset = formats.read(shared_data / "crowdpose" / "crowdpose_val.json", "crowdpose")
    people = people_of(dataset, dataset.schema.names)

    rows, columns = same_poses(people, people)

    apart = (rows != columns) & (people.image[rows] != people.image[columns])
    assert len(people) > 8_000
    assert apart.sum() <= 40
